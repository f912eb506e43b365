"""A mirror lists its store and follows it, on the twin in memory and on a real etcd."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mooring.backoff import Backoff
from mooring.etcd.memory import MemoryStore
from mooring.etcd.mirror import Mirror
from mooring.etcd.store import Delete, Listing, Put
from mooring.keys import STORE_KEY
from tests.contract.mirrors import PREFIX, Bench, Copy, mirrored, opened_bench
from tests.contract.stores import STORES


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Run the test twice: on the twin, and on an etcd of its own."""
    yield from opened_bench(request)


def test_mirror_lists_and_then_follows(bench: Bench) -> None:
    """What was there is listed once, what comes is told as it comes; whatever lies elsewhere is not."""
    bench.put("a", b"1")
    bench.commit(Put("/elsewhere", b""))
    copy = Copy()
    with mirrored(bench.store, copy):
        copy.wait_for("listed")
        assert copy.items == {PREFIX + "a": b"1"}
        bench.put("b", b"2")
        bench.commit(Delete(PREFIX + "a"), Put("/elsewhere", b"2"))
        last = bench.put("c", b"3")
        copy.wait_until(lambda: copy.revisions[-1] == last)
        assert copy.items == {PREFIX + "b": b"2", PREFIX + "c": b"3"}
    assert copy.words == ["listed"]


def test_identity_is_chosen_once(bench: Bench) -> None:
    """Of many that come to a new store at once one names it, and all find the same name and follow."""
    copies = [Copy() for _ in range(8)]
    with ExitStack() as stack:
        for copy in copies:
            stack.enter_context(mirrored(bench.store, copy))
        last = bench.put("a", b"1")
        for copy in copies:
            copy.wait_until(lambda copy=copy: PREFIX + "a" in copy.items)  # type: ignore[misc]
            assert copy.words == ["listed"]
    identity = bench.store.get(STORE_KEY)
    assert identity is not None
    assert identity.revision < last + len(copies)
    assert [item.key for item in bench.store.list("/mooring/").items] == [STORE_KEY]


def test_end_of_a_lease_is_a_change_like_any_other(bench: Bench) -> None:
    """A host's keys go when its lease does, all in one revision."""
    copy = Copy()
    lease = bench.store.grant(60)
    with mirrored(bench.store, copy):
        for number in range(200):
            bench.commit(Put(f"{PREFIX}{number}", b"", lease))
        copy.wait_until(lambda: len(copy.items) == 200)
        bench.store.revoke(lease)
        copy.wait_until(lambda: not copy.items)
        assert len(set(copy.revisions[-200:])) == 1
    assert copy.words == ["listed"]


@pytest.mark.parametrize("doing", ["following", "waiting"])
def test_mirror_stops_at_once(bench: Bench, doing: str) -> None:
    """Whether it follows or waits for a store that is away, `stop` ends it, and nothing is told after."""
    copy = Copy()
    with mirrored(bench.store, copy, Backoff(60.0, 60.0)) as mirror:
        copy.wait_for("listed")
        if doing == "waiting":
            bench.fail()
            copy.wait_for("listed", "lost")
        mirror.stop()
    assert "recovered" not in copy.words


def test_mirror_that_was_stopped_before_it_ran_does_nothing() -> None:
    """A store is not even asked."""
    copy, store = Copy(), MemoryStore()
    mirror = Mirror(store, PREFIX, copy, new_identity=lambda: "x", jitter=lambda: 1.0)
    mirror.stop()
    mirror.run()
    assert copy.words == []
    assert store.list("").items == ()


def test_fault_of_the_observer_ends_the_mirror() -> None:
    """What the observer raises is not taken for a failure of the world: it comes out of `run`."""

    class Broken(Copy):
        def listed(self, listing: Listing) -> None:
            raise KeyError(listing.revision)

    mirror = Mirror(MemoryStore(), PREFIX, Broken(), new_identity=lambda: "x", jitter=lambda: 1.0)
    with pytest.raises(KeyError):
        mirror.run()
