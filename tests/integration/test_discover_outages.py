"""A real discover whose etcd and Redis stop, freeze, and come back with or without what they held; hosts expire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mooring.model import State
from tests.checker import check
from tests.integration.discovers import HOLD_SECONDS, Site, instance, open_site
from tests.servers import EtcdServer, RedisServer
from tests.waiting import DEADLINE_SECONDS, wait_until

FROZEN_SECONDS = 20.0  # an etcd that stands still is noticed within 16 s


@pytest.fixture
def own_site(
    own_etcd_server: EtcdServer, own_redis_server: RedisServer, tmp_path: Path, namespace: str
) -> Iterator[Site]:
    """Give servers of one's own, to be broken."""
    with open_site(own_etcd_server, own_redis_server, tmp_path, namespace) as one:
        yield one


def test_emptied_redis_is_filled_again(own_site: Site, own_redis_server: RedisServer) -> None:
    """Emptied under us, or started again without its data: another incarnation, complete with all that is known."""
    own_site.put(instance("a"), instance("b"))
    own_site.discover().ready()
    wait_until(own_site.complete, "the stream to be complete")
    incarnations = {check(own_site.stream).incarnation}
    own_redis_server.restart(keep_data=False)
    wait_until(own_site.complete, "the stream to be complete")
    report = check(own_site.stream)
    assert report.incarnation not in incarnations
    assert report.counts == {"epoch-began": 1, "instance-added": 2}
    assert own_site.last("instance-added")["cause"] == "reconciled"


def test_redis_started_again_with_its_data_is_another_incarnation(
    own_site: Site, own_redis_server: RedisServer
) -> None:
    """Nobody can tell how much of its tail it kept."""
    own_site.put(instance("a"), instance("b"))
    own_site.discover().ready()
    wait_until(own_site.complete, "the stream to be complete")
    former = check(own_site.stream).incarnation
    own_redis_server.stop()
    own_site.put(instance("c"))
    own_redis_server.start()
    wait_until(lambda: own_site.complete(other_than=former), "another incarnation, complete")
    check(own_site.stream)
    assert set(own_site.catalog()) == {"a", "b", "c"}


def test_etcd_away_withdraws_nothing(own_site: Site, own_etcd_server: EtcdServer) -> None:
    """Its last word stands; back, what happened meanwhile arrives, and the absence is told by two facts."""
    own_site.put(instance("a"), instance("b"))
    discover = own_site.discover().ready()
    wait_until(own_site.complete, "the stream to be complete")
    own_etcd_server.stop()
    wait_until(lambda: "source-lost" in own_site.types(), "the loss to be told")
    assert discover.state()["sources"][own_site.source]["reason"]
    own_etcd_server.start()
    own_site.withdraw(instance("a"))
    wait_until(lambda: set(own_site.catalog()) == {"b"}, "the withdrawal")
    wait_until(lambda: "source-recovered" in own_site.types(), "the return to be told")
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
    own_site.discover().ready()
    wait_until(own_site.complete, "the stream to be complete")
    own_site.store.revoke(one)
    wait_until(lambda: own_site.catalog() == {"c": State.UP}, "the host to be removed")
    assert own_site.last("instance-removed")["cause"] == "expired"
    assert "instance-changed" not in own_site.types()


def test_hosts_that_expire_together_become_suspect(own_site: Site, measured: Callable[[str], None]) -> None:
    """Three of four leases end at once: marked, not removed; who is seen again is as before, the others go in time."""
    leases = [own_site.host(f"h{number}", instance(f"i{number}", host=f"h{number}")) for number in range(4)]
    own_site.discover().ready()
    wait_until(own_site.complete, "the stream to be complete")
    for lease in leases[1:]:
        own_site.store.revoke(lease)
    wait_until(lambda: list(own_site.catalog().values()).count(State.SUSPECT) == 3, "three to be suspect")
    assert own_site.catalog()["i0"] is State.UP
    assert "instance-removed" not in own_site.types()
    own_site.host("h1", instance("i1", host="h1"))
    wait_until(lambda: own_site.catalog()["i1"] is State.UP, "the host to be as before")
    held = wait_until(
        lambda: own_site.catalog() == {"i0": State.UP, "i1": State.UP},
        "the others to go",
        HOLD_SECONDS + DEADLINE_SECONDS,
    )
    assert check(own_site.stream).counts["instance-removed"] == 2
    measured(f"suspects left {held:.1f} s after the third was seen again")


def test_frozen_etcd_expires_nothing(own_site: Site, own_etcd_server: EtcdServer) -> None:
    """An etcd that stood still for longer than its leases expires them as it wakes: suspect, even for one host."""
    own_site.host("h1", instance("a", host="h1"), ttl_seconds=2)
    own_site.discover().ready()
    wait_until(own_site.complete, "the stream to be complete")
    own_etcd_server.pause()
    wait_until(lambda: "source-lost" in own_site.types(), "the loss to be told", FROZEN_SECONDS)
    own_etcd_server.resume()
    wait_until(lambda: own_site.catalog() == {"a": State.SUSPECT}, "the instance to be suspect", FROZEN_SECONDS)
    wait_until(lambda: "source-recovered" in own_site.types(), "the return to be told", FROZEN_SECONDS)
    assert "instance-removed" not in own_site.types()
    check(own_site.stream)


def test_replaced_etcd_is_not_believed_at_once(own_site: Site, own_etcd_server: EtcdServer) -> None:
    """An etcd that comes back empty makes everything suspect, and nothing goes before somebody registers again."""
    own_site.put(instance("a"), instance("b"))
    own_site.discover().ready()
    wait_until(own_site.complete, "the stream to be complete")
    own_etcd_server.restart(keep_data=False)
    wait_until(lambda: own_site.catalog() == {"a": State.SUSPECT, "b": State.SUSPECT}, "both to be suspect")
    own_site.put(instance("a"))
    wait_until(lambda: own_site.catalog() == {"a": State.UP}, "the other to go", HOLD_SECONDS + DEADLINE_SECONDS)
    check(own_site.stream)


def test_stop_waits_for_nobody_who_does_not_answer(
    own_site: Site, own_etcd_server: EtcdServer, own_redis_server: RedisServer, measured: Callable[[str], None]
) -> None:
    """Status 0, with both servers frozen under it."""
    own_site.put(instance("a"))
    discover = own_site.discover().ready()
    wait_until(own_site.complete, "the stream to be complete")
    own_etcd_server.pause()
    own_redis_server.pause()
    took = discover.end()
    measured(f"stopped in {took:.2f} s while neither etcd nor Redis answered")
