"""Redis fails over, by real sentinels, under a real discover and two proxies: no entry is silently missing anywhere.

A replica copies its primary with a delay, so a failover may lose the last entries. What is tried here is that nobody
goes on as if it had not, that the old primary is never listened to again, and that traffic does not notice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mooring.model import Address, Instance, State
from tests.checker import check
from tests.integration.failovers import Stand, role, stand
from tests.integration.proxies import Whoami
from tests.parts import Part
from tests.servers import EtcdServer
from tests.waiting import holds_for, wait_until

Measured = Callable[[str], None]


@pytest.fixture
def one_sentinel(tmp_path: Path, etcd_server: EtcdServer, namespace: str) -> Iterator[Stand]:
    """Have two Redis and one sentinel."""
    with stand(tmp_path, etcd_server, namespace) as made:
        yield made


@pytest.fixture
def three_sentinels(tmp_path: Path, etcd_server: EtcdServer, namespace: str) -> Iterator[Stand]:
    """Have two Redis and three sentinels, two of which have to agree."""
    with stand(tmp_path, etcd_server, namespace, sentinels=3) as made:
        yield made


def begun(at: Stand) -> tuple[Part, Whoami, Instance]:
    """Start a discover, and let the service be at `a`; return the discover, `a`, and how it is registered."""
    discover = at.site.discover()
    started, registered = at.service("a")
    at.site.put(registered)
    for proxy in at.proxies:
        proxy.ready()
    at.await_table("a")
    return discover, started, registered


def moved_unseen_by_the_replica(at: Stand, was: Whoami, former: Instance) -> None:
    """Let the service move to `b`, and end what it was: that is all that the replica knows."""
    _, present = at.service("b")
    at.redis.cut()
    at.site.put(present)
    at.site.withdraw(former)
    at.await_table("b")
    was.kill()


def test_a_replica_that_lacks_the_last_entries_is_promoted(three_sentinels: Stand, measured: Measured) -> None:
    """Killed, its primary is not missed: a new incarnation tells everybody everything, and no request fails."""
    at = three_sentinels
    _, was, registered = begun(at)
    with at.load() as load:
        moved_unseen_by_the_replica(at, was, registered)
        former = at.incarnation()
        at.redis.first.kill()
        began = time.monotonic()
        wait_until(lambda: at.incarnation() not in ("", former), "the stream to be complete again", 30)
        written = time.monotonic() - began
        at.await_table("b", former=former)
        complete = time.monotonic() - began
        present = at.incarnation()
        at.redis.first.start()  # its own settings say that it is a primary
        assert role(at.redis.first) == "master"
        _, third = at.service("c")
        at.site.put(third)
        at.await_table("b", "c")
    assert load.failures == ()
    assert check(at.site.stream).incarnation == at.incarnation() == present
    measured(
        f"Redis killed, replica lacked the tail: stream complete again after {written:.1f} s, "
        f"both proxies after {complete:.1f} s (sentinels wait 1 s)"
    )


def test_a_frozen_primary_that_wakes_is_listened_to_by_nobody(one_sentinel: Stand, measured: Measured) -> None:
    """It was passed over while it stood still; awake, it believes for a while that it is the primary."""
    at = one_sentinel
    _, was, registered = begun(at)
    with at.load() as load:
        moved_unseen_by_the_replica(at, was, registered)
        former = at.incarnation()
        at.redis.first.pause()
        began = time.monotonic()
        at.await_table("b", former=former)
        complete = time.monotonic() - began
        present = at.incarnation()
        at.redis.first.resume()
        assert role(at.redis.first) == "master"
        _, third = at.service("c")
        at.site.put(third)
        at.await_table("b", "c")
        at.redis.await_replica(at.redis.first)
        assert [state["incarnation"] for state in at.states()] == [present, present]
    assert load.failures == ()
    assert check(at.site.stream).incarnation == present
    measured(f"Redis frozen: both proxies complete after {complete:.1f} s")


def test_a_failover_while_discover_is_dead(one_sentinel: Stand) -> None:
    """Proxies keep the table that is newer than what the new primary holds, until a discover has told everything."""
    at = one_sentinel
    discover, was, registered = begun(at)
    with at.load() as load:
        moved_unseen_by_the_replica(at, was, registered)
        discover.kill()
        applied = [state["sequence"] for state in at.states()]
        at.redis.first.kill()
        at.redis.await_primary(at.redis.second)
        wait_until(lambda: {state["redis"] for state in at.states()} == {"answers"}, "the proxies to be back")
        holds_for(3, lambda: [state["sequence"] for state in at.states()] == applied, "they keep what they know")
        wait_until(at.site.head, "the new primary to be asked")
        head = at.site.head()
        assert head is not None
        assert all(head.sequence < int(str(sequence)) for sequence in applied)
        # More than were lost: the new numbers overlap with those that the proxies have applied.
        others = [
            Instance(service="other", id=f"o{number}", address=Address("10.0.0.9", 80 + number)) for number in range(9)
        ]
        at.site.put(*others)
        at.site.discover()
        at.await_table("b", former=head.incarnation)
    assert load.failures == ()
    assert check(at.site.stream).sequence > max(int(str(sequence)) for sequence in applied)
    assert set(at.site.catalog()) == {"b", *(one.id for one in others)}


def test_a_failover_on_purpose_under_writes(one_sentinel: Stand, measured: Measured) -> None:
    """With nothing lost it is a new incarnation all the same; what is written meanwhile arrives."""
    at = one_sentinel
    begun(at)
    with at.load() as load:
        former, began, number = at.incarnation(), time.monotonic(), 0
        at.redis.sentinels[0].fail_over()
        while at.incarnation() in ("", former):
            number += 1
            at.site.put(Instance(service="busy", id="busy", address=Address("10.0.0.9", 80 + number)))
            assert time.monotonic() - began < 30, "waited in vain for the failover"
        busy = Instance(service="busy", id="busy", address=Address("10.0.0.9", 80), state=State.DRAINING)
        at.site.put(busy)
        wait_until(lambda: at.site.catalog().get("busy") is State.DRAINING, "the last word to arrive")
        at.await_table("a", former=former)
        complete = time.monotonic() - began
    assert load.failures == ()
    check(at.site.stream)
    measured(f"failover on purpose, {number} writes meanwhile: complete after {complete:.1f} s")
