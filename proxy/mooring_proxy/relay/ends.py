"""The ends of a relayed connection as Twisted sees them: they tell the connection what happens, and decide nothing."""

from __future__ import annotations

from typing import Protocol as Seam

from twisted.internet.interfaces import IAddress, IConnector, IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mooring_proxy.relay.halves import Side
from mooring_proxy.relay.transports import Transport, as_tcp


class Relayed(Seam):
    """Who is told: relay.connection.RelayedConnection."""

    def made(self, end: End) -> None:
        """Take a transport that is connected."""

    def carry(self, end: End, data: bytes) -> None:
        """Hand bytes of one end to the other."""

    def ended(self, end: End) -> None:
        """Take note that an end has sent everything."""

    def lost(self, end: End) -> None:
        """Take note that an end is gone."""

    def dial_failed(self) -> None:
        """Take note that a backend could not be reached."""


@implementer(IHalfCloseableProtocol)
class End(Protocol):
    """One end of a relayed connection: it tells the connection what it sees, and decides nothing."""

    def __init__(self, connection: Relayed, side: Side) -> None:
        self._connection = connection
        self.side = side
        self.gone = False

    @property
    def tcp(self) -> Transport:
        """The transport."""
        return as_tcp(self.transport)

    def connectionMade(self) -> None:
        """See Protocol."""
        self._connection.made(self)

    def dataReceived(self, data: bytes) -> None:
        """See Protocol."""
        self._connection.carry(self, data)

    def readConnectionLost(self) -> None:
        """The peer sent FIN."""
        self._connection.ended(self)

    def writeConnectionLost(self) -> None:
        """Our own FIN is out: nothing follows from it."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 -- Twisted's signature
        """See Protocol."""
        self._connection.lost(self)


class Dial(ClientFactory):
    """One attempt at one backend."""

    noisy = False

    def __init__(self, connection: Relayed) -> None:
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> Protocol:  # noqa: ARG002 -- Twisted's signature
        """Return the backend's end."""
        return End(self._connection, Side.UPSTREAM)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:  # noqa: ARG002 -- the same
        """See ClientFactory: refused, unreachable, or too slow."""
        self._connection.dial_failed()
