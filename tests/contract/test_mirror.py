"""A mirror equals its store after whatever happens to the store, on the twin in memory and on a real etcd."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Condition, Thread
from uuid import uuid4

import pytest
from attrs import frozen

from mooring.backoff import Backoff
from mooring.errors import Unavailable
from mooring.etcd.client import connect
from mooring.etcd.memory import MemoryStore
from mooring.etcd.messages import etcd3, rpc
from mooring.etcd.mirror import Mirror
from mooring.etcd.store import Change, Committed, Delete, Listing, Operation, Put, Removed, Store
from mooring.keys import STORE_KEY
from mooring.model import parse_address
from tests.servers import EtcdServer

PREFIX = "/services/"
SOON_SECONDS = 10.0
QUICK = Backoff(0.1, 0.5)


class Copy:
    """An observer that keeps what it is told, and a protocol of it: words, in order."""

    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}
        self.revisions: list[int] = []
        self.words: list[str] = []
        self._told = Condition()

    def listed(self, listing: Listing) -> None:
        """See `Observer`."""
        with self._tell("listed"):
            self.items = {item.key: item.value for item in listing.items}
            self.revisions = [listing.revision]

    def changed(self, changes: tuple[Change, ...]) -> None:
        """See `Observer`; checks that nothing is told twice and nothing comes late."""
        with self._tell(""):
            assert changes
            for change in changes:
                assert change.revision >= self.revisions[-1]
                self.revisions.append(change.revision)
                if isinstance(change, Removed):
                    del self.items[change.key]
                else:
                    self.items[change.key] = change.value

    def lost(self, reason: str) -> None:
        """See `Observer`."""
        assert reason
        with self._tell("lost"):
            pass

    def recovered(self) -> None:
        """See `Observer`."""
        with self._tell("recovered"):
            pass

    @contextmanager
    def _tell(self, word: str) -> Iterator[None]:
        with self._told:
            yield
            self.words += [word] if word else []
            self._told.notify_all()

    def wait_until(self, condition: Callable[[], bool], seconds: float = SOON_SECONDS) -> None:
        """Wait for a condition on what was told."""
        with self._told:
            assert self._told.wait_for(condition, seconds), (self.words, self.items)

    def stays_quiet(self, seconds: float) -> None:
        """See to it that nothing at all is told for a while."""
        with self._told:
            assert not self._told.wait(seconds), self.words

    def wait_for(self, *words: str, seconds: float = SOON_SECONDS) -> None:
        """Wait until exactly these words were told, in this order."""
        self.wait_until(lambda: len(self.words) >= len(words), seconds)
        assert tuple(self.words) == words


@frozen
class Bench:
    """A store that a test has for itself, and what can be done to it from outside."""

    store: Store
    compact: Callable[[int], None]
    fail: Callable[[], None]
    recover: Callable[[], None]
    replace: Callable[[], None]
    patience: Backoff  # so long that a store is away, back and written to before a mirror looks again

    def put(self, name: str, value: bytes = b"") -> int:
        """Write a key below the prefix."""
        return self.commit(Put(PREFIX + name, value))

    def commit(self, *operations: Operation) -> int:
        """Carry out operations whatever is there."""
        outcome = self.store.commit((), operations)
        assert isinstance(outcome, Committed)
        return outcome.revision

    def items(self) -> dict[str, bytes]:
        """Return what is below the prefix."""
        return {item.key: item.value for item in self.store.list(PREFIX).items}


def _compact(server: EtcdServer, revision: int) -> None:
    client = etcd3.client(port=server.port, timeout=5)
    client.kvstub.Compact(rpc.CompactionRequest(revision=revision, physical=True), 5)
    client.close()


@pytest.fixture(params=["memory", "etcd"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Run the test twice: on the twin, and on an etcd of its own."""
    if request.param == "memory":
        memory = MemoryStore()
        yield Bench(memory, memory.compact, memory.fail, memory.recover, memory.replace, Backoff(0.5, 0.5))
        return
    server: EtcdServer = request.getfixturevalue("own_etcd_server")
    store = connect([parse_address(server.address)])

    def replace() -> None:
        server.restart(keep_data=False)

    yield Bench(
        store, lambda revision: _compact(server, revision), server.kill, server.start, replace, Backoff(4.0, 4.0)
    )
    store.close()


@contextmanager
def mirrored(store: Store, copy: Copy, backoff: Backoff = QUICK) -> Iterator[Mirror]:
    """Run a mirror in a thread; it must come to its end without an error when the block does."""
    mirror = Mirror(
        store,
        PREFIX,
        copy,
        new_identity=lambda: uuid4().hex,
        jitter=random.Random(7).random,
        backoff=backoff,
    )
    ends: list[str] = []

    def run() -> None:
        mirror.run()
        ends.append("well")

    thread = Thread(target=run)
    thread.start()
    try:
        yield mirror
    finally:
        mirror.stop()
        thread.join(5)
        assert ends == ["well"]


def try_to_put(store: Store, written: list[int]) -> bool:
    """Write something below the prefix, and down its revision, if the store is there."""
    try:
        outcome = store.commit((), (Put(f"{PREFIX}{len(written) % 10}", b""),))
    except Unavailable:
        return False
    assert isinstance(outcome, Committed)
    written.append(outcome.revision)
    return True


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
    """Whether it follows or waits for a store that is away, `stop` ends it within 200 ms, and nothing is told after."""
    copy = Copy()
    with mirrored(bench.store, copy, Backoff(5.0, 5.0)) as mirror:
        copy.wait_for("listed")
        if doing == "waiting":
            bench.fail()
            copy.wait_for("listed", "lost")
        started = time.monotonic()
        mirror.stop()
    assert time.monotonic() - started < 0.2
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
