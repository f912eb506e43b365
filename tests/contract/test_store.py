"""What every `Store` lists and commits, held to its twin in memory and to a real etcd."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.etcd.client import PAGE_KEYS
from mooring.etcd.store import MOST_OPERATIONS, At, Committed, Delete, Holds, KeyValue, Put, Refused
from tests.contract.stores import STORES, Bench, opened_bench, put, take


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Run the test twice: on the twin, and on an etcd that it shares with others."""
    yield from opened_bench(request)


def test_listing_holds_exactly_what_lies_below_the_prefix(bench: Bench, namespace: str) -> None:
    """Keys come sorted, with value, revision and lease, at a revision that is at least theirs; neighbours do not."""
    lease = bench.store.grant(60)
    second = put(bench.store, f"/{namespace}/b", b"2", lease)
    first = put(bench.store, f"/{namespace}/a", b"1")
    put(bench.store, f"/{namespace}0", b"next to it")
    listing = bench.store.list(f"/{namespace}/")
    assert listing.items == (
        KeyValue(f"/{namespace}/a", b"1", first),
        KeyValue(f"/{namespace}/b", b"2", second, lease),
    )
    assert listing.revision >= first
    bench.store.revoke(lease)


def test_listing_of_any_size_is_whole(bench: Bench, namespace: str) -> None:
    """More keys than fit on a page are all there, once, at one revision."""
    keys = [f"/{namespace}/{number:05}" for number in range(2 * PAGE_KEYS + 17)]
    for start in range(0, len(keys), 100):
        bench.store.commit((), tuple(Put(key, b"x") for key in keys[start : start + 100]))
    listing = bench.store.list(f"/{namespace}/")
    assert [item.key for item in listing.items] == keys
    assert listing.revision == bench.store.list(f"/{namespace}/nothing").revision


@pytest.mark.parametrize("count", [0, 1, MOST_OPERATIONS, 2 * MOST_OPERATIONS + 7])
def test_any_number_of_keys_is_read(bench: Bench, namespace: str, count: int) -> None:
    """Of keys, some of them named twice, those that there are come with all that is known of them, each once."""
    keys = [f"/{namespace}/{number:05}" for number in range(count)]
    lease = bench.store.grant(60)
    for start in range(0, count, 100):
        bench.store.commit((), tuple(Put(key, b"x", lease) for key in keys[start : start + 100]))
    put(bench.store, f"/{namespace}/other", b"not asked for")
    before = bench.store.list(f"/{namespace}/")
    there = bench.store.read([*reversed(keys), *keys, f"/{namespace}/nothing"])
    assert there == before.items[:-1]
    bench.store.revoke(lease)


def test_listing_is_of_one_moment(bench: Bench, namespace: str) -> None:
    """A key that is moved from the last page to the first while a listing is under way is in it once."""
    keys = [f"/{namespace}/{number:05}" for number in range(2 * PAGE_KEYS + 17)]
    for start in range(0, len(keys), 100):
        bench.store.commit((), tuple(Put(key, b"x") for key in keys[start : start + 100]))
    stopping = threading.Event()

    def move() -> None:
        place = keys[-1]
        for number in itertools.count():
            if stopping.is_set():
                return
            moved = f"/{namespace}/{'0' if number % 2 else '9'}"
            bench.store.commit((), (Delete(place), Put(moved, b"x")))
            place = moved

    with ThreadPoolExecutor(1) as pool:
        mover = pool.submit(move)
        sizes = {len(bench.store.list(f"/{namespace}/").items) for _ in range(20)}
        stopping.set()
        mover.result(10)
    assert sizes == {len(keys)}


def test_empty_prefix_means_everything(bench: Bench, namespace: str) -> None:
    """A prefix of nothing is no special case, neither for a listing nor for a watch."""
    before = put(bench.store, f"/{namespace}", b"1")
    assert f"/{namespace}" in [item.key for item in bench.store.list("").items]
    put(bench.store, f"{namespace} without a slash")
    assert take(bench.store.watch("", before), 1)[0].key == f"{namespace} without a slash"


def test_key_and_value_come_back_as_they_were(bench: Bench, namespace: str) -> None:
    """A key of any letters and a value of any bytes are returned unchanged; a key that is not there is None."""
    key, value = f"/{namespace}/größe %2F|🚢", bytes(range(256))
    revision = put(bench.store, key, value)
    assert bench.store.get(key) == KeyValue(key, value, revision)
    assert bench.store.list(key).items == (KeyValue(key, value, revision),)
    assert bench.store.get(f"/{namespace}/nothing") is None


def test_transaction_happens_wholly_or_not_at_all(bench: Bench, namespace: str) -> None:
    """When one condition does not hold nothing is carried out, and what the conditions' keys hold is returned."""
    key, other = f"/{namespace}/a", f"/{namespace}/b"
    created = bench.store.commit((At(key, 0),), (Put(key, b"mine"),))
    assert isinstance(created, Committed)
    refused = bench.store.commit(
        (Holds(key, b"mine"), At(key, created.revision - 1), At(other, 0)), (Put(key, b"x"), Put(other, b"x"))
    )
    assert refused == Refused((KeyValue(key, b"mine", created.revision),))
    assert bench.store.get(other) is None
    changed = bench.store.commit((Holds(key, b"mine"), At(key, created.revision)), (Delete(key), Put(other, b"x")))
    assert isinstance(changed, Committed)
    assert bench.store.list(f"/{namespace}/").items == (KeyValue(other, b"x", changed.revision),)


def test_nothing_holds_at_a_key_that_is_not_there(bench: Bench, namespace: str) -> None:
    """An absent key holds no value, not even an empty one, and is at revision 0."""
    key = f"/{namespace}/a"
    assert bench.store.commit((Holds(key, b""),), ()) == Refused(())
    assert isinstance(bench.store.commit((At(key, 0),), ()), Committed)


def test_removing_what_is_not_there_is_no_change(bench: Bench, namespace: str) -> None:
    """Such a transaction succeeds and is seen by nobody: it has no revision of its own."""
    before = put(bench.store, f"/{namespace}/a")
    assert bench.store.commit((), (Delete(f"/{namespace}/b"),)) == Committed(before)
    assert bench.store.commit((), ()) == Committed(before)


def test_impossible_transaction_is_our_mistake(bench: Bench, namespace: str) -> None:
    """Two operations on one key, or more than a store takes, are refused before anything is asked of the store."""
    with pytest.raises(ValueError, match="named by two operations"):
        bench.store.commit((), (Put(f"/{namespace}/a", b"1"), Delete(f"/{namespace}/a")))
    many = [f"/{namespace}/{number}" for number in range(MOST_OPERATIONS + 1)]
    with pytest.raises(ValueError, match="129 operations"):
        bench.store.commit((), tuple(Put(key, b"") for key in many))
    with pytest.raises(ValueError, match="129 conditions"):
        bench.store.commit(tuple(At(key, 0) for key in many), ())
    most = many[:MOST_OPERATIONS]
    assert isinstance(
        bench.store.commit(tuple(At(key, 0) for key in most), tuple(Put(key, b"") for key in most)), Committed
    )


def test_only_one_of_many_wins_a_key(bench: Bench, namespace: str) -> None:
    """Counting up from several threads, each step conditional on the one before, loses no step."""
    key = f"/{namespace}/counter"
    put(bench.store, key, b"0")

    def count_up(steps: int) -> None:
        while steps:
            present = bench.store.get(key)
            assert present is not None
            step = Put(key, str(int(present.value) + 1).encode())
            steps -= isinstance(bench.store.commit((At(key, present.revision),), (step,)), Committed)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(count_up, 25) for _ in range(4)]:
            done.result()
    present = bench.store.get(key)
    assert present is not None
    assert present.value == b"100"
