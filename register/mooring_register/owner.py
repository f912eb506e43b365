"""The owner of the state: one loop that takes observations off a queue and says to every writer what is wanted.

Nothing else changes the state, so that its order is the queue's. Nothing is said to the writers before the source was
listed once. What the loop decides is decided in `registrar`; this is its edge: queue, clock, logs, counters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from attrs import evolve

from mooring.model import Binding, Instance
from mooring.telemetry import get_logger
from mooring.threads import end_watchdog, watchdog
from mooring_register import metrics
from mooring_register.addresses.reach import Policy
from mooring_register.deregistration import Failure
from mooring_register.observations import Observation
from mooring_register.registrar import Key, Registrar, Withdrawal, apply, withdrawals

log = get_logger()

TURN_SECONDS: Final = 1.0
# A turn is milliseconds; a minute without one is a deadlock, and the process ends with its stacks on stderr.
_STANDSTILL_SECONDS: Final = 60.0


class Writer(Protocol):
    """Takes what is wanted to a registry (`writers.mailbox`)."""

    def deliver(
        self,
        instances: Mapping[Key, Instance],
        withdrawals: Mapping[Key, Withdrawal],
        *,
        bindings: Mapping[str, Binding],
        failures: Mapping[str, Failure],
    ) -> int:
        """Say what is wanted from now on, and why what is not wanted any more is not; return a number to ask by.

        What containers offered that failed stays written as `down`, where there is room for that.
        """


class Owner:
    """Holds the state. `observe` may be called from any thread; `run` belongs into one.

    `clock` gives epoch seconds, `uptime` seconds that never jump. After `standstill_seconds` without a turn the process
    ends.
    """

    def __init__(
        self,
        state: Registrar,
        clock: Callable[[], float],
        uptime: Callable[[], float],
        *,
        standstill_seconds: float = _STANDSTILL_SECONDS,
    ) -> None:
        self.state = state
        self._writers: tuple[Writer, ...] = ()
        self._clock = clock
        self._uptime = uptime
        self._queue: SimpleQueue[Observation | None] = SimpleQueue()
        self._standstill_seconds = standstill_seconds
        self._turned_at = uptime()
        self._reported: frozenset[str] = frozenset()
        self._delivered: tuple[Mapping[Key, Instance], Mapping[str, Binding], Mapping[str, Failure]] | None = None

    def begin(self, policy: Policy, writers: tuple[Writer, ...]) -> None:
        """Say, before `run`, for which host the state is and who writes it."""
        self.state = evolve(self.state, policy=policy)
        self._writers = writers
        self._turned_at = self._uptime()

    def observe(self, observation: Observation) -> None:
        """Take an observation in, in its turn."""
        self._queue.put(observation)

    def end(self) -> None:
        """Let `run` return; may be called by a signal's receiver."""
        self._queue.put(None)

    def idle_seconds(self) -> float:
        """Return how long ago the last turn was made."""
        return self._uptime() - self._turned_at

    def run(self) -> None:
        """Take turns until `end`."""
        watchdog(self._standstill_seconds)
        while self._turn():
            self._turned_at = self._uptime()
            watchdog(self._standstill_seconds)
        end_watchdog()

    def _turn(self) -> bool:
        observations: list[Observation | None] = []
        with contextlib.suppress(Empty):
            observations.append(self._queue.get(timeout=TURN_SECONDS))
            while True:
                observations.append(self._queue.get_nowait())
        self._apply([one for one in observations if one is not None])
        return None not in observations

    def _apply(self, observations: list[Observation]) -> None:
        if not observations and not self.state.draining:
            return
        now = self._clock()
        before, after = self.state, apply(self.state, observations, now)
        self.state = after
        self._tell(before, after)
        wanted = (after.instances, after.bindings, after.failures)
        if after.listed_at is not None and wanted != self._delivered:
            gone = withdrawals(before, after, now)
            for writer in self._writers:
                writer.deliver(after.instances, gone, bindings=after.bindings, failures=after.failures)
            self._delivered = wanted

    def _tell(self, before: Registrar, after: Registrar) -> None:
        """Log what is new, once."""
        if after.lost_since is not None and before.lost_since is None:
            log.warning("engine lost, everything stays registered", reason=after.lost_reason)
        if after.lost_since is None and before.lost_since is not None:
            log.info("engine answers again", away_seconds=round(self._clock() - before.lost_since, 1))
        if after.problems != before.problems:
            self._tell_problems(after)
        for one in sorted(after.changed & after.containers.keys()):
            known = before.containers.get(one)
            told = known.reading.not_registered if known is not None else ()
            for port in after.containers[one].reading.not_registered:
                if port not in told:
                    metrics.skipped.labels(port.rule).inc()
                    log.info("port not registered", container=port.container, port=port.port, reason=port.reason)
        metrics.instances.set(len(after.instances))
        metrics.bindings.set(len(after.bindings))

    def _tell_problems(self, after: Registrar) -> None:
        for problem in after.problems:
            if str(problem) not in self._reported:
                metrics.problems.inc()
                metrics.skipped.labels(problem.kind).inc()
                log.warning("not registered as it asks", problem=str(problem))
        self._reported = frozenset(str(problem) for problem in after.problems)
