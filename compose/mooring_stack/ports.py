"""Free ports that stay ours until we let go of them, however many demos start in the same moment.

A port that is merely found free can be taken by somebody else before a child listens on it. Here it stays bound: first
exclusively, so that two of us never get the same one, then with SO_REUSEADDR, which lets a server that sets it too (all
of ours do) listen on the port while our silent socket keeps everybody else from it.
"""

from __future__ import annotations

import errno
import socket
from types import TracebackType
from typing import Final, Self

LOOPBACK: Final = "127.0.0.1"
# The kernel proposes at random among some 28 000; that ten proposals in a row are taken elsewhere does not happen.
_ATTEMPTS: Final = 10


class Ports:
    """The ports held so far; as a context manager it lets go of them at the end."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def __enter__(self) -> Self:
        """Hold nothing yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Let go."""
        for one in self._held:
            one.close()

    def hold(self, *hosts: str) -> int:
        """Return a TCP port that is free on loopback, or on all of these addresses of this machine, and hold it.

        Raises:
            OSError: one of the addresses is not this machine's, or no port is free.
        """
        for _ in range(_ATTEMPTS):
            port = self._held_on_all(hosts or (LOOPBACK,))
            if port is not None:
                return port
        raise OSError(errno.EADDRINUSE, f"no port is free on all of {', '.join(hosts)}")

    def _held_on_all(self, hosts: tuple[str, ...]) -> int | None:
        taken: list[socket.socket] = []
        port = 0
        for host in hosts:
            one = socket.socket()
            taken.append(one)
            try:
                one.bind((host, port))
            except OSError as error:
                for other in taken:
                    other.close()
                if error.errno == errno.EADDRINUSE and len(taken) > 1:
                    return None
                raise
            port = one.getsockname()[1]
        for one in taken:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held += taken
        return port
