"""A steady load through the proxies that forgives nothing: a new connection each, no retry, two seconds at most.

Requests are sent by the clock, not after the one before has ended, so a proxy that stalls is asked all the same.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import cycle
from threading import Event, Thread
from types import TracebackType
from typing import Self

from attrs import frozen

from mooring.model import Address

TIMEOUT_SECONDS = 2.0

_ANSWER = re.compile(rb"HTTP/1\.1 200 OK\r\n.*\r\n\r\ninstance=(?P<instance>\S+) pid=\d+ path=\S+\n", re.DOTALL)


@frozen
class Outcome:
    """What became of one request: who answered it, or why nobody did. `at` is when it was sent (epoch seconds)."""

    request_id: str
    target: Address
    at: float
    seconds: float
    instance: str = ""
    error: str = ""


class Load:
    """Requests at `rate` per second over the targets in turn, from `with` to its end."""

    def __init__(self, targets: Iterable[Address], rate: float, name: str = "load") -> None:
        self._targets = tuple(targets)
        self._rate = rate
        self._name = name
        self._stopping = Event()
        self._outcomes: list[Outcome] = []
        self._thread = Thread(target=lambda: asyncio.run(self._run()), name=name)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        """End, and wait for what is on its way."""
        self._stopping.set()
        self._thread.join()

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """All requests that have ended so far."""
        return tuple(self._outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """Those that nobody answered."""
        return tuple(outcome for outcome in self.outcomes if outcome.error)

    def since(self, moment: float) -> tuple[Outcome, ...]:
        """Return what was sent after a moment (epoch seconds) and has ended."""
        return tuple(outcome for outcome in self.outcomes if outcome.at >= moment)

    def await_answers(
        self, wanted: Callable[[Counter[tuple[Address, str]]], bool], deadline_seconds: float = 15
    ) -> float:
        """Wait until the answers sent from now on, counted by (target, instance), are as wanted; return how long."""
        began = time.time()
        while not wanted(Counter((one.target, one.instance) for one in self.since(began) if one.instance)):
            if time.time() - began > deadline_seconds:
                seen = Counter((str(one.target), one.instance or one.error) for one in self.since(began))
                message = f"not the answers that were wanted within {deadline_seconds} s: {seen}"
                raise AssertionError(message)
            time.sleep(0.005)  # a look at what another thread collects, bounded by the deadline above
        return time.time() - began

    async def _run(self) -> None:
        targets, running, number = cycle(self._targets), set[asyncio.Task[None]](), 0
        began = time.monotonic()
        while not self._stopping.is_set():
            number += 1
            await asyncio.sleep(began + number / self._rate - time.monotonic())
            task = asyncio.create_task(self._ask(f"{self._name}-{number}", next(targets)))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)

    async def _ask(self, request_id: str, target: Address) -> None:
        at = time.time()
        try:
            answer = await asyncio.wait_for(_get(target, request_id), TIMEOUT_SECONDS)
        except (OSError, TimeoutError) as error:
            self._outcomes.append(Outcome(request_id, target, at, time.time() - at, error=repr(error)))
            return
        found = _ANSWER.fullmatch(answer)
        instance = found["instance"].decode() if found else ""
        wrong = "" if found else f"answered {answer[:80]!r}"
        self._outcomes.append(Outcome(request_id, target, at, time.time() - at, instance, wrong))


async def _get(target: Address, request_id: str) -> bytes:
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        writer.write(f"GET / HTTP/1.1\r\nHost: test\r\nX-Request-Id: {request_id}\r\n\r\n".encode())
        return await reader.read(-1)
    finally:
        writer.close()
