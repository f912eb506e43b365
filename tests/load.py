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
from tests.waiting import wait_until

TIMEOUT_SECONDS = 2.0

_ANSWER = re.compile(rb"HTTP/1\.1 200 OK\r\n.*\r\n\r\ninstance=(?P<instance>\S+) pid=\d+ path=\S+\n", re.DOTALL)


@frozen
class Outcome:
    """What became of one request: who answered it, or why nobody did.

    `at` is when it was sent (epoch seconds), `port` the client's own, 0 when it could not even connect.
    """

    request_id: str
    target: Address
    port: int
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

    def await_answers(self, wanted: Callable[[Counter[tuple[Address, str]]], bool], seconds: float = 15) -> float:
        """Wait until the answers sent from now on, counted by (target, instance), are as wanted; return how long."""
        began = time.time()

        def seen() -> str:
            counted = Counter((str(one.target), one.instance or one.error) for one in self.since(began))
            return f"the answers that were wanted, of these: {counted}"

        return wait_until(
            lambda: wanted(Counter((one.target, one.instance) for one in self.since(began) if one.instance)),
            seen,
            seconds,
        )

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
        at, asking = time.time(), _Asking(target)
        try:
            answer = await asyncio.wait_for(asking.get(request_id), TIMEOUT_SECONDS)
        except (OSError, TimeoutError) as error:
            self._note(request_id, asking, at, error=repr(error))
            return
        found = _ANSWER.fullmatch(answer)
        if found:
            self._note(request_id, asking, at, instance=found["instance"].decode())
        else:
            self._note(request_id, asking, at, error=f"answered {answer[:80]!r}")

    def _note(self, request_id: str, asking: _Asking, at: float, *, instance: str = "", error: str = "") -> None:
        seconds = time.time() - at
        self._outcomes.append(Outcome(request_id, asking.target, asking.port, at, seconds, instance, error))


class _Asking:
    """One request on a connection of its own."""

    def __init__(self, target: Address) -> None:
        self.target = target
        self.port = 0

    async def get(self, request_id: str) -> bytes:
        reader, writer = await asyncio.open_connection(self.target.host, self.target.port)
        try:
            self.port = writer.get_extra_info("sockname")[1]
            writer.write(f"GET / HTTP/1.1\r\nHost: test\r\nX-Request-Id: {request_id}\r\n\r\n".encode())
            return await reader.read(-1)
        finally:
            writer.close()
