"""A real discover between a real etcd and a real Redis: what it writes, also when it is killed, paused or doubled."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mooring.etcd.store import Put
from mooring.keys import RedisNames
from mooring.model import State
from mooring.redis.connection import connect
from tests.checker import check
from tests.integration.discovers import Site, instance, leads, open_site
from tests.parts import MOORING, Part
from tests.servers import EtcdServer, RedisServer
from tests.waiting import wait_until


@pytest.fixture
def site(etcd_server: EtcdServer, redis_server: RedisServer, tmp_path: Path, namespace: str) -> Iterator[Site]:
    """Give names of one's own in the servers of all tests."""
    with open_site(etcd_server, redis_server, tmp_path, namespace) as one:
        yield one


def test_what_is_in_etcd_is_in_the_stream(site: Site, measured: Callable[[str], None]) -> None:
    """Additions, a change and a withdrawal arrive within a moment each, and the history checks."""
    site.put(instance("a"), instance("b"))
    site.discover().ready()
    wait_until(site.complete, "the stream to be complete")
    assert site.catalog() == {"a": State.UP, "b": State.UP}
    assert site.stream.ports() == {"80/tcp": "web"}
    site.put(instance("c", cause="started"))
    took = wait_until(lambda: "c" in site.catalog(), "the addition")
    site.put(instance("c", state=State.DRAINING))
    wait_until(lambda: site.catalog()["c"] is State.DRAINING, "the change")
    site.withdraw(instance("c"), "exited 137")
    wait_until(lambda: "c" not in site.catalog(), "the withdrawal")
    assert site.last("instance-removed")["cause"] == "exited 137"
    assert site.last("instance-added")["source"] == site.source
    assert check(site.stream).counts == {
        "epoch-began": 1,
        "instance-added": 3,
        "instance-changed": 1,
        "instance-removed": 1,
    }
    measured(f"etcd put to catalog read back: {took * 1000:.1f} ms")


@pytest.mark.parametrize("end", [Part.kill, Part.end])
def test_restart_with_nothing_changed_appends_one_entry(site: Site, end: Callable[[Part], object]) -> None:
    """Killed or stopped, its successor adds the beginning of an epoch and nothing else."""
    site.put(instance("a"), instance("b"))
    first = site.discover().ready()
    wait_until(site.complete, "the stream to be complete")
    before = site.types()
    end(first)
    second = site.discover().ready()
    wait_until(lambda: leads(second) and len(site.types()) > len(before), "the successor to begin its epoch")
    site.put(instance("c"))
    wait_until(lambda: "c" in site.catalog(), "the addition")
    assert site.types() == [*before, "epoch-began", "instance-added"]
    assert check(site.stream).epochs == (1, 2)


def test_restart_appends_only_what_happened_meanwhile(site: Site) -> None:
    """What came and went while no discover ran is one fact each."""
    site.put(*(instance(name) for name in "abcd"))
    first = site.discover().ready()
    wait_until(site.complete, "the stream to be complete")
    before = site.types()
    first.kill()
    site.withdraw(instance("a"))
    site.put(instance("e"))
    site.discover()
    wait_until(lambda: set(site.catalog()) == {"b", "c", "d", "e"}, "what happened meanwhile")
    assert sorted(site.types()[len(before) :]) == ["epoch-began", "instance-added", "instance-removed"]
    check(site.stream)


def test_standby_takes_over(site: Site, measured: Callable[[str], None]) -> None:
    """After a clean stop at once, after a kill when the lead has expired; no fact is lost or told twice."""
    site.put(instance("a"), instance("b"))
    first = site.discover().ready()
    wait_until(site.complete, "the stream to be complete")
    second, third = site.discover().ready(), site.discover().ready()
    assert not leads(second)
    first.send(signal.SIGTERM)
    stopped = wait_until(lambda: site.types().count("epoch-began") == 2, "the next to lead")
    leader = second if leads(second) else third
    leader.kill()
    site.withdraw(instance("a"), "exited 1")
    killed = wait_until(lambda: "a" not in site.catalog(), "the withdrawal")
    assert site.last("instance-removed")["cause"] == "exited 1"
    assert check(site.stream).counts == {"epoch-began": 3, "instance-added": 2, "instance-removed": 1}
    measured(f"taken over after a stop in {stopped * 1000:.0f} ms, after a kill in {killed * 1000:.0f} ms")


def test_paused_leader_that_wakes_is_fenced(site: Site) -> None:
    """It finds that another leads and stands by; what it would have written was written once, by the other."""
    site.put(instance("a"))
    first = site.discover().ready()
    wait_until(site.complete, "the stream to be complete")
    second = site.discover().ready()
    first.pause()
    site.put(instance("b"))
    wait_until(lambda: "b" in site.catalog(), "the addition")
    first.resume()
    wait_until(lambda: first.state()["role"] == "standing by" and leads(second), "the one that woke to stand by")
    site.put(instance("c"))
    wait_until(lambda: "c" in site.catalog(), "the addition")
    assert check(site.stream).counts == {"epoch-began": 2, "instance-added": 3}


def test_stream_that_somebody_else_wrote_to_is_begun_anew(site: Site) -> None:
    """A stray XADD leaves a stream that nobody can continue: it is replaced, not fought with for ever."""
    site.put(instance("a"))
    site.discover().ready()
    wait_until(site.complete, "the stream to be complete")
    former = check(site.stream).incarnation
    with closing(connect(site.redis)) as stranger:
        stranger.client.xadd(RedisNames(site.namespace).events, {"hello": "world"})
    site.put(instance("b"))
    wait_until(lambda: "b" in site.catalog(), "the addition")
    assert check(site.stream).incarnation != former


def test_broken_document_is_counted_and_named_and_the_rest_works(site: Site) -> None:
    """It is logged once with key and reason, shown in the state, and changes nothing of what stood there."""
    site.put(instance("a"), instance("b"))
    discover = site.discover().ready()
    wait_until(site.complete, "the stream to be complete")
    site.store.commit((), (Put(site.key(instance("a")), b'{"v": 1, "id":'),))
    site.store.commit((), (Put(site.key(instance("x")), b"[]"),))
    site.put(instance("c"))
    wait_until(lambda: set(site.catalog()) == {"a", "b", "c"}, "the addition")
    assert set(discover.state()["sources"][site.source]["unreadable"]) == {
        site.key(instance("a")),
        site.key(instance("x")),
    }
    assert f'mooring_discover_broken_documents_total{{source="{site.source}"}} 2.0' in discover.ask("/metrics")[1]
    log = discover.log.read_text()
    assert log.count("document cannot be read") == 2
    assert "not JSON" in log


def test_wrong_options_are_all_named_and_nothing_starts(site: Site) -> None:
    """Status 2, with every problem in one answer."""
    command = [str(MOORING), "discover"]
    command += ["--source", "consul://host:8500", "--redis", "http://x", "--hold-seconds", "-1", "--admin", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    for problem in ("consul://host:8500", "--redis", "--hold-seconds", "--admin"):
        assert problem in done.stderr
    missing = subprocess.run(command[:2], capture_output=True, text=True, timeout=30, check=False)
    assert missing.returncode == 2
    assert "--source" in missing.stderr


def test_sources_that_cannot_be_are_named(site: Site, tmp_path: Path) -> None:
    """One given twice, and one whose certificate cannot be read."""
    command = [str(MOORING), "discover", "--redis", site.redis]
    command += ["--source", site.source, "--source", site.source]
    command += ["--source", f"etcd://127.0.0.1:1/x?ca={tmp_path}/none.pem"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "more than once" in done.stderr
    assert "none.pem" in done.stderr
