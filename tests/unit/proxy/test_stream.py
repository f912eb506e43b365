"""The thread that follows a stream: what it tells and to whom, and what ends it.

That what it tells is true, whatever happens to the stream, is tried in tests/unit/test_stream_machine.py.
"""

from __future__ import annotations

from threading import Event

from mooring.catalog import Catalog, fold
from mooring.facts import EpochBegan, Fact
from mooring.redis.memory import MemoryStream
from mooring.redis.stream import StreamReader
from mooring_proxy.following import Froze, Known, Updated
from mooring_proxy.stream import StreamFollower
from tests.histories import Choice, instance, next_fact
from tests.streams import batch_of, begun


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.updates: list[Updated] = []
        self.frozen: Froze | None = None
        self.answers: list[bool] = []

    def updated(self, update: Updated) -> None:
        """See `Audience`."""
        self.updates.append(update)

    def froze(self, froze: Froze) -> None:
        """See `Audience`."""
        self.frozen = froze

    def redis_answers(self, answers: bool) -> None:
        """See `Audience`."""
        self.answers.append(answers)

    @property
    def known(self) -> Known | None:
        """The newest catalog."""
        return self.updates[-1].known if self.updates else None


class Writer:
    """Discover, as far as a follower sees it."""

    def __init__(self) -> None:
        self.stream = MemoryStream()
        self.catalog = Catalog()
        self.head = begun(self.stream, "life-1")
        self._append(EpochBegan("discover"))

    def change(self, choice: Choice) -> None:
        """Write the one fact that follows from a choice."""
        fact = next_fact(self.catalog, choice)
        assert fact is not None
        self.catalog = fold(self.catalog, [fact])
        self._append(fact)

    def _append(self, fact: Fact) -> None:
        self.stream.append(batch_of(self.head, fact, complete=True))
        head = self.stream.head()
        assert head is not None
        self.head = head


def follower(stream: StreamReader, listener: Listener) -> StreamFollower:
    """Return a follower that waits for nothing and nobody."""
    return StreamFollower(
        stream, listener, clock=lambda: 0.0, jitter=lambda: 0.0, block_seconds=0.0, pause=lambda _, __: None
    )


def settle(one: StreamFollower, turns: int = 40) -> None:
    """Let it look until there is nothing new to see."""
    for _ in range(turns):
        one.turn()


def following() -> tuple[Writer, Listener, StreamFollower]:
    """Return a writer and a follower that knows all it wrote: one instance."""
    writer, listener = Writer(), Listener()
    writer.change(("instance", 0, 1))
    one = follower(writer.stream.another(), listener)
    settle(one)
    assert listener.known is not None
    assert listener.known.catalog.instance(*instance(0, 1).key) == instance(0, 1)
    return writer, listener, one


def test_an_incomplete_incarnation_is_waited_for() -> None:
    """Redis was emptied and is being refilled: the last complete catalog stands until the new one is complete."""
    writer, listener, one = following()
    before = listener.known
    writer.stream.wipe()
    begun(writer.stream, "half")
    settle(one)
    assert listener.known == before
    assert not one.is_frozen


def test_redis_away_is_told_once_and_its_return_too() -> None:
    """However often it is asked in vain."""
    writer, listener, one = following()
    writer.stream.fail()
    settle(one, 5)
    writer.stream.recover()
    settle(one, 5)
    assert listener.answers == [False, True]


def test_a_broken_entry_freezes_and_is_told() -> None:
    """The follower takes no further turn."""
    writer, listener, one = following()
    writer.stream.intrude({"v": "1", "type": "instance-added", "incarnation": "life-1", "value": "{"})
    settle(one)
    assert one.is_frozen
    assert listener.frozen is not None
    assert f"entry {writer.head.sequence + 1}-0" in listener.frozen.reason


def test_a_bug_of_whoever_is_told_freezes() -> None:
    """An exception in the routing, say, ends no thread: the table stands, and says so."""
    writer, listener, one = following()

    def raise_bug(update: Updated) -> None:
        raise ZeroDivisionError(update)

    listener.updated = raise_bug  # type: ignore[method-assign]
    writer.change(("instance", 1, 1))
    settle(one)
    assert one.is_frozen
    assert listener.frozen is not None
    assert "ZeroDivisionError" in listener.frozen.reason


def test_stop_ends_the_run() -> None:
    """Even from within a wait."""
    paused = Event()

    def pause(stopping: Event, seconds: float) -> None:
        paused.set()
        one.stop()
        assert stopping.is_set()

    one = StreamFollower(MemoryStream(), Listener(), clock=lambda: 0.0, jitter=lambda: 0.0, pause=pause)
    one.run()
    assert paused.is_set()
