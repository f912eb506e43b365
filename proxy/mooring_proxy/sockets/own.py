"""A proxy's own listening sockets: bound here, and gone when this process ends."""

from __future__ import annotations

import socket

from twisted.internet.defer import Deferred, fail, succeed

from mooring.model import Address, Json
from mooring_proxy.sockets.binding import bind
from mooring_proxy.sockets.source import CannotListen


class OwnSockets:
    """Binds; nobody else has what is bound."""

    is_shared = False
    outlives_us = False

    def __init__(self) -> None:
        self._bound: dict[Address, socket.socket] = {}

    def start(self, name: str) -> None:
        """See SocketSource."""

    def open(self, address: Address) -> Deferred[socket.socket]:
        """See SocketSource."""
        try:
            bound = bind(address)
        except OSError as error:
            return fail(CannotListen(str(error)))
        self._bound[address] = bound
        return succeed(bound)

    def close(self, address: Address) -> Deferred[bool]:
        """See SocketSource."""
        self._bound.pop(address).close()
        return succeed(True)

    def settled(self, *, is_fresh: bool) -> None:
        """See SocketSource."""

    def leave(self) -> Deferred[None]:
        """See SocketSource: there is nobody who could accept later, and no reason to wait."""
        return succeed(None)

    def report(self) -> Json:
        """See SocketSource."""
        return "own"

    def stop(self) -> None:
        """See SocketSource."""
        for bound in self._bound.values():
            bound.close()
        self._bound.clear()
