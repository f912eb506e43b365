"""The edge to Redis: a thread that looks at what the follower wants to see next, and passes on what it tells.

Every wait here is bounded: a read ends after two seconds, a stopped Redis is noticed by the client's own limits, and
between attempts the backoff has an upper end. No decision about the stream is taken here; see follower.py.

A bug of ours, here or in the fold, must not end the process, for the process carries traffic: it freezes the follower.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Final, Protocol, assert_never

from mooring.backoff import Backoff
from mooring.errors import DocumentError, WorldError
from mooring.redis.stream import StreamReader
from mooring.telemetry import get_logger
from mooring_proxy import metrics
from mooring_proxy.follower import step
from mooring_proxy.following import (
    Behind,
    CatalogScanned,
    CatchingUp,
    CheckDue,
    Checked,
    Crashed,
    Doubting,
    EntriesRead,
    Following,
    Froze,
    Frozen,
    HeadRead,
    RedisLost,
    Scanning,
    Seen,
    Skipped,
    StartedOver,
    Starting,
    State,
    Told,
    Updated,
    Waiting,
)

BLOCK_SECONDS: Final = 2.0
CHECK_SECONDS: Final = 2.0
# A proxy that waits for a stream to become complete, or for Redis, looks at least once a second.
BACKOFF: Final = Backoff(first_seconds=0.05, most_seconds=1.0)

log = get_logger()


class Audience(Protocol):
    """Who is told; called from the reader's thread."""

    def updated(self, update: Updated) -> None:
        """Take a newer catalog. An exception freezes the follower."""

    def froze(self, froze: Froze) -> None:
        """Hear that no newer catalog will ever come."""

    def redis_answers(self, answers: bool) -> None:  # noqa: FBT001 -- it is what the method says
        """Hear that Redis answers again, or no longer."""


class StreamFollower:
    """Follows one stream until `stop`.

    `clock` is monotonic seconds, `jitter` gives numbers in [0, 1]; `pause` waits for so many seconds, or for the event.
    """

    def __init__(
        self,
        reader: StreamReader,
        audience: Audience,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        block_seconds: float = BLOCK_SECONDS,
        pause: Callable[[Event, float], object] = Event.wait,
    ) -> None:
        self._reader = reader
        self._audience = audience
        self._clock = clock
        self._jitter = jitter
        self._block_seconds = block_seconds
        self._pause = pause
        self._stopping = Event()
        self._state: State = Starting()
        self._backoff = BACKOFF
        self._answers = True
        self._checked_at = clock()
        self._said = ""

    def stop(self) -> None:
        """End `run` soon, whatever it waits for."""
        self._stopping.set()
        self._reader.close()

    @property
    def is_frozen(self) -> bool:
        """Whether no turn will change anything any more."""
        return isinstance(self._state, Frozen)

    def run(self) -> None:
        """Follow; returns after `stop`, or when the table is frozen. Raises nothing."""
        while not self._stopping.is_set() and not self.is_frozen:
            self.turn()

    def turn(self) -> None:
        """Look once, and tell what follows from it."""
        try:
            self._advance(self._look())
        except WorldError as error:
            if not self._stopping.is_set():
                self._lost(error)
        except DocumentError as error:
            metrics.BROKEN.inc()
            self._wait("the catalog cannot be read", problem=str(error))
        except Exception as bug:
            log.exception("bug: the table is frozen, traffic goes on")
            self._advance(Crashed(repr(bug)))

    def _look(self) -> Seen:
        """Return what the state wants to see."""
        reader, state = self._reader, self._state
        match state:
            case Starting():
                head = reader.head()
                return HeadRead(head, reader.run_id(), self._clock())
            case Scanning():
                catalog, ports = reader.catalog(), reader.ports()
                return CatalogScanned(catalog, ports, reader.head())
            case Following() if self._clock() - self._checked_at > CHECK_SECONDS:
                return CheckDue()
            case CatchingUp(known) | Following(known):
                return EntriesRead(reader.read(known.position.sequence, block_seconds=self._block_seconds))
            case Doubting() | Behind():
                self._checked_at = self._clock()
                ports = reader.ports()
                return Checked(ports, reader.head())
            case Frozen():
                return CheckDue()
            case _:
                assert_never(state)

    def _advance(self, seen: Seen) -> None:
        if not self._answers and not isinstance(seen, CheckDue | Crashed):
            self._set_answers(True)
        self._state, told = step(self._state, seen)
        for one in told:
            self._tell(one)

    def _tell(self, told: Told) -> None:
        match told:
            case Updated():
                self._backoff, self._said = BACKOFF, ""
                self._audience.updated(told)
            case Skipped(count):
                metrics.SKIPPED.inc(count)
                log.warning("entries of unknown types passed over", count=count)
            case StartedOver(reason):
                metrics.STARTED_OVER.labels(reason).inc()
                self._wait("reading the stream anew", reason=reason)
            case Waiting(reason):
                self._wait(reason)
            case Froze():
                self._audience.froze(told)
            case _:
                assert_never(told)

    def _lost(self, error: WorldError) -> None:
        metrics.REDIS_FAILURES.inc()
        if self._answers:
            log.warning("Redis does not answer, serving on with the last table", problem=str(error))
            self._set_answers(False)
        self._state, _ = step(self._state, RedisLost(str(error)))
        self._wait("")

    def _set_answers(self, answers: bool) -> None:  # noqa: FBT001 -- it is what the method says
        if answers:
            log.info("Redis answers again")
        self._answers = answers
        metrics.REDIS_AWAY.set(not answers)
        self._audience.redis_answers(answers)

    def _wait(self, sentence: str, **fields: str) -> None:
        """Wait until the backoff is over; say why, once for as long as the reason stays the same."""
        said = f"{sentence} {fields}"
        if sentence and said != self._said:
            log.warning(sentence, **fields)
            self._said = said
        self._pause(self._stopping, self._backoff.delay_seconds(self._jitter()))
        self._backoff = self._backoff.next()
