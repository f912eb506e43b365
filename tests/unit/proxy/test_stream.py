"""Following a stream that is trimmed, replaced, lost and read anew: what is told is true, and nothing is skipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mooring.catalog import Catalog, fold
from mooring.facts import EpochBegan
from mooring.redis.memory import MemoryStream
from mooring.redis.stream import Head, RawEntry, StreamReader
from mooring_proxy.following import Froze, Known, Position, Updated
from mooring_proxy.stream import StreamFollower
from tests.histories import CHOICES, Choice, instance, next_fact
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


class Interrupted:
    """A reader between whose calls something happens."""

    def __init__(self, stream: StreamReader) -> None:
        self._stream = stream
        self.happenings: list[Callable[[], None]] = []

    def _happen(self) -> StreamReader:
        if self.happenings:
            self.happenings.pop(0)()
        return self._stream

    def head(self) -> Head | None:
        """See `StreamReader`."""
        return self._happen().head()

    def catalog(self) -> Catalog:
        """See `StreamReader`."""
        return self._happen().catalog()

    def ports(self) -> Mapping[str, str]:
        """See `StreamReader`."""
        return self._happen().ports()

    def read(self, after: int, *, block_seconds: float, most: int = 500) -> tuple[RawEntry, ...]:
        """See `StreamReader`."""
        return self._happen().read(after, block_seconds=block_seconds, most=min(most, 3))

    def tail(self, most: int) -> tuple[RawEntry, ...]:
        """See `StreamReader`."""
        return self._stream.tail(most)

    def announce(self, proxy_id: str, fields: Mapping[str, str], *, expiry_seconds: int) -> None:
        """See `StreamReader`."""
        self._stream.announce(proxy_id, fields, expiry_seconds=expiry_seconds)

    def announced(self) -> Mapping[str, Mapping[str, str]]:
        """See `StreamReader`."""
        return self._stream.announced()

    def close(self) -> None:
        """See `StreamReader`."""


class Writer:
    """Discover, as far as a follower sees it; remembers every catalog that there ever was, by position."""

    def __init__(self) -> None:
        self.stream = MemoryStream()
        self.catalog = Catalog()
        self.ports: dict[str, str] = {}
        self.lives = 0
        self.past: dict[Position, Catalog] = {}
        self.head = Head(incarnation="", epoch=0)

    def begin(self) -> None:
        """Open another incarnation and fill it with all that is known, complete only with the last entry."""
        self.lives += 1
        self.head = begun(self.stream, f"life-{self.lives}")
        facts = [EpochBegan("discover"), *(fact for fact in _additions(self.catalog))]
        for number, fact in enumerate(facts, start=1):
            self.append(fact, complete=number == len(facts))

    def append(self, *facts: object, complete: bool = True) -> None:
        """Write facts that are folded into the catalog already, or are about to be."""
        batch = batch_of(self.head, *facts, ports=self.ports, complete=complete)  # type: ignore[arg-type]
        self.stream.append(batch)
        head = self.stream.head()
        assert head is not None
        self.head = head
        self.past[Position(head.incarnation, head.sequence)] = self.stream.catalog()

    def change(self, choice: Choice) -> None:
        """Write one fact, and sometimes move the ports."""
        fact = next_fact(self.catalog, choice) if choice[0] != "epoch" else EpochBegan("again")
        if fact is None:
            return
        self.catalog = fold(self.catalog, [fact])
        self.ports = {f"{8000 + number}/tcp": name for number, name in enumerate(sorted(self.catalog.services))}
        self.append(fact)

    def move_ports(self, number: int) -> None:
        """Write other ports without a fact."""
        self.ports = {f"{9000 + number}/tcp": "web/v0"}
        self.append()

    def empty(self) -> None:
        """Redis is emptied, and refilled at once."""
        self.stream.wipe()
        self.begin()

    def trim(self) -> None:
        """Only the newest entry is kept."""
        self.stream.trim(self.head.sequence)
        head = self.stream.head()
        assert head is not None
        self.head = head


def _additions(catalog: Catalog) -> list[object]:
    from mooring.catalog import diff  # noqa: PLC0415

    return list(diff(Catalog(), catalog))


def follower(stream: StreamReader, listener: Listener) -> StreamFollower:
    """Return a follower that waits for nothing and nobody."""
    return StreamFollower(
        stream, listener, clock=lambda: 0.0, jitter=lambda: 0.0, block_seconds=0.0, pause=lambda _, __: None
    )


def settle(one: StreamFollower, turns: int = 40) -> None:
    """Let it look until there is nothing new to see."""
    for _ in range(turns):
        one.turn()


HAPPENINGS = st.lists(st.one_of(CHOICES, st.sampled_from(["empty", "trim", "ports"])), max_size=3)


class Following(RuleBasedStateMachine):
    """A writer, everything that can happen to a stream, and a follower that may be restarted at any moment."""

    @initialize()
    def start(self) -> None:
        """Begin with a stream that is complete."""
        self.writer = Writer()
        self.writer.begin()
        self.listener = Listener()
        self.reader = Interrupted(self.writer.stream.another())
        self.follower = follower(self.reader, self.listener)
        self.checked = 0
        self.failing = False

    @rule(choices=st.lists(CHOICES, min_size=1, max_size=8))
    def change(self, choices: list[Choice]) -> None:
        """Facts are written."""
        if not self.failing:
            for choice in choices:
                self.writer.change(choice)

    @rule(what=st.sampled_from(["empty", "trim", "ports"]))
    def happen(self, what: str) -> None:
        """The stream is replaced, or loses its beginning, or ports move."""
        if not self.failing:
            self._happening(what)()

    @rule(happenings=HAPPENINGS, turns=st.integers(1, 4))
    def turn(self, happenings: list[Choice | str], turns: int) -> None:
        """The follower looks, and things happen while it does."""
        if not self.failing:
            self.reader.happenings += [self._happening(one) for one in happenings]
        for _ in range(turns):
            self.follower.turn()
        self.reader.happenings.clear()

    @rule()
    def lose_redis(self) -> None:
        """Redis does not answer."""
        self.writer.stream.fail()
        self.failing = True

    @rule()
    def find_redis(self) -> None:
        """Redis answers again."""
        self.writer.stream.recover()
        self.failing = False

    @rule()
    def restart(self) -> None:
        """The proxy is started anew and knows nothing."""
        self.listener = Listener()
        self.checked = 0
        self.reader = Interrupted(self.writer.stream.another())
        self.follower = follower(self.reader, self.listener)

    @invariant()
    def every_catalog_told_was_the_catalog_at_its_position(self) -> None:
        """Nothing is skipped, nothing is mixed: each update is the fold of the stream up to its cursor."""
        for update in self.listener.updates[self.checked :]:
            assert update.known.catalog == self.writer.past[update.known.position]
            numbers = [entry.sequence for entry in update.entries]
            assert numbers == sorted(set(numbers))
        self.checked = len(self.listener.updates)
        assert self.listener.frozen is None

    def teardown(self) -> None:
        """In the end, when all is quiet, the follower knows what the writer knows."""
        if hasattr(self, "writer"):
            self.find_redis()
            settle(self.follower)
            assert self.listener.known is not None
            assert self.listener.known.position == Position(self.writer.head.incarnation, self.writer.head.sequence)
            assert self.listener.known.catalog == self.writer.stream.catalog()
            assert self.listener.known.ports == self.writer.ports

    def _happening(self, what: Choice | str) -> Callable[[], None]:
        match what:
            case "empty":
                return self.writer.empty
            case "trim":
                return self.writer.trim
            case "ports":
                return lambda: self.writer.move_ports(len(self.writer.past))
            case str():
                raise ValueError(what)
            case _:
                return lambda: self.writer.change(what)


TestFollowing = Following.TestCase
TestFollowing.settings = settings(stateful_step_count=30)


def following() -> tuple[Writer, Listener, StreamFollower]:
    """Return a writer and a follower that knows all it wrote: one instance."""
    writer, listener = Writer(), Listener()
    writer.change(("instance", 0, 1)) if writer.head.incarnation else writer.begin()
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
    writer, listener = Writer(), Listener()
    paused = Event()

    def pause(stopping: Event, seconds: float) -> None:
        paused.set()
        one.stop()
        assert stopping.is_set()

    one = StreamFollower(writer.stream.another(), listener, clock=lambda: 0.0, jitter=lambda: 0.0, pause=pause)
    one.run()
    assert paused.is_set()
