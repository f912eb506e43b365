"""A mirror equals its store after whatever happens to the store, on the twin in memory and on a real etcd."""

import random
import time
from collections.abc import Iterator

import pytest

from mooring.backoff import Backoff
from mooring.etcd.client import connect
from mooring.etcd.memory import MemoryStore
from mooring.etcd.mirror import Mirror
from mooring.etcd.store import Delete, Put, Store
from mooring.model import parse_address
from tests.contract.mirrors import PREFIX, Bench, Copy, mirrored, opened_bench, try_to_put
from tests.contract.stores import STORES
from tests.servers import EtcdServer


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Run the test twice: on the twin, and on an etcd of its own."""
    yield from opened_bench(request)


def test_mirror_resumes_where_it_was(bench: Bench) -> None:
    """A store that was away and has what it had is followed from the cursor: told as lost and recovered, not listed."""
    copy = Copy()
    bench.put("a", b"1")
    with mirrored(bench.store, copy):
        copy.wait_for("listed")
        bench.fail()
        copy.wait_for("listed", "lost")
        bench.recover()
        copy.wait_for("listed", "lost", "recovered")
        last = bench.put("a", b"2")
        copy.wait_until(lambda: copy.revisions[-1] == last)
        assert copy.items == bench.items()
    assert copy.words == ["listed", "lost", "recovered"]


def test_mirror_waits_for_a_store_that_is_not_there_yet(bench: Bench) -> None:
    """A store that is away at the start is told as lost once, however often it was tried, then listed."""
    bench.fail()
    copy = Copy()
    with mirrored(bench.store, copy):
        copy.wait_for("lost")
        bench.recover()
        copy.wait_for("lost", "listed", "recovered")


def test_outage_is_told_once() -> None:
    """However many attempts fail, the observer is told at the first, and that it is over when a watch stands again."""
    store, attempts = MemoryStore(), list[int]()
    store.fail()

    class UntilRecovered(Copy):
        def recovered(self) -> None:
            super().recovered()
            mirror.stop()

    def jitter() -> float:
        attempts.append(len(attempts))
        if len(attempts) == 3:
            store.recover()
        return 0.0

    copy = UntilRecovered()
    mirror = Mirror(store, PREFIX, copy, new_identity=lambda: "x", jitter=jitter, backoff=Backoff(0.001, 0.001))
    mirror.run()
    assert copy.words == ["lost", "listed", "recovered"]


def test_mirror_finds_out_that_the_store_was_replaced(bench: Bench) -> None:
    """An empty store in its place is listed: what the other one held is no more."""
    copy = Copy()
    with mirrored(bench.store, copy):
        copy.wait_until(lambda: "listed" in copy.words)
        for number in range(20):
            bench.put("a", str(number).encode())
        copy.wait_until(lambda: copy.items == {PREFIX + "a": b"19"})
        bench.replace()
        copy.wait_until(lambda: copy.items == {})
        last = bench.put("b", b"1")
        copy.wait_until(lambda: copy.revisions[-1] == last)
        assert copy.items == bench.items() == {PREFIX + "b": b"1"}


def test_replaced_store_that_has_overtaken_is_found_out(bench: Bench) -> None:
    """Another store whose revision is beyond the cursor is told by its identity alone, and listed."""
    copy = Copy()
    with mirrored(bench.store, copy, bench.patience):
        copy.wait_for("listed")
        bench.put("a", b"old")
        copy.wait_until(lambda: copy.items == {PREFIX + "a": b"old"})
        cursor = copy.revisions[-1]
        bench.replace()
        written: list[int] = []
        while not written or written[-1] <= cursor + 1:
            try_to_put(bench.store, written)
        bench.commit(*(Delete(key) for key in bench.items()), Put(PREFIX + "new", b""))
        copy.wait_for("listed", "lost", "listed", "recovered")
        assert copy.items == {PREFIX + "new": b""}


def test_compaction_past_the_cursor_lists_again(bench: Bench) -> None:
    """What was compacted while the mirror was cut off is not missed: everything is listed anew."""
    copy = Copy()
    with mirrored(bench.store, copy, bench.patience):
        copy.wait_for("listed")
        bench.put("a", b"0")
        copy.wait_until(lambda: PREFIX + "a" in copy.items)
        bench.fail()
        copy.wait_for("listed", "lost")
        bench.recover()
        written: list[int] = []
        while not try_to_put(bench.store, written):
            pass
        bench.commit(Delete(PREFIX + "a"))
        bench.compact(bench.put("b"))
        copy.wait_for("listed", "lost", "listed", "recovered")
        assert copy.items == bench.items()
        assert PREFIX + "a" not in copy.items


@pytest.mark.parametrize("seed", range(5))
def test_mirror_converges_whatever_happens(seed: int) -> None:
    """Through any sequence of writes, outages, compactions and replacements the mirror ends equal to the store."""
    dice, store, copy = random.Random(seed), MemoryStore(), Copy()
    bench = Bench(store, store.compact, store.fail, store.recover, store.replace, Backoff())
    with mirrored(store, copy, Backoff(0.001, 0.01)):
        for _ in range(400):
            match dice.choice(["put"] * 20 + ["delete"] * 8 + ["settle", "outage", "compact", "replace"]):
                case "put":
                    bench.put(str(dice.randrange(20)), dice.randbytes(4))
                case "delete":
                    bench.commit(Delete(PREFIX + str(dice.randrange(20))))
                case "settle":
                    copy.wait_until(lambda: copy.items == bench.items())
                case "outage":
                    store.fail()
                    store.recover()
                case "compact":
                    store.compact()
                case "replace":
                    store.replace()
        copy.wait_until(lambda: copy.items == bench.items())


def test_mirror_of_a_killed_etcd_misses_nothing(own_etcd_server: EtcdServer) -> None:
    """While etcd crashes and comes back under a writer, the mirror ends with every acknowledged write, told once."""
    store, copy = connect([parse_address(own_etcd_server.address)]), Copy()
    written: list[int] = []
    with mirrored(store, copy):
        copy.wait_for("listed")
        for _ in range(3):
            deadline = time.monotonic() + 0.4
            while time.monotonic() < deadline:
                try_to_put(store, written)
            own_etcd_server.kill()
            own_etcd_server.start()
        while not try_to_put(store, written):
            pass
        copy.wait_until(lambda: copy.revisions[-1] == written[-1])
    assert set(written) <= set(copy.revisions)
    assert len(set(copy.revisions)) == len(copy.revisions)
    assert copy.words == ["listed", *["lost", "recovered"] * 3]
    store.close()


def test_frozen_etcd_is_noticed_and_resumed(own_etcd_server: EtcdServer) -> None:
    """A freeze of 3 s passes unnoticed and nothing is missed; a longer one is told within 16 s, by the pings."""
    store, copy = connect([parse_address(own_etcd_server.address)]), Copy()
    written: list[int] = []
    with mirrored(store, copy):
        copy.wait_for("listed")
        own_etcd_server.pause()
        copy.stays_quiet(3)
        own_etcd_server.resume()
        _write_and_see(store, copy, written)
        # So idle that no answer is waited for: the library's own pings, that follow data, would notice earlier.
        copy.stays_quiet(2)
        own_etcd_server.pause()
        copy.wait_for("listed", "lost", seconds=16)
        own_etcd_server.resume()
        copy.wait_for("listed", "lost", "recovered")
        _write_and_see(store, copy, written)
    store.close()


def _write_and_see(store: Store, copy: Copy, written: list[int]) -> None:
    while not try_to_put(store, written):
        pass
    copy.wait_until(lambda: copy.revisions[-1] == written[-1])
