"""The owner: one thread that holds all state, takes what sources say, and has the difference written.

A turn: take what the queue holds, reduce it, let time pass, and, while we lead, append what is missing in the stream.
Redis being away stops only the last step. The queue is bounded and what is known has one place per key, so an outage
of any length costs no more memory than the instances there are, and ends with one minimal difference.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Event
from typing import assert_never

from attrs import frozen

from mooring.backoff import Backoff
from mooring.errors import Fenced, WorldError
from mooring.facts import EpochBegan
from mooring.telemetry import get_logger
from mooring_discover.batches import Wanted, Written, batches
from mooring_discover.differences import News, differences, source_news, source_states
from mooring_discover.leadership import Leadership
from mooring_discover.metrics import FAILURES
from mooring_discover.observations import Observation
from mooring_discover.port_claims import PortClaims, renew_claims, resume_claims
from mooring_discover.publisher import Absent, Publisher, Reread, Unchanged
from mooring_discover.reducer import (
    inherit,
    know_nothing,
    reduce,
    settled,
    tick,
    without_old_origins,
    without_vanished,
)
from mooring_discover.suspects import Policy

MOST_OBSERVATIONS = 500
QUEUE_LENGTH = 10_000
IDLE_SECONDS = 0.25
# Redis may be emptied while nothing happens: look whether the stream is still ours.
LOOK_SECONDS = 1.0
PATIENCE = Backoff(0.1, 2.0)

log = get_logger()


@frozen
class Clock:
    """Time for the owner: `now` in epoch seconds, `monotonic` in seconds from any beginning, and `jitter` in 0–1."""

    now: Callable[[], float]
    monotonic: Callable[[], float]
    jitter: Callable[[], float]


@frozen
class Trouble:
    """Redis fails: since when (epoch seconds), and how."""

    since: float
    reason: str


@frozen
class _Retry:
    """When the next attempt at Redis is due."""

    at: float = 0.0
    backoff: Backoff = PATIENCE


class Owner:
    """Turns observations into what stands in Redis.

    `known` and `trouble` are values that other threads may read at any moment.
    """

    def __init__(
        self, sources: Iterable[str], publisher: Publisher, leadership: Leadership, policy: Policy, clock: Clock
    ) -> None:
        self.known = know_nothing(sources)
        self.trouble: Trouble | None = None
        self._inbox: queue.Queue[Observation | None] = queue.Queue(QUEUE_LENGTH)
        self._publisher = publisher
        self._leadership = leadership
        self._policy = policy
        self._clock = clock
        self._claims = PortClaims()
        self._compares_everything = True
        self._listed_at: float | None = None
        self._looked_at = 0.0
        self._retry = _Retry()

    def tell(self, observation: Observation) -> None:
        """Take an observation, from any thread; waits while the queue is full."""
        self._inbox.put(observation)

    def wake(self) -> None:
        """Make a turn now, from any thread."""
        with suppress(queue.Full):
            self._inbox.put_nowait(None)

    def run(self, stopping: Event, turned: Callable[[], None]) -> None:
        """Make turns until `stopping` is set; `turned` is called before each."""
        while not stopping.is_set():
            turned()
            self.turn(self._take())

    def turn(self, observations: Iterable[Observation]) -> None:
        """Take observations in, let time pass, and write what is missing in the stream."""
        now = self._clock.now()
        self.known = tick(reduce(self.known, observations, self._policy), now, self._policy)
        if self._listed_at is None and self.known.any_listed:
            self._listed_at = now
        if self._clock.monotonic() >= self._retry.at:
            self._try_to_write(now)

    def _take(self) -> list[Observation]:
        taken: list[Observation] = []
        with suppress(queue.Empty):
            first = self._inbox.get(timeout=IDLE_SECONDS)
            taken += [] if first is None else [first]
            while len(taken) < MOST_OBSERVATIONS:
                more = self._inbox.get_nowait()
                taken += [] if more is None else [more]
        return taken

    def _try_to_write(self, now: float) -> None:
        try:
            self._write(now)
        except Fenced as error:
            # Whether we still lead is about to be told by the lead's own thread.
            log.info("another leads by now", reason=str(error))
            self._publisher.doubt()
            self._retry = _Retry(self._clock.monotonic() + PATIENCE.first_seconds)
        except WorldError as error:
            self._note_trouble(str(error), now)
        else:
            if self.trouble is not None:
                log.info("writing again", after_seconds=round(now - self.trouble.since, 1))
            self.trouble, self._retry = None, _Retry()

    def _note_trouble(self, reason: str, now: float) -> None:
        FAILURES.inc()
        if self.trouble is None or self.trouble.reason != reason:
            log.warning("cannot write to Redis, trying on", reason=reason)
        self.trouble = Trouble(self.trouble.since if self.trouble else now, reason)
        delay = self._retry.backoff.delay_seconds(self._clock.jitter())
        self._retry = _Retry(self._clock.monotonic() + delay, self._retry.backoff.next())
        self._publisher.doubt()
        self.known = without_vanished(self.known, self._publisher.may_hold())

    def _write(self, now: float) -> None:
        epoch = self._leadership.epoch
        if epoch is None:
            self._publisher.doubt()
            self.known = without_old_origins(self.known, now)
        elif self._is_certain(epoch) or self._take_up(epoch, now):
            self._append(now)

    def _is_certain(self, epoch: int) -> bool:
        looked_lately = self._clock.monotonic() - self._looked_at < LOOK_SECONDS
        return looked_lately and self._publisher.is_certain(epoch)

    def _take_up(self, epoch: int, now: float) -> bool:
        """Find out what stands in the stream; False when there is none and it is too early to begin one."""
        standing = self._publisher.look(epoch)
        self._looked_at = self._clock.monotonic()
        match standing:
            case Unchanged():
                return True
            case Absent(run_id=run_id):
                if not self._may_begin(now):
                    return False
                self._publisher.begin(epoch, run_id)
                ports = self._claims.table
            case Reread(written=written):
                self.known = inherit(self.known, written.catalog, now)
                ports = written.ports
            case _:
                assert_never(standing)
        self._compares_everything = True
        self._claims = resume_claims(ports, self.known.shown, now)
        return True

    def _may_begin(self, now: float) -> bool:
        """Whether enough is known to begin anew: an empty registry is not believed at once."""
        if self._listed_at is None:
            return False
        return bool(self.known.shown.services) or now - self._listed_at >= self._policy.hold_seconds

    def _append(self, now: float) -> None:
        written = self._publisher.written
        if written is None:
            return
        touched = {key[0] for key in self.known.origins if not isinstance(key, str)}
        self._claims = renew_claims(self._claims, self.known.shown, touched, now)
        wanted = Wanted(
            ports=self._claims.table,
            sources=source_states(written.sources, self.known, now),
            complete=self.known.is_listed,
        )
        if self._publisher.append(batches(written, self._news(written, now), wanted, self._clock.now())):
            self.known = settled(self.known)
            self._compares_everything = False
            self._publisher.trim()

    def _news(self, written: Written, now: float) -> list[News]:
        opening = [] if self._publisher.epoch_is_open else [News(EpochBegan(self._leadership.leader), now)]
        missing = differences(
            written.catalog,
            self.known,
            now,
            everything=self._compares_everything,
            reconciling=not written.complete,
        )
        return [*opening, *source_news(written.sources, self.known, now), *missing]
