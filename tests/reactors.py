"""A reactor in a thread, for tests that need real sockets and may block; and backends that say who they are."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor

T = TypeVar("T")

DEADLINE_SECONDS = 10.0


class ReactorThread:
    """Runs a reactor; `call` runs something in it and returns the answer."""

    def __init__(self) -> None:
        self.reactor = EPollReactor()
        self._thread = Thread(target=self.reactor.run, kwargs={"installSignalHandlers": False}, daemon=True)

    def start(self) -> None:
        """Run from now on."""
        self._thread.start()

    def call(self, act: Callable[[], T]) -> T:
        """Return what `act` returns when it is called in the reactor's thread."""
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(act())
            except BaseException as error:  # noqa: BLE001 -- raised where it was asked
                answer.set_exception(error)

        self.reactor.callFromThread(run)
        return answer.result(DEADLINE_SECONDS)

    def start_and_wait(self, act: Callable[[], Deferred[None]]) -> Future[None]:
        """Call what returns a Deferred in the reactor's thread; return a future of its end."""
        ended: Future[None] = Future()
        self.call(lambda: act().addCallback(ended.set_result))
        return ended

    def stop(self) -> None:
        """End the reactor, its thread, and what it holds open."""
        self.reactor.callFromThread(self.reactor.stop)
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()
        for reader in self.reactor.removeAll():
            reader.connectionLost(None)
        self.reactor._poller.close()  # noqa: SLF001 -- the reactor that a process ends with never needs to close it


@contextmanager
def reactor_thread() -> Iterator[ReactorThread]:
    """Have a reactor that runs."""
    running = ReactorThread()
    running.start()
    try:
        yield running
    finally:
        running.stop()


class NamedBackend:
    """Sends its name to whoever connects, then whatever `serve` does, then closes."""

    def __init__(self, name: str, serve: Callable[[socket.socket], None] = lambda _: None) -> None:
        self._name = name.encode()
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no longer."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE_SECONDS)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client:
            client.settimeout(DEADLINE_SECONDS)
            try:
                client.sendall(self._name)
                self._serve(client)
            except OSError:
                return
