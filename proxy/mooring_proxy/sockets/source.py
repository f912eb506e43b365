"""The seam to where a proxy's listening sockets come from.

Two providers, held to one contract: `own.OwnSockets` binds them in this process; `shared.SharedSockets` has them from
the holder, where all proxies of this host have the same.
"""

from __future__ import annotations

import socket
from typing import Protocol

from twisted.internet.defer import Deferred

from mooring.errors import WorldError
from mooring.model import Address, Json


class CannotListen(WorldError):
    """An address cannot be had: the message says why."""


class SocketSource(Protocol):
    """Gives and takes back listening sockets. Everything is called in the reactor's thread and returns at once."""

    is_shared: bool
    """Whether others accept from the same sockets."""

    def start(self, name: str) -> None:
        """Begin; `name` says to people which proxy this is."""

    def open(self, address: Address) -> Deferred[socket.socket]:
        """Give a socket that listens there and does not block; it stays the source's. Fails with CannotListen."""

    def close(self, address: Address) -> Deferred[bool]:
        """Let a socket go. True: nobody else has it, so who waits in its queue is for the caller to accept."""

    def settled(self, *, is_fresh: bool) -> None:
        """Say that all is opened that is in the table; `is_fresh`: and that the table is not one from the disk."""

    def leave(self) -> Deferred[None]:
        """Say that this proxy is about to end; fires when another accepts in its place, if ever."""

    @property
    def outlives_us(self) -> bool:
        """Whether all sockets live on when this process ends."""

    def report(self) -> Json:
        """Return how it stands, for people."""

    def stop(self) -> None:
        """Let everything go."""
