"""What a proxy makes of a stream: a follower that is turned by hand, and the table that it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event

from mooring.catalog import Catalog
from mooring.redis.stream import StreamReader
from mooring_proxy.following import Froze, Known, Updated
from mooring_proxy.stream import StreamFollower

MOST_TURNS = 60
LOOKS = 4  # the head, the catalog, the entries since, and the ports


class Table:
    """An audience that keeps what it is told last, and remembers whatever was wrong with it on the way."""

    def __init__(self, keep: Callable[[Known], None] = lambda _: None) -> None:
        self.known: Known | None = None
        self.always: frozenset[tuple[str, str]] = frozenset()
        self.problems: list[str] = []
        self._keep = keep

    def updated(self, update: Updated) -> None:
        """See `Audience.updated`."""
        missing = [key for key in self.always if update.known.catalog.instance(*key) is None]
        self.problems += [f"{key} was missing at {update.known.position}" for key in missing]
        self.known = update.known
        self._keep(update.known)

    def froze(self, froze: Froze) -> None:
        """See `Audience.froze`."""
        self.problems.append(f"froze at {froze.position}: {froze.reason}")

    def redis_answers(self, answers: bool) -> None:
        """See `Audience.redis_answers`."""


class Proxy:
    """A follower at a stream; `always` are the instances that must never be missing in a table it tells."""

    def __init__(self, reader: StreamReader, keep: Callable[[Known], None] = lambda _: None) -> None:
        self.table = Table(keep)
        self._reader = reader
        self._time = 0.0
        self._follower = StreamFollower(
            reader, self.table, clock=self._clock, jitter=lambda: 0.5, block_seconds=0.0, pause=_never
        )

    def _clock(self) -> float:
        """Give a time that passes faster than any."""
        self._time += 1.0
        return self._time

    def looks(self) -> None:
        """Look often enough to begin with what is there now, or to hear of all that is new."""
        for _ in range(LOOKS):
            self._follower.turn()

    def catches_up(self, with_whom: StreamReader) -> None:
        """Look until the table is that of the stream's head, and its ports those of the stream."""
        for _ in range(MOST_TURNS):
            self._follower.turn()
            if self.is_at(with_whom):
                return
        raise AssertionError(f"the follower does not catch up: {self.table.known}, {self.table.problems}")

    def is_at(self, stream: StreamReader) -> bool:
        """Whether the table is that of the stream's head, and its ports those of the stream."""
        head, known = stream.head(), self.table.known
        if head is None or known is None or known.ports != stream.ports():
            return False
        return (known.position.incarnation, known.position.sequence) == (head.incarnation, head.sequence)

    @property
    def catalog(self) -> Catalog:
        """The catalog that was told last."""
        return self.table.known.catalog if self.table.known else Catalog()

    @property
    def ports(self) -> Mapping[str, str]:
        """The ports that were told last."""
        return self.table.known.ports if self.table.known else {}


def _never(_stopping: Event, _seconds: float) -> None:
    """Wait for nothing: a test has nothing to wait for."""
