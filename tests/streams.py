"""What the tests of a stream stand on: the same bench for the twin in memory and for a real Redis, and short words."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import redis
from attrs import evolve, frozen

from mooring.entries import Entry, decode_entry
from mooring.facts import Fact, SettingChanged
from mooring.keys import RedisNames
from mooring.redis.client import RedisStream
from mooring.redis.memory import MemoryStream
from mooring.redis.stream import Appended, Batch, Head, RawEntry, StreamWriter
from tests.servers import RedisServer
from tests.waiting import wait_until
from tests.wire import Wire

LONG_SECONDS = 10.0  # longer than anything here takes
SHORT_SECONDS = 0.3  # an expiry that a test sees pass


@frozen
class Bench:
    """A stream, and what can be done to its Redis from outside."""

    stream: StreamWriter
    another: Callable[[], StreamWriter]
    empty: Callable[[], None]
    lose_answer: Callable[[], None]
    let_pass: Callable[[float], None]


class _Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def let_pass(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def memory_bench() -> Iterator[Bench]:
    """Run on the twin."""
    clock = _Clock()
    memory = MemoryStream(clock)
    yield Bench(memory, memory.another, memory.wipe, memory.lose_answer, clock.let_pass)


@contextmanager
def redis_bench(server: RedisServer, names: RedisNames) -> Iterator[Bench]:
    """Run on a Redis, over a wire that loses answers; a second connection goes straight there."""
    with Wire(server.port) as wire, ExitStack() as at_the_end:

        def opened(url: str) -> RedisStream:
            stream = RedisStream.from_url(url, names)
            at_the_end.callback(stream.close)
            return stream

        # Real time passes by itself: whoever waits for what it brings has a deadline of its own.
        yield Bench(
            opened(f"redis://127.0.0.1:{wire.port}/0"),
            lambda: opened(server.url),
            lambda: _delete_all(server, names),
            wire.lose_answer,
            lambda _: None,
        )


def _delete_all(server: RedisServer, names: RedisNames) -> None:
    with redis.Redis(port=server.port) as client:
        for key in client.scan_iter(f"{names.namespace}:*"):
            client.delete(key)


def begun(stream: StreamWriter, incarnation: str = "life", epoch: int = 1) -> Head:
    """Open an incarnation."""
    return stream.begin(incarnation=incarnation, epoch=epoch, run_id=stream.run_id())


def batch_of(head: Head, *facts: Fact, **rest: Any) -> Batch:  # noqa: ANN401 -- whatever else a batch holds
    """Return a batch with these facts that follows this head."""
    entries = tuple(
        Entry(sequence=sequence, incarnation=head.incarnation, epoch=head.epoch, at=1.0, fact=fact)
        for sequence, fact in enumerate(facts, head.sequence + 1)
    )
    return Batch(incarnation=head.incarnation, epoch=head.epoch, after=head.sequence, entries=entries, **rest)


def written(stream: StreamWriter, *facts: Fact) -> Head:
    """Append these facts after whatever is there and return the head after them."""
    head = stream.head()
    assert head is not None
    assert stream.append(batch_of(head, *facts)) == Appended(head.sequence + len(facts))
    return evolve(head, sequence=head.sequence + len(facts))


def facts_read(entries: tuple[RawEntry, ...]) -> list[Fact | None]:
    """Return the facts of some entries."""
    decoded = [decode_entry(entry.sequence, entry.fields) for entry in entries]
    return [entry.fact if entry else None for entry in decoded]


def sequences(entries: tuple[RawEntry, ...]) -> list[int]:
    """Return the sequences of some entries."""
    return [entry.sequence for entry in entries]


def setting(number: int) -> SettingChanged:
    """Return a fact about a key of its own."""
    return SettingChanged(f"key/{number}", "x")


def eventually(bench: Bench, reached: Callable[[], bool], what: str) -> None:
    """Wait until it is so, and let time pass meanwhile also for a stream that has a clock of its own."""

    def is_reached() -> bool:
        if reached():
            return True
        bench.let_pass(0.01)
        return False

    wait_until(is_reached, what, LONG_SECONDS)


def reading(pool: ThreadPoolExecutor, stream: StreamWriter, after: int) -> "Future[tuple[RawEntry, ...]]":
    """Begin a blocking read in a thread."""
    return pool.submit(lambda: stream.read(after, block_seconds=LONG_SECONDS))
