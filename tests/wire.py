"""A wire to a server that can lose an answer: the request arrives and is carried out, its answer never comes back."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"


class Wire:
    """Relays every connection made to `port` to a port of the loopback, byte for byte, until told otherwise."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server((HOST, 0))
        self._lose_next = threading.Event()
        self._sockets: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def lose_answer(self) -> None:
        """Swallow the next thing that the server says, and break that connection."""
        self._lose_next.set()

    def close(self) -> None:
        """Break every connection and take no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in [*self._sockets]:
            _break(end)
        for thread in [*self._threads]:
            thread.join(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._join(client)

    def _join(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection((HOST, self._target_port))
        except OSError:
            client.close()
            return
        self._sockets += [client, server]
        for source, target, answers in ((client, server, False), (server, client, True)):
            thread = threading.Thread(target=self._carry, args=(source, target, answers), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _carry(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while some := source.recv(65536):
                if answers and self._lose_next.is_set():
                    self._lose_next.clear()
                    break
                target.sendall(some)
        _break(source)
        _break(target)


def _break(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
