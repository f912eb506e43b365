"""The bench on which a mirror is tested: a store to be broken, a mirror in a thread, an observer that keeps a copy."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread
from uuid import uuid4

import pytest
from attrs import frozen

from mooring.backoff import Backoff
from mooring.errors import Unavailable
from mooring.etcd.client import connect
from mooring.etcd.memory import MemoryStore
from mooring.etcd.mirror import Mirror
from mooring.etcd.store import Change, Committed, Listing, Operation, Put, Removed, Store
from mooring.model import parse_address
from tests.contract.stores import compact
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


def opened_bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Open the twin for the parameter "memory", else an etcd that the test has for itself."""
    if request.param == "memory":
        memory = MemoryStore()
        yield Bench(memory, memory.compact, memory.fail, memory.recover, memory.replace, Backoff(0.5, 0.5))
        return
    server: EtcdServer = request.getfixturevalue("own_etcd_server")
    store = connect([parse_address(server.address)])

    def replace() -> None:
        server.restart(keep_data=False)

    yield Bench(
        store, lambda revision: compact(server, revision), server.kill, server.start, replace, Backoff(4.0, 4.0)
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
