"""The process that sends a load's requests, one connection each, and says in a line of JSON what became of each.

    python -m tests.requesting '[["127.0.0.1", 8000]]' 500 load 2

It ends when its standard input does, after what is on its way. Without streams and tasks, so that on a busy machine
the requests cost less than what they ask for.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from itertools import cycle
from typing import Final, cast

from attrs import asdict, frozen

from mooring.model import Address

TIMEOUT_SECONDS: Final = 2.0

_ANSWER: Final = re.compile(rb"HTTP/1\.1 200 OK\r\n.*\r\n\r\ninstance=(?P<instance>\S+) pid=\d+ path=\S+\n", re.DOTALL)


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


def outcome_in(line: bytes) -> Outcome:
    """Read a line that this process wrote."""
    fields = json.loads(line)
    return Outcome(**{**fields, "target": Address(*fields["target"])})


class Request(asyncio.Protocol):
    """One request on a connection of its own; `ended` by the answer, an error or the clock, whichever is first."""

    def __init__(self, request_id: str, target: Address, timeout_seconds: float) -> None:
        self._request_id = request_id
        self._target = target
        self._at = time.time()
        self._port = 0
        self._answer = b""
        self._transport: asyncio.Transport | None = None
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(timeout_seconds, self._end, "TimeoutError()")
        self.ended: asyncio.Future[Outcome] = loop.create_future()

    async def connect(self) -> None:
        """Open the connection; what is sent on it is sent at once."""
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, self._target.host, self._target.port)
        except OSError as error:
            self._end(repr(error))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request, unless it came too late."""
        self._transport = cast("asyncio.Transport", transport)
        self._port = transport.get_extra_info("sockname")[1]
        if self.ended.done():
            self._transport.abort()
            return
        self._transport.write(f"GET / HTTP/1.1\r\nHost: test\r\nX-Request-Id: {self._request_id}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Collect the answer."""
        self._answer += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Judge what came until the other side closed."""
        found = _ANSWER.fullmatch(self._answer)
        if exc is None and found:
            self._end("", found["instance"].decode())
        else:
            self._end(repr(exc) if exc else f"answered {self._answer[:80]!r}")

    def _end(self, error: str, instance: str = "") -> None:
        if self.ended.done():
            return
        self._deadline.cancel()
        if self._transport is not None:
            self._transport.abort()
        seconds = time.time() - self._at
        self.ended.set_result(Outcome(self._request_id, self._target, self._port, self._at, seconds, instance, error))


async def send(targets: Sequence[Address], rate: float, name: str, timeout_seconds: float) -> None:
    """Send requests until standard input ends, and tell of each that has ended."""
    loop, ending = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ending.set)
    connecting, open_requests = set[asyncio.Task[None]](), set[asyncio.Future[Outcome]]()
    began = time.monotonic()
    for number, target in enumerate(cycle(targets), 1):
        await asyncio.sleep(began + number / rate - time.monotonic())
        if ending.is_set():
            break
        request = Request(f"{name}-{number}", target, timeout_seconds)
        open_requests.add(request.ended)
        request.ended.add_done_callback(tell)
        request.ended.add_done_callback(open_requests.discard)
        task = loop.create_task(request.connect())
        connecting.add(task)
        task.add_done_callback(connecting.discard)
    loop.remove_reader(sys.stdin.fileno())
    await asyncio.gather(*open_requests)


def tell(ended: asyncio.Future[Outcome]) -> None:
    """Write what became of a request, at once and whole."""
    outcome = ended.result()
    line = {**asdict(outcome), "target": (outcome.target.host, outcome.target.port)}
    os.write(sys.stdout.fileno(), json.dumps(line).encode() + b"\n")


def main() -> None:
    """Read the arguments, and send."""
    targets, rate, name, timeout_seconds = sys.argv[1:]
    asyncio.run(send([Address(*target) for target in json.loads(targets)], float(rate), name, float(timeout_seconds)))


if __name__ == "__main__":
    main()
