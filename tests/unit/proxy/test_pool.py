"""The pool and its balancer: who gets the next connection, and what is counted."""

from __future__ import annotations

from mooring.model import Address, State
from mooring_proxy.balancers.round_robin import RoundRobin
from mooring_proxy.pool import Count, Pool
from mooring_proxy.routing import Backend, BackendKey


def backend(name: str, state: State = State.UP, weight: int = 100) -> Backend:
    """Return a backend of that id."""
    return Backend(BackendKey("web", name), Address("10.0.0.1", 80), state, weight)


def picked(pool: Pool, times: int) -> str:
    """Return the ids of so many picks."""
    picks = [pool.pick() for _ in range(times)]
    return "".join(one.key.id for one in picks if one)


def test_each_in_turn() -> None:
    """Round robin goes around by key."""
    assert picked(Pool(RoundRobin(), [backend(name) for name in "abc"]), 7) == "abcabca"


def test_who_comes_or_goes_does_not_disturb_the_turn() -> None:
    """After b comes whoever follows b, whatever happened to the rest."""
    pool = Pool(RoundRobin(), [backend(name) for name in "abc"])
    assert picked(pool, 2) == "ab"
    pool.update([backend(name) for name in "acd"])
    assert picked(pool, 4) == "cdac"


def test_those_tried_already_are_passed_over() -> None:
    """A connection tries each backend once, worse ones after better ones, and then nobody."""
    pool = Pool(RoundRobin(), [backend("a"), backend("b"), backend("s", State.SUSPECT)])
    tried: list[BackendKey] = []
    while one := pool.pick(tried):
        tried.append(one.key)
    assert [key.id for key in tried] == ["a", "b", "s"]


def test_a_suspect_is_picked_only_when_nothing_better_is_there() -> None:
    """Up before starting before suspect; draining never."""
    pool = Pool(RoundRobin(), [backend("a", State.SUSPECT), backend("b", State.STARTING), backend("c", State.DRAINING)])
    assert picked(pool, 2) == "bb"
    pool.update([backend("a", State.SUSPECT), backend("c", State.DRAINING)])
    assert picked(pool, 2) == "aa"
    pool.update([backend("c", State.DRAINING), backend("d", weight=0)])
    assert pool.pick() is None


def test_counts_outlive_the_place_in_the_pool() -> None:
    """A connection that a removed backend still holds is counted until it ends."""
    one = backend("a")
    pool = Pool(RoundRobin(), [one])
    pool.opened(one.key)
    pool.update([])
    assert pool.counts() == {one.key: Count(open=1, total=1)}
    pool.closed(one.key)
    assert pool.counts() == {}


def test_a_removed_backend_is_forgotten_with_an_attempt_that_failed() -> None:
    """Also when the last thing that it held was an attempt that came to nothing."""
    one = backend("a")
    pool = Pool(RoundRobin(), [one])
    pool.opened(one.key)
    pool.update([])
    pool.failed(one.key)
    assert pool.counts() == {}


def test_a_failed_attempt_is_no_connection() -> None:
    """It counts as failed, and nothing else."""
    pool = Pool(RoundRobin(), [backend("a")])
    pool.opened(backend("a").key)
    pool.failed(backend("a").key)
    assert pool.counts() == {backend("a").key: Count(failed=1)}


def test_connections_to_those_that_leave_are_told() -> None:
    """Of backends that get no new connection, present or gone, it is known how many they still hold."""
    staying, draining, gone, idle = (backend(name) for name in "abcd")
    pool = Pool(RoundRobin(), [staying, draining, gone, idle])
    for one in (staying, draining, gone, gone):
        pool.opened(one.key)
    assert pool.leaving() == {}
    pool.update([staying, backend("b", State.DRAINING), backend("d", weight=0)])
    assert pool.leaving() == {draining.key: 1, gone.key: 2}
    pool.closed(gone.key)
    pool.closed(draining.key)
    assert pool.leaving() == {gone.key: 1}
    pool.closed(gone.key)
    assert pool.leaving() == {}
    pool.opened(gone.key)
    pool.update([staying, draining, gone, idle])
    assert pool.leaving() == {}
