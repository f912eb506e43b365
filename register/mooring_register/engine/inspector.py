"""Asks an engine about containers, and remembers whose turn is next, who runs, and about whom there was no answer.

Several are asked about by several threads at a time: an engine takes most of a millisecond for each, and a listing of
ten thousand would else stand in the way of all news for long. Where answers fail to come, more threads ask about the
rest: all the silent together are waited for as long as one. What they found is taken in by the thread that asked for
it, before it does anything else, so that there is one order of things.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

from attrs import field, frozen

from mooring.errors import WorldError
from mooring.telemetry import get_logger
from mooring.threads import start
from mooring_register import metrics
from mooring_register.containers import Container, Inspected, read_container
from mooring_register.engine.rotation import Rotation
from mooring_register.engine.seam import Engine, Unanswered
from mooring_register.engine.silences import Silences

log = get_logger()

_THREADS: Final = 4
# Without an answer for so long, as many threads more ask about the rest, as long as that are not too many.
_PATIENCE_SECONDS: Final = 1.0
_MOST_THREADS: Final = 32

Answer: TypeAlias = Inspected | WorldError | None


@frozen
class _Round:
    """Questions that several threads share, and the answers as they come."""

    asked: SimpleQueue[str] = field(factory=SimpleQueue)
    answered: SimpleQueue[tuple[str, Answer]] = field(factory=SimpleQueue)

    def next(self) -> str | None:
        """Return whom to ask about next; None when all are asked about."""
        try:
            return self.asked.get_nowait()
        except Empty:
            return None

    def end(self) -> None:
        """Ask about nobody else."""
        while self.next() is not None:
            pass


class Inspector:
    """Asks an engine, on behalf of one thread. `clock` gives epoch seconds."""

    def __init__(self, engine: Engine, clock: Callable[[], float], binding_prefix: str) -> None:
        self._engine = engine
        self._clock = clock
        self._binding_prefix = binding_prefix
        self._rounds: SimpleQueue[_Round] = SimpleQueue()
        self._has_threads = False
        self._running: set[str] = set()
        self._rotation = Rotation()
        self._silences = Silences()

    @property
    def unanswered(self) -> Mapping[str, str]:
        """The containers about which the engine gives no answer, with the reason. May be asked for by any thread."""
        return self._silences.reasons()

    @property
    def running(self) -> AbstractSet[str]:
        """Those that ran when they were last heard of."""
        return self._running

    def has_ended(self, container_id: str) -> None:
        """Note that a container ended: it is answered about again."""
        self._running.discard(container_id)
        self._rotation.forget(container_id)
        self._silences.end(container_id)

    def silent(self) -> tuple[str, ...]:
        """Return those about whom there was no answer, and who are to be asked about again now."""
        return self._silences.due(self._clock())

    def next_in_turn(self) -> tuple[str, ...]:
        """Return a few who are to be inspected now, for all to be inspected within ten minutes."""
        return self._rotation.due(self._clock(), self._silences)

    def keep_only(self, container_ids: Collection[str]) -> None:
        """Forget all others."""
        self._running.intersection_update(container_ids)
        self._rotation.keep_only(container_ids)
        self._silences.keep_only(frozenset(container_ids))

    def ask(self, container_id: str) -> Container | None:
        """Ask about a container; None when there is none.

        Raises:
            Unanswered: there is no answer about this one, or it is too early to ask again.
            Unavailable: there is no answer about anything.
        """
        if self._silences.holds(container_id, self._clock()):
            raise Unanswered(container_id)
        return self._take_in(container_id, self._answer(container_id))

    def ask_all(self, container_ids: Iterable[str]) -> Iterator[Container]:
        """Ask about many, and yield those that there are and about whom there is an answer.

        Raises:
            Unavailable: there is no answer about anything.
        """
        now = self._clock()
        asked = sorted(one for one in container_ids if not self._silences.holds(one, now))
        for container_id, answer in self._together(asked) if len(asked) > 1 else map(self._asked, asked):
            try:
                container = self._take_in(container_id, answer)
            except Unanswered:
                continue
            if container is not None:
                yield container

    def _together(self, container_ids: Collection[str]) -> Iterator[tuple[str, Answer]]:
        """Let several threads ask, until all are asked about, or there is no answer about anything."""
        if not self._has_threads:
            self._has_threads = True
            for _ in range(_THREADS):
                start("docker-asking", self._work)
        together = _Round()
        for container_id in container_ids:
            together.asked.put(container_id)
        for _ in range(_THREADS):
            self._rounds.put(together)
        return self._answers(together, len(container_ids))

    def _answers(self, together: _Round, count: int) -> Iterator[tuple[str, Answer]]:
        """Yield so many answers as they come; who gives none must not keep those who wait behind him."""
        threads, answered = _THREADS, 0
        while answered < count:
            try:
                yield together.answered.get(timeout=_PATIENCE_SECONDS)
                answered += 1
            except Empty:
                more = min(threads, _MOST_THREADS - threads, together.asked.qsize())
                threads += more
                for _ in range(more):
                    start("docker-asking-more", partial(self._work_on, together))

    def _work(self) -> None:
        while True:
            self._work_on(self._rounds.get())

    def _work_on(self, together: _Round) -> None:
        while (container_id := together.next()) is not None:
            answer = self._answer(container_id)
            together.answered.put((container_id, answer))
            if isinstance(answer, WorldError) and not isinstance(answer, Unanswered):
                together.end()

    def _asked(self, container_id: str) -> tuple[str, Answer]:
        return container_id, self._answer(container_id)

    def _answer(self, container_id: str) -> Answer:
        try:
            return self._engine.inspect(container_id)
        except WorldError as error:
            return error

    def _take_in(self, container_id: str, answer: Answer) -> Container | None:
        if isinstance(answer, Unanswered):
            metrics.unanswered.inc()
            if self._silences.begin(container_id, str(answer), self._clock()):
                log.warning("the engine gives no answer about a container", container=container_id, reason=str(answer))
        if isinstance(answer, WorldError):
            raise answer
        self._silences.end(container_id)
        metrics.inspections.inc()
        if answer is None:
            self._rotation.forget(container_id)
            return None
        container = read_container(answer, self._binding_prefix)
        if container.running:
            self._running.add(container_id)
            self._rotation.inspected(container_id)
        else:
            self._running.discard(container_id)
            self._rotation.forget(container_id)
        return container
