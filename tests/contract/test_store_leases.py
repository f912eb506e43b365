"""What every `Store` knows of leases, held to its twin in memory and to a real etcd."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.errors import LeaseLost
from mooring.etcd.memory import MemoryStore
from mooring.etcd.store import LEAST_TTL_SECONDS, Holds, Put, Refused, Removed
from tests.contract.stores import NOWHERE, STORES, Bench, opened_bench, put, take


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Run the test twice: on the twin, and on an etcd that it shares with others."""
    yield from opened_bench(request)


def test_lease_knows_its_keys(bench: Bench, namespace: str) -> None:
    """One call tells a successor all keys of a lease; a key that is written without it, or with another, leaves it."""
    lease, other = bench.store.grant(60), bench.store.grant(60)
    for name in "dcba":
        put(bench.store, f"/{namespace}/{name}", b"", lease)
    put(bench.store, f"/{namespace}/a", b"without")
    put(bench.store, f"/{namespace}/b", b"with another", other)
    present = bench.store.lease(lease)
    assert present is not None
    assert present.keys == (f"/{namespace}/c", f"/{namespace}/d")
    assert (present.id, present.granted_seconds) == (lease, 60)
    assert 55 <= present.remaining_seconds <= 60
    for each in (lease, other):
        bench.store.revoke(each)
    assert [item.key for item in bench.store.list(f"/{namespace}/").items] == [f"/{namespace}/a"]


def test_lease_is_granted_for_a_least_time(bench: Bench) -> None:
    """Whoever asks for less than a store can grant is given that."""
    lease = bench.store.grant(1)
    assert bench.store.keep_alive(lease) == LEAST_TTL_SECONDS
    bench.store.revoke(lease)


def test_keep_alive_renews(bench: Bench) -> None:
    """Keeping a lease alive returns the seconds that it was granted, and it has them again."""
    lease = bench.store.grant(60)
    bench.let_pass(30)
    assert bench.store.keep_alive(lease) == 60
    present = bench.store.lease(lease)
    assert present is not None
    assert present.remaining_seconds >= 55
    bench.store.revoke(lease)


def test_lease_that_is_gone_is_told(bench: Bench, namespace: str) -> None:
    """Writing under it and renewing it say `LeaseLost` by number and do nothing else; ending it again is harmless."""
    lease = bench.store.grant(60)
    bench.store.revoke(lease)
    for gone in (lease, NOWHERE):
        assert bench.store.lease(gone) is None
        bench.store.revoke(gone)
        with pytest.raises(LeaseLost) as lost:
            bench.store.keep_alive(gone)
        assert lost.value.lease == gone
        with pytest.raises(LeaseLost) as lost:
            bench.store.commit((), (Put(f"/{namespace}/a", b""), Put(f"/{namespace}/b", b"", gone)))
        assert lost.value.lease == gone
    assert bench.store.list(f"/{namespace}/").items == ()


def test_condition_comes_before_the_lease(bench: Bench, namespace: str) -> None:
    """A transaction that is refused anyway does not mind that its lease is gone."""
    key = f"/{namespace}/a"
    assert bench.store.commit((Holds(key, b"x"),), (Put(key, b"", NOWHERE),)) == Refused(())


@pytest.mark.parametrize("way", ["expired", "revoked"])
def test_end_of_a_lease_removes_its_keys_at_once(bench: Bench, namespace: str, way: str) -> None:
    """All keys of a lease go in one revision, seen as removals like any other."""
    lease = bench.store.grant(LEAST_TTL_SECONDS)
    start = [put(bench.store, f"/{namespace}/{name}", b"", lease) for name in "ab"][-1]
    watch = bench.store.watch(f"/{namespace}/", start)
    if way == "revoked":
        bench.store.revoke(lease)
    else:
        bench.let_pass(LEAST_TTL_SECONDS)
    changes = take(watch, 2)
    assert all(isinstance(change, Removed) for change in changes)
    assert sorted(change.key for change in changes) == [f"/{namespace}/a", f"/{namespace}/b"]
    assert len({change.revision for change in changes}) == 1
    assert bench.store.lease(lease) is None


def test_twin_follows_the_clock_it_is_given() -> None:
    """The twin's leases end when the injected clock says so, and watches in other threads are told by `expire`."""
    moments = [100.0]
    store = MemoryStore(lambda: moments[0])
    lease = store.grant(10)
    watch = store.watch("/", put(store, "/a", b"", lease))
    moments[0] += 9
    assert store.keep_alive(lease) == 10
    moments[0] += 9.5
    present = store.lease(lease)
    assert present is not None
    assert present.remaining_seconds == 0
    with ThreadPoolExecutor(1) as pool:
        changes = pool.submit(take, watch, 1)
        moments[0] += 0.5
        store.expire()
        assert [change.key for change in changes.result(5)] == ["/a"]
    assert store.lease(lease) is None
