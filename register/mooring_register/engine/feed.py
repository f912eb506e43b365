"""From a Docker engine to observations. Events are hints, inspect is the truth, reconcile repairs.

Two threads. The first subscribes to events and passes them on, in order. The second, the inspector, alone asks the
engine about containers, one question after the other, and alone tells what it found: so an older listing can never
overwrite a newer inspection. It lists after every (re)connection of the first, when the subscription stands already,
and on a timer: one listing, and an inspection only of what differs from the last one. Between all that it inspects a
few of the others in turn, so that each is inspected at least every ten minutes.

An engine that went away withdraws nothing: it is reported as lost, and asked again for ever. That a subscription ends
is no loss: proxies cut what is idle. It is made anew at once, from the last event seen, and only when that fails the
engine is lost. A container about which the engine gives no answer is put off, and holds up nobody else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from queue import Empty, SimpleQueue
from threading import Event
from typing import Final

from attrs import frozen

from mooring.backoff import Backoff
from mooring.errors import Unavailable, WorldError
from mooring.telemetry import get_logger
from mooring.threads import keep_trying
from mooring_register import metrics
from mooring_register.containers import DEFAULT_BINDING_PREFIX
from mooring_register.engine.hints import Connected, Hint, cause_of, signalled, superseded_left_out
from mooring_register.engine.inspector import Inspector
from mooring_register.engine.seam import DockerEvent, Engine, Events, Unanswered
from mooring_register.observations import RECONCILED, Died, Gone, Inspected, Listed, Lost, Observation, Signalled

log = get_logger()

# At start this much of the past is replayed: what happened while no register ran has its cause.
_REPLAYED_NANOSECONDS: Final = 30 * 10**9
# Signals are older: a container may have been given minutes to end, and drains until then, whoever restarts.
_SIGNALS_NANOSECONDS: Final = 600 * 10**9
# Docker may publish a container's ports a moment after its start; some are never published (a network without).
_PENDING_LOOKS: Final = 6
_PENDING_FIRST_SECONDS: Final = 0.1
# Whoever cuts a subscription sooner than that has no idle ones: something is wrong.
_SHORTEST_SUBSCRIPTION_SECONDS: Final = 1.0
# A listing may still show a container whose death was told; by then it does so no more.
_AFTER_DEATH_SECONDS: Final = 2.0


@frozen
class _LookAgain:
    """A container is due for another look, its n-th: its ports were pending, or it died."""

    container_id: str
    due: float
    look: int


class DockerFeed:
    """Tells `observe` what happens on an engine. `follow` and `inspect` each belong into a thread.

    `clock` gives epoch seconds.
    """

    def __init__(
        self,
        engine: Engine,
        observe: Callable[[Observation], None],
        *,
        resync_seconds: float,
        clock: Callable[[], float],
        binding_prefix: str = DEFAULT_BINDING_PREFIX,
        lists_exited: bool = False,
    ) -> None:
        self._engine = engine
        self._lists_exited = lists_exited
        self._observe = observe
        self._resync_seconds = resync_seconds
        self._clock = clock
        self._stopping = Event()
        self._hints: SimpleQueue[Hint] = SimpleQueue()
        self._events: Events | None = None
        self._seen_nano: int | None = None
        self._latest: list[DockerEvent] = []
        self._connected = False
        self._listed_at = 0.0
        self._fingerprints: dict[str, str] = {}
        self._pending: list[_LookAgain] = []
        self._signals: tuple[Signalled, ...] = ()
        self._out_of_memory: set[str] = set()
        self._inspector = Inspector(engine, clock, binding_prefix)
        self.heard_at: float | None = None

    @property
    def unanswered(self) -> Mapping[str, str]:
        """The containers about which the engine gives no answer, with the reason."""
        return self._inspector.unanswered

    def stop(self) -> None:
        """End both threads."""
        self._stopping.set()
        self._close_events()

    # The thread of events

    def follow(self) -> None:
        """Pass events on until stopped; reconnect for ever, from the last event seen."""
        keep_trying(self._follow_once, stopping=self._stopping, backoff=Backoff(0.2, 5.0), failed=self._lost)

    def _follow_once(self) -> None:
        since, signals = self._seen_nano, tuple[DockerEvent, ...]()
        if since is None:
            now = int(self._engine.identity().now * 1e9)
            since, signals = now - _REPLAYED_NANOSECONDS, self._engine.signals(now - _SIGNALS_NANOSECONDS, now)
        self._events = self._engine.events(since)
        self._seen_nano = since
        began = self._clock()
        metrics.subscriptions.inc()
        self._hints.put(Connected(tuple(map(signalled, signals))))
        for event in self._events:
            if self._is_repeated(event):
                continue
            metrics.docker_events.labels(event.action.partition(":")[0]).inc()
            self.heard_at = self._clock()
            metrics.last_docker_event.set(self.heard_at)
            self._seen_nano = max(self._seen_nano, event.time_nano)
            self._hints.put(event)
        if self._clock() - began < _SHORTEST_SUBSCRIPTION_SECONDS:
            raise Unavailable("the stream of events ended")

    def _is_repeated(self, event: DockerEvent) -> bool:
        """Say whether it was heard: whoever asks since the last one hears that one again, and others of its moment."""
        if self._latest and event.time_nano != self._latest[0].time_nano:
            self._latest = []
        is_repeated = event in self._latest
        self._latest.append(event)
        return is_repeated

    def _lost(self, error: WorldError) -> None:
        metrics.source_failures.inc()
        self._hints.put(Lost(str(error), self._clock()))

    def _close_events(self) -> None:
        events = self._events
        if events is not None:
            events.close()

    # The inspector's thread

    def inspect(self) -> None:
        """Turn hints into observations until stopped."""
        keep_trying(self._inspect_next, stopping=self._stopping, backoff=Backoff(0.2, 5.0), failed=self.failed)

    def failed(self, error: WorldError) -> None:
        """Give up what the engine did not answer: the subscription is made anew, and then everything is listed."""
        metrics.source_failures.inc()
        self._connected = False
        self._observe(Lost(str(error), self._clock()))
        self._close_events()

    def _inspect_next(self) -> None:
        self.turn(self._next_hints())

    def turn(self, hints: Iterable[Hint]) -> None:
        """Turn these hints into observations, and look at whatever is due.

        Raises:
            Unavailable: the engine does not answer; see `failed`. What was left of the hints is not missed.
        """
        for hint in hints:
            match hint:
                case Connected(signals):
                    self._signals += signals
                    self._list(everything=not self._connected)
                    self._connected = True
                case Lost():
                    self._connected = False
                    self._observe(hint)
                case DockerEvent():
                    self._look_into(hint)
        self._look_again()
        # Or the clock was set back: else nothing would be compared until it has caught up.
        if self._connected and abs(self._clock() - self._listed_at) >= self._resync_seconds:
            self._list(everything=False)
        if self._connected:
            self._inspect_in_turn()

    def _next_hints(self) -> list[Hint]:
        """Wait for hints, for a second at most; of several that ask for the same inspection the last one stays."""
        wait_seconds = 1.0
        if self._pending:
            wait_seconds = min(wait_seconds, max(0.0, min(one.due for one in self._pending) - self._clock()))
        hints: list[Hint] = []
        with contextlib.suppress(Empty):
            hints.append(self._hints.get(timeout=wait_seconds))
            while True:
                hints.append(self._hints.get_nowait())
        return superseded_left_out(hints)

    def _look_into(self, event: DockerEvent) -> None:
        match event.action:
            case "kill":
                self._observe(signalled(event))
            case "oom":
                self._out_of_memory.add(event.container_id)
            case "die":
                self._die(event.container_id, event)
            case "destroy":
                self._observe(Gone(event.container_id, event.at))
            case action:
                # Asked about a container that is starting or ending, Docker answers when it has done with that, a third
                # of a second later, and the news of all others would wait.
                if action == "start" or event.container_id in self._inspector.running:
                    self._inspect(event.container_id, cause_of(event), event.at)

    def _die(self, container_id: str, event: DockerEvent) -> None:
        exit_code = int(event.attributes.get("exitCode") or 0)
        self._inspector.has_ended(container_id)
        self._observe(Died(container_id, exit_code, event.at, container_id in self._out_of_memory))
        self._out_of_memory.discard(container_id)
        self._pending.append(_LookAgain(container_id, self._clock() + _AFTER_DEATH_SECONDS, _PENDING_LOOKS))

    def _inspect(self, container_id: str, cause: str, at: float, look: int = 0) -> None:
        try:
            container = self._inspector.ask(container_id)
        except Unanswered:
            return
        if container is None:
            self._observe(Gone(container_id, at))
            return
        self._observe(Inspected(container, cause, at))
        if container.ports_pending and look < _PENDING_LOOKS:
            due = self._clock() + _PENDING_FIRST_SECONDS * 2**look
            self._pending.append(_LookAgain(container_id, due, look + 1))

    def _look_again(self) -> None:
        now = self._clock()
        due = [one for one in self._pending if one.due <= now]
        self._pending = [one for one in self._pending if one.due > now]
        for one in due:
            self._inspect(one.container_id, "updated", now, one.look)
        for container_id in self._inspector.silent():
            self._inspect(container_id, "updated", now)

    def _inspect_in_turn(self) -> None:
        for container in self._inspector.ask_all(self._inspector.next_in_turn()):
            self._observe(Inspected(container, RECONCILED, self._clock()))

    @metrics.reconcile_seconds.time()
    def _list(self, *, everything: bool) -> None:
        """List, inspect what differs, or everything, and tell."""
        listed = {one.id: one.fingerprint for one in self._engine.running()}
        differing = {one for one, fingerprint in listed.items() if self._fingerprints.get(one) != fingerprint}
        ended = (self._fingerprints.keys() | self._inspector.running) - listed.keys()
        if not everything:
            metrics.reconciled.inc(len(differing | ended))
        asked = set(listed) if everything else differing
        # What ended is asked too: only the engine knows with which exit code.
        answers = tuple(self._inspector.ask_all(asked | ended))
        exited = self._engine.exited() if self._lists_exited else {}
        now = self._clock()
        self._observe(Listed(frozenset(listed), answers, now, self._signals, exited))
        self._signals = ()
        metrics.last_reconcile.set(now)
        self._fingerprints, self._listed_at = listed, now
        self._inspector.keep_only(listed.keys())
