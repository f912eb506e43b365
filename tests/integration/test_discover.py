"""A real discover between a real etcd and a real Redis: killed, paused, doubled, and both servers taken away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mooring.documents import encode_instance
from mooring.errors import Unavailable
from mooring.etcd.address import parse_etcd_address
from mooring.etcd.client import connect_to
from mooring.etcd.store import NO_LEASE, Delete, Put, Store
from mooring.keys import RedisNames, host_key, instance_key
from mooring.model import Address, Instance, State
from mooring.redis.client import RedisStream
from mooring.redis.connection import connect
from mooring.redis.stream import Head
from tests.checker import check
from tests.servers import EtcdServer, RedisServer, free_port

DEADLINE_SECONDS = 20.0
HOLD_SECONDS = 3.0


def until(condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> float:
    """Wait until something holds, and return how long that took; fail when it does not in time."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "waited too long"
        time.sleep(0.005)
    return time.monotonic() - began


def instance(
    name: str, *, host: str = "h1", service: str = "web", state: State = State.UP, cause: str = ""
) -> Instance:
    """Return an instance at an address of its own."""
    address = Address("10.0.0.1", 1000 + sum(ord(letter) << index for index, letter in enumerate(f"{service}{name}")))
    return Instance(service=service, id=name, address=address, host=host, port=80, state=state, cause=cause)


class Site:
    """An etcd and a Redis, a register's hand in the one, a reader's eye on the other, and discovers between them."""

    def __init__(self, etcd: EtcdServer, redis: RedisServer, directory: Path, namespace: str) -> None:
        self.source = f"etcd://{etcd.address}/{namespace}"
        self.redis = redis.url
        self.namespace = namespace
        self.log = directory / "discover.log"
        self.prefix = f"/{namespace}"
        self.store: Store = connect_to(parse_etcd_address(self.source))
        self.stream = RedisStream.from_url(redis.url, RedisNames(namespace))
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    # -- as a register does

    def put(self, *instances: Instance, lease: int = NO_LEASE) -> None:
        """Write instances' documents."""
        for one in instances:
            self.store.commit((), (Put(self.key(one), encode_instance(one).encode(), lease),))

    def withdraw(self, one: Instance, cause: str = "stopped") -> None:
        """Take an instance out, with a word."""
        down = Instance(service=one.service, id=one.id, address=one.address, state=State.DOWN, cause=cause)
        self.put(down)
        self.store.commit((), (Delete(self.key(one)),))

    def host(self, name: str, *instances: Instance, ttl_seconds: int = 60) -> int:
        """Write a host's instances under a lease, and return it."""
        lease = self.store.grant(ttl_seconds)
        self.store.commit((), (Put(host_key(name), b"{}", lease),))
        self.put(*instances, lease=lease)
        return lease

    def key(self, one: Instance) -> str:
        """Return where an instance is written."""
        return instance_key(self.prefix, one.service, one.id)

    # -- as an operator does

    def discover(self, *options: str) -> int:
        """Start a discover and return the port of its admin server, by which it is called here."""
        admin = free_port()
        command = [str(Path(sys.executable).with_name("mooring")), "discover", "--source", self.source]
        command += ["--redis", self.redis, "--namespace", self.namespace, "--hold-seconds", str(HOLD_SECONDS)]
        with self.log.open("ab") as log:
            self.processes[admin] = subprocess.Popen(
                [*command, "--admin", str(admin), *options], stdout=log, stderr=log
            )
        return admin

    def ready(self, admin: int) -> int:
        """Wait until a discover is ready."""
        until(lambda: self.ask(admin, "/readyz")[0] == 200)
        return admin

    def kill(self, admin: int) -> None:
        """End a discover without a word."""
        self.processes[admin].kill()
        self.processes[admin].wait()

    def stop(self, admin: int) -> float:
        """Ask a discover to end, which it must do well, and return the seconds that it took."""
        began = time.monotonic()
        self.processes[admin].terminate()
        assert self.processes[admin].wait(timeout=DEADLINE_SECONDS) == 0
        return time.monotonic() - began

    def ask(self, admin: int, path: str) -> tuple[int, str]:
        """Ask a discover's admin server; status 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def state(self, admin: int) -> Mapping[str, Any]:
        """Return a discover's state."""
        text = self.ask(admin, "/state")[1]
        state: Mapping[str, Any] = json.loads(text) if text else {}
        return state

    def leads(self, admin: int) -> bool:
        """Whether a discover leads."""
        return bool(self.state(admin).get("role") == "leading")

    # -- as a proxy does

    def head(self) -> Head | None:
        """Return where the stream stands, None while Redis does not answer."""
        try:
            return self.stream.head()
        except Unavailable:
            return None

    def complete(self) -> bool:
        """Whether there is a stream that is complete."""
        head = self.head()
        return head is not None and head.complete

    def catalog(self) -> dict[str, State]:
        """Return the states of the instances in the catalog, by id."""
        return {one.id: one.state for one in self.stream.catalog().instances()}

    def types(self) -> list[str]:
        """Return the types of all entries, oldest first."""
        return [entry.fields["type"] for entry in self.stream.tail(10_000)]

    def last(self, kind: str) -> Mapping[str, str]:
        """Return the newest entry of a type."""
        return next(one.fields for one in reversed(self.stream.tail(10_000)) if one.fields["type"] == kind)


def open_site(etcd: EtcdServer, redis: RedisServer, directory: Path, namespace: str) -> Iterator[Site]:
    """Give a site and end everything that was started in it."""
    site = Site(etcd, redis, directory, namespace)
    yield site
    for process in site.processes.values():
        process.kill()
        process.wait()
    site.store.close()
    site.stream.close()


@pytest.fixture
def site(etcd_server: EtcdServer, redis_server: RedisServer, tmp_path: Path, namespace: str) -> Iterator[Site]:
    """Give names of one's own in the servers of all tests."""
    yield from open_site(etcd_server, redis_server, tmp_path, namespace)


@pytest.fixture
def own_site(
    own_etcd_server: EtcdServer, own_redis_server: RedisServer, tmp_path: Path, namespace: str
) -> Iterator[Site]:
    """Give servers of one's own, to be broken."""
    yield from open_site(own_etcd_server, own_redis_server, tmp_path, namespace)


def test_what_is_in_etcd_is_in_the_stream(site: Site) -> None:
    """Additions, a change and a withdrawal arrive within a moment each, and the history checks."""
    site.put(instance("a"), instance("b"))
    site.ready(site.discover())
    until(site.complete)
    assert site.catalog() == {"a": State.UP, "b": State.UP}
    assert site.stream.ports() == {"80/tcp": "web"}
    site.put(instance("c", cause="started"))
    took = until(lambda: "c" in site.catalog())
    site.put(instance("c", state=State.DRAINING))
    until(lambda: site.catalog()["c"] is State.DRAINING)
    site.withdraw(instance("c"), "exited 137")
    until(lambda: "c" not in site.catalog())
    assert site.last("instance-removed")["cause"] == "exited 137"
    assert site.last("instance-added")["source"] == site.source
    assert check(site.stream).counts == {
        "epoch-began": 1,
        "instance-added": 3,
        "instance-changed": 1,
        "instance-removed": 1,
    }
    print(f"etcd put to catalog read back: {took * 1000:.1f} ms")


@pytest.mark.parametrize("end", [Site.kill, Site.stop])
def test_restart_with_nothing_changed_appends_one_entry(site: Site, end: Callable[[Site, int], object]) -> None:
    """Killed or stopped, its successor adds the beginning of an epoch and nothing else."""
    site.put(instance("a"), instance("b"))
    first = site.ready(site.discover())
    until(site.complete)
    before = site.types()
    end(site, first)
    second = site.ready(site.discover())
    until(lambda: site.leads(second) and len(site.types()) > len(before))
    site.put(instance("c"))
    until(lambda: "c" in site.catalog())
    assert site.types() == [*before, "epoch-began", "instance-added"]
    assert check(site.stream).epochs == (1, 2)


def test_restart_appends_only_what_happened_meanwhile(site: Site) -> None:
    """What came and went while no discover ran is one fact each."""
    site.put(*(instance(name) for name in "abcd"))
    first = site.ready(site.discover())
    until(site.complete)
    before = site.types()
    site.kill(first)
    site.withdraw(instance("a"))
    site.put(instance("e"))
    site.discover()
    until(lambda: set(site.catalog()) == {"b", "c", "d", "e"})
    assert sorted(site.types()[len(before) :]) == ["epoch-began", "instance-added", "instance-removed"]
    check(site.stream)


def test_standby_takes_over(site: Site) -> None:
    """After a clean stop at once, after a kill when the lead has expired; no fact is lost or told twice."""
    site.put(instance("a"), instance("b"))
    first = site.ready(site.discover())
    until(site.complete)
    second, third = site.ready(site.discover()), site.ready(site.discover())
    assert not site.leads(second)
    site.processes[first].terminate()
    stopped = until(lambda: site.types().count("epoch-began") == 2)
    leader = second if site.leads(second) else third
    site.kill(leader)
    site.withdraw(instance("a"), "exited 1")
    killed = until(lambda: "a" not in site.catalog())
    assert site.last("instance-removed")["cause"] == "exited 1"
    assert check(site.stream).counts == {"epoch-began": 3, "instance-added": 2, "instance-removed": 1}
    assert stopped < 1.0
    assert killed < 3.5
    print(f"taken over after a stop in {stopped * 1000:.0f} ms, after a kill in {killed * 1000:.0f} ms")


def test_paused_leader_that_wakes_is_fenced(site: Site) -> None:
    """It finds that another leads and stands by; what it would have written was written once, by the other."""
    site.put(instance("a"))
    first = site.ready(site.discover())
    until(site.complete)
    second = site.ready(site.discover())
    os.kill(site.processes[first].pid, signal.SIGSTOP)
    site.put(instance("b"))
    until(lambda: "b" in site.catalog())
    os.kill(site.processes[first].pid, signal.SIGCONT)
    until(lambda: site.state(first).get("role") == "standing by" and site.leads(second))
    site.put(instance("c"))
    until(lambda: "c" in site.catalog())
    assert check(site.stream).counts == {"epoch-began": 2, "instance-added": 3}


def test_emptied_redis_is_filled_again(own_site: Site, own_redis_server: RedisServer) -> None:
    """Emptied under us, or started again without its data: another incarnation, complete with all that is known."""
    own_site.put(instance("a"), instance("b"))
    own_site.ready(own_site.discover())
    until(own_site.complete)
    incarnations = {check(own_site.stream).incarnation}
    own_redis_server.restart(keep_data=False)
    until(own_site.complete)
    report = check(own_site.stream)
    assert report.incarnation not in incarnations
    assert report.counts == {"epoch-began": 1, "instance-added": 2}
    assert own_site.last("instance-added")["cause"] == "reconciled"


def test_stream_that_somebody_else_wrote_to_is_begun_anew(site: Site) -> None:
    """A stray XADD leaves a stream that nobody can continue: it is replaced, not fought with for ever."""
    site.put(instance("a"))
    site.ready(site.discover())
    until(site.complete)
    former = check(site.stream).incarnation
    with closing(connect(site.redis)) as stranger:
        stranger.client.xadd(RedisNames(site.namespace).events, {"hello": "world"})
    site.put(instance("b"))
    until(lambda: "b" in site.catalog())
    assert check(site.stream).incarnation != former


def test_redis_started_again_with_its_data_is_another_incarnation(
    own_site: Site, own_redis_server: RedisServer
) -> None:
    """Nobody can tell how much of its tail it kept."""
    own_site.put(instance("a"), instance("b"))
    own_site.ready(own_site.discover())
    until(own_site.complete)
    former = check(own_site.stream).incarnation
    own_redis_server.stop()
    own_site.put(instance("c"))
    own_redis_server.start()
    until(lambda: own_site.complete() and check(own_site.stream).incarnation != former)
    assert set(own_site.catalog()) == {"a", "b", "c"}


def test_etcd_away_withdraws_nothing(own_site: Site, own_etcd_server: EtcdServer) -> None:
    """Its last word stands; back, what happened meanwhile arrives, and the absence is told by two facts."""
    own_site.put(instance("a"), instance("b"))
    admin = own_site.ready(own_site.discover())
    until(own_site.complete)
    own_etcd_server.stop()
    until(lambda: "source-lost" in own_site.types())
    assert own_site.state(admin)["sources"][own_site.source]["reason"]
    own_etcd_server.start()
    own_site.withdraw(instance("a"))
    until(lambda: set(own_site.catalog()) == {"b"})
    until(lambda: "source-recovered" in own_site.types())
    assert check(own_site.stream).counts == {
        "epoch-began": 1,
        "instance-added": 2,
        "source-lost": 1,
        "source-recovered": 1,
        "instance-removed": 1,
    }


def test_one_host_that_expires_is_removed(own_site: Site) -> None:
    """A lease ends and nobody else's does: its instances go after a second, as expired."""
    one = own_site.host("h1", instance("a", host="h1"), instance("b", host="h1"))
    own_site.host("h2", instance("c", host="h2"))
    own_site.ready(own_site.discover())
    until(own_site.complete)
    own_site.store.revoke(one)
    until(lambda: own_site.catalog() == {"c": State.UP})
    assert own_site.last("instance-removed")["cause"] == "expired"
    assert "instance-changed" not in own_site.types()


def test_hosts_that_expire_together_become_suspect(own_site: Site) -> None:
    """Three of four leases end at once: marked, not removed; who is seen again is as before, the others go in time."""
    leases = [own_site.host(f"h{number}", instance(f"i{number}", host=f"h{number}")) for number in range(4)]
    own_site.ready(own_site.discover())
    until(own_site.complete)
    for lease in leases[1:]:
        own_site.store.revoke(lease)
    until(lambda: list(own_site.catalog().values()).count(State.SUSPECT) == 3)
    assert own_site.catalog()["i0"] is State.UP
    assert "instance-removed" not in own_site.types()
    own_site.host("h1", instance("i1", host="h1"))
    until(lambda: own_site.catalog()["i1"] is State.UP)
    held = until(lambda: own_site.catalog() == {"i0": State.UP, "i1": State.UP}, HOLD_SECONDS + DEADLINE_SECONDS)
    assert check(own_site.stream).counts["instance-removed"] == 2
    print(f"suspects left {held:.1f} s after the third was seen again")


def test_frozen_etcd_expires_nothing(own_site: Site, own_etcd_server: EtcdServer) -> None:
    """An etcd that stood still for longer than its leases expires them as it wakes: suspect, even for one host."""
    own_site.host("h1", instance("a", host="h1"), ttl_seconds=2)
    own_site.ready(own_site.discover())
    until(own_site.complete)
    own_etcd_server.pause()
    until(lambda: "source-lost" in own_site.types())
    own_etcd_server.resume()
    until(lambda: own_site.catalog() == {"a": State.SUSPECT})
    until(lambda: "source-recovered" in own_site.types())
    assert "instance-removed" not in own_site.types()
    check(own_site.stream)


def test_replaced_etcd_is_not_believed_at_once(own_site: Site, own_etcd_server: EtcdServer) -> None:
    """An etcd that comes back empty makes everything suspect, and nothing goes before somebody registers again."""
    own_site.put(instance("a"), instance("b"))
    own_site.ready(own_site.discover())
    until(own_site.complete)
    own_etcd_server.restart(keep_data=False)
    until(lambda: own_site.catalog() == {"a": State.SUSPECT, "b": State.SUSPECT})
    own_site.put(instance("a"))
    until(lambda: own_site.catalog() == {"a": State.UP}, HOLD_SECONDS + DEADLINE_SECONDS)
    check(own_site.stream)


def test_broken_document_is_counted_and_named_and_the_rest_works(site: Site) -> None:
    """It is logged once with key and reason, shown in the state, and changes nothing of what stood there."""
    site.put(instance("a"), instance("b"))
    admin = site.ready(site.discover())
    until(site.complete)
    site.store.commit((), (Put(site.key(instance("a")), b'{"v": 1, "id":'),))
    site.store.commit((), (Put(site.key(instance("x")), b"[]"),))
    site.put(instance("c"))
    until(lambda: set(site.catalog()) == {"a", "b", "c"})
    assert set(site.state(admin)["sources"][site.source]["unreadable"]) == {
        site.key(instance("a")),
        site.key(instance("x")),
    }
    assert f'mooring_discover_broken_documents_total{{source="{site.source}"}} 2.0' in site.ask(admin, "/metrics")[1]
    log = site.log.read_text()
    assert log.count("document cannot be read") == 2
    assert "not JSON" in log


def test_stop_is_quick_even_while_nothing_answers(
    own_site: Site, own_etcd_server: EtcdServer, own_redis_server: RedisServer
) -> None:
    """Status 0 within two seconds, with both servers frozen under it."""
    own_site.put(instance("a"))
    admin = own_site.ready(own_site.discover())
    until(own_site.complete)
    own_etcd_server.pause()
    own_redis_server.pause()
    took = own_site.stop(admin)
    assert took < 2.0
    print(f"stopped in {took:.2f} s")


def test_wrong_options_are_all_named_and_nothing_starts(site: Site) -> None:
    """Status 2, with every problem in one answer."""
    command = [str(Path(sys.executable).with_name("mooring")), "discover"]
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
    command = [str(Path(sys.executable).with_name("mooring")), "discover", "--redis", site.redis]
    command += ["--source", site.source, "--source", site.source]
    command += ["--source", f"etcd://127.0.0.1:1/x?ca={tmp_path}/none.pem"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "more than once" in done.stderr
    assert "none.pem" in done.stderr
