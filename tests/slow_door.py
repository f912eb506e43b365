"""A door before a server that lets everything pass, but later: what is far away, or busy.

Knows bytes only. Each answer is late by the whole delay; nothing is lost, and the order stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Final, Self

from tests.servers import HOST, free_port

_PIECE_BYTES: Final = 1 << 16
_OPENING_SECONDS: Final = 10.0


class SlowDoor:
    """Listens on a port of its own, and passes what comes on to another one; its `with` block ends it."""

    def __init__(self, target_port: int, delay_seconds: float) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._delay_seconds = delay_seconds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._is_open = threading.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self._ending = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_open.wait(_OPENING_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._join, HOST, self.port)
        self._is_open.set()
        await self._ending.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        # The next turn of the loop lets go of the sockets.
        await asyncio.sleep(0)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_there, to_there = await asyncio.open_connection(HOST, self._target_port)
        self._writers += [writer, to_there]
        half = self._delay_seconds / 2
        # Whoever is still connected at the end is cut off in the middle of this.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(self._pass(reader, to_there, half), self._pass(from_there, writer, half))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
        """Pass on what comes, each piece so much later."""
        loop = asyncio.get_running_loop()
        try:
            while piece := await reader.read(_PIECE_BYTES):
                loop.call_later(seconds, writer.write, piece)
        except ConnectionError:
            pass
        loop.call_later(seconds, writer.close)
