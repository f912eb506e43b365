"""The loop of `mooring stop`: announces the ends of containers, looks at the streams, and stops who is free to go.

What is waited for is decided in `progress`; this is its edge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, Protocol, assert_never

from attrs import field, frozen, mutable

from mooring.errors import Unavailable
from mooring.redis.stream import StreamReader
from mooring_register.containers import Container
from mooring_register.draining import DRAIN_MARGIN_SECONDS
from mooring_register.stop.announcement import Announcement, Answer
from mooring_register.stop.looking import look
from mooring_register.stop.progress import Free, Patience, Refused, Stop, StreamView, Verdict, Waiting, step

# An announcement outlives a register that restarts, and not much more: nobody drains for a command that was killed.
BELIEVED_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 0.2
# One that starts is to be told before it has listed: it would write that the container is up.
_SOON_SECONDS: Final = 0.05


class Register(Protocol):
    """This host's register."""

    def announce(self, announcement: Announcement) -> Answer:
        """Say that a container will be stopped; raises `Unavailable`."""


class Engine(Protocol):
    """This host's engine."""

    def container(self, name: str) -> Container | None:
        """Return a container, None when there is none; raises `Unavailable`."""

    def stop(self, container: Container) -> None:
        """Stop a container and return when it has ended; raises `Unavailable`."""


@frozen(kw_only=True)
class Outside:
    """What the loop works with. `say` is given a container's name and what there is to say of it."""

    engine: Engine
    register: Register
    streams: Mapping[str, StreamReader]
    say: Callable[[str, str], None]


@mutable
class _Course:
    """One container on its way to its end."""

    name: str
    container: Container
    stop: Stop
    said: str = ""
    is_over: bool = False
    problem: str = ""


@mutable
class Stopping:
    """Stops containers, several at once. `force` stops also those that were never made to drain."""

    outside: Outside
    patience: Patience
    force: bool = False
    _failed: set[str] = field(factory=set)

    def run(self, names: Iterable[str]) -> bool:
        """Stop the containers of these names or ids; return whether all of them are stopped."""
        courses = [course for name in dict.fromkeys(names) if (course := self._begin(name)) is not None]
        with ThreadPoolExecutor(max_workers=max(1, len(courses)), thread_name_prefix="stop") as pool:
            ending: list[Future[None]] = []
            while pending := [one for one in courses if not one.is_over]:
                streams = self._look(pending)
                free = [one for one in pending if self._may_stop(one, streams)]
                ending += [pool.submit(self._stop, one) for one in free]
                if len(free) < len(pending):
                    time.sleep(_SOON_SECONDS if any(one.problem for one in pending) else _AGAIN_SECONDS)
            wait(ending)
        for future in ending:
            future.result()
        return not self._failed

    def _begin(self, name: str) -> _Course | None:
        try:
            container = self.outside.engine.container(name)
        except Unavailable as error:
            self._fail(name, str(error))
            return None
        if container is None:
            self._fail(name, "there is no such container")
            return None
        if not container.running:
            self.outside.say(name, "does not run")
            return None
        return _Course(name, container, Stop(began=time.monotonic()))

    def _fail(self, name: str, problem: str) -> None:
        self._failed.add(name)
        self.outside.say(name, f"not stopped: {problem}")

    def _look(self, pending: Iterable[_Course]) -> dict[str, StreamView]:
        views: dict[str, StreamView] = {}
        for url, stream in self.outside.streams.items():
            # A catalog may be long; once it said that all of them drain there is nothing more to learn from it.
            reads_catalog = any(url not in one.stop.targets for one in pending)
            view = look(stream, reads_catalog=reads_catalog)
            if view is not None:
                views[url] = view
        return views

    def _may_stop(self, course: _Course, streams: Mapping[str, StreamView]) -> bool:
        answer = self._announce(course, BELIEVED_SECONDS)
        course.stop, verdict = step(course.stop, answer, streams, time.monotonic(), self.patience)
        course.is_over = not isinstance(verdict, Waiting)
        return self._conclude(course, verdict)

    def _conclude(self, course: _Course, verdict: Verdict) -> bool:
        match verdict:
            case Waiting(reason):
                self._say(course, f"waiting: {reason}")
                return False
            case Free(reason):
                self._say(course, f"stopping: {reason}")
                return True
            case Refused(reason):
                why = f"{reason} ({course.problem})" if course.problem else reason
                if self.force:
                    self._say(course, f"stopping by force: {why}")
                else:
                    self._fail(course.name, why)
                return self.force
            case _:
                assert_never(verdict)

    def _announce(self, course: _Course, seconds: float) -> Answer | None:
        try:
            answer = self.outside.register.announce(Announcement(course.container.id, seconds))
        except Unavailable as error:
            course.problem = str(error)
            return None
        course.problem = ""
        return answer

    def _say(self, course: _Course, text: str) -> None:
        if course.said != text:
            course.said = text
            self.outside.say(course.name, text)

    def _stop(self, course: _Course) -> None:
        # Until it has ended, also where its stop signal says nothing to register.
        self._announce(course, course.container.stop_timeout_seconds + DRAIN_MARGIN_SECONDS)
        try:
            self.outside.engine.stop(course.container)
        except Unavailable as error:
            self._fail(course.name, str(error))
        else:
            took_seconds = time.monotonic() - course.stop.began
            self.outside.say(course.name, f"stopped, after {took_seconds:.1f} s")
