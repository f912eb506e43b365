"""What every `Store` tells of changes, held to its twin in memory and to a real etcd."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.errors import StartOver
from mooring.etcd.store import Change, Committed, Delete, KeyValue, Put, Removed
from tests.contract.stores import NOWHERE, STORES, Bench, Breakable, opened_bench, opened_breakable, put, take
from tests.waiting import wait_until


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Run the test twice: on the twin, and on an etcd that it shares with others."""
    yield from opened_bench(request)


@pytest.fixture(params=STORES)
def breakable(request: pytest.FixtureRequest) -> Iterator[Breakable]:
    """Run the test twice: on the twin, and on an etcd of its own."""
    yield from opened_breakable(request)


def test_watch_continues_a_listing_without_a_hole(bench: Bench, namespace: str) -> None:
    """What changes between a listing and its watch, and after, is told once and in order; neighbours are not."""
    put(bench.store, f"/{namespace}/a", b"1")
    listing = bench.store.list(f"/{namespace}/")
    changed = put(bench.store, f"/{namespace}/a", b"2")
    put(bench.store, f"/{namespace}0", b"next to it")
    watch = bench.store.watch(f"/{namespace}/", listing.revision)
    batches = iter(watch)
    assert next(batches) == ()
    gone = bench.store.commit((), (Delete(f"/{namespace}/a"), Put(f"/{namespace}/b", b"3")))
    changes: list[Change] = []
    while len(changes) < 3:
        changes += next(batches)
    watch.cancel()
    assert isinstance(gone, Committed)
    assert changes == [
        KeyValue(f"/{namespace}/a", b"2", changed),
        Removed(f"/{namespace}/a", gone.revision),
        KeyValue(f"/{namespace}/b", b"3", gone.revision),
    ]


def test_watch_reaches_back_as_far_as_history_is_kept(bench: Bench, namespace: str) -> None:
    """Every single change after the revision is told, not only what is left of them."""
    start = bench.store.list(f"/{namespace}/").revision
    revisions = [put(bench.store, f"/{namespace}/a", str(number).encode()) for number in range(300)]
    changes = take(bench.store.watch(f"/{namespace}/", start), 300)
    assert [change.revision for change in changes] == revisions


def test_watch_can_begin_with_the_store(breakable: Breakable) -> None:
    """Following from revision 0 tells everything that ever happened."""
    first = put(breakable.store, "/a")
    assert [change.revision for change in take(breakable.store.watch("/", 0), 1)] == [first]


def test_compacted_revision_starts_over(bench: Bench, namespace: str) -> None:
    """Following from before the compacted revision says so before anything else; following from it works."""
    revisions = [put(bench.store, f"/{namespace}/a", b"x") for _ in range(6)]
    bench.compact(revisions[3])
    for start in (0, *revisions[:3]):
        with pytest.raises(StartOver, match="compacted"):
            next(iter(bench.store.watch(f"/{namespace}/", start)))
    for number, start in enumerate(revisions[3:5], 4):
        changes = take(bench.store.watch(f"/{namespace}/", start), 6 - number)
        assert [change.revision for change in changes] == revisions[number:]
    assert next(iter(bench.store.watch(f"/{namespace}/", revisions[5]))) == ()


def test_revision_of_the_future_starts_over(bench: Bench, namespace: str) -> None:
    """A store that has not come to the revision yet is not the store that was listed."""
    with pytest.raises(StartOver, match="replaced"):
        list(bench.store.watch(f"/{namespace}/", NOWHERE))


def test_watch_is_cancelled_from_another_thread(bench: Bench, namespace: str) -> None:
    """Whoever iterates is let go, without an error; a watch cancelled before it began never begins."""
    revision = bench.store.list(f"/{namespace}/").revision
    watch = bench.store.watch(f"/{namespace}/", revision)
    batches = iter(watch)
    assert next(batches) == ()
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list, batches)
        watch.cancel()
        assert rest.result(5) == []
    watch.cancel()
    unborn = bench.store.watch(f"/{namespace}/", revision)
    unborn.cancel()
    assert list(unborn) == []


def test_watches_leave_no_threads_behind(bench: Bench, namespace: str) -> None:
    """Watches that came and went cost nothing afterwards."""
    revision = bench.store.list(f"/{namespace}/").revision
    before = threading.active_count()
    for _ in range(20):
        watch = bench.store.watch(f"/{namespace}/", revision)
        assert next(iter(watch)) == ()
        watch.cancel()
    wait_until(lambda: threading.active_count() <= before + 1, "the watches' threads to end", 5)


def test_closing_ends_watches(bench: Bench, namespace: str) -> None:
    """Whoever iterates when the store is closed is let go, without an error."""
    batches = iter(bench.store.watch(f"/{namespace}/", bench.store.list(f"/{namespace}/").revision))
    assert next(batches) == ()
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list, batches)
        bench.store.close()
        assert rest.result(5) == []
