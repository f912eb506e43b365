"""What the relay wants of TCP beyond Twisted's interfaces: a typed transport, a late reset, a patient port.

Knows nothing of routes and backends.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, Final, Protocol, cast

from twisted.internet.interfaces import IAddress, ITransport
from twisted.internet.tcp import Port
from twisted.python.failure import Failure

BACKLOG: Final = 4096
# struct linger: on, zero seconds. Closing then sends RST in place of FIN.
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Transport(Protocol):
    """A TCP transport of Twisted, as far as the relay uses it."""

    def write(self, data: bytes) -> None: ...  # noqa: D102 -- Twisted's, as are all of these
    def loseConnection(self) -> None: ...  # noqa: D102
    def loseWriteConnection(self) -> None: ...  # noqa: D102
    def abortConnection(self) -> None: ...  # noqa: D102
    def pauseProducing(self) -> None: ...  # noqa: D102
    def resumeProducing(self) -> None: ...  # noqa: D102
    def registerProducer(self, producer: object, streaming: bool) -> None: ...  # noqa: D102, FBT001
    def unregisterProducer(self) -> None: ...  # noqa: D102
    def setTcpNoDelay(self, enabled: bool) -> None: ...  # noqa: D102, FBT001, N802
    def setTcpKeepAlive(self, enabled: bool) -> None: ...  # noqa: D102, FBT001, N802
    def getHandle(self) -> socket.socket: ...  # noqa: D102, N802
    def getHost(self) -> IAddress: ...  # noqa: D102
    def getPeer(self) -> IAddress: ...  # noqa: D102


def as_tcp(transport: ITransport | None) -> Transport:
    """Return the transport of a protocol that is connected by TCP, typed as what it is."""
    return cast("Transport", transport)


def tune(transport: Transport) -> None:
    """Send small pieces at once, and notice a peer that vanished."""
    transport.setTcpNoDelay(True)
    transport.setTcpKeepAlive(True)


def is_connected_to_itself(transport: Transport) -> bool:
    """Whether a dead port of this machine was given to our own end of the connection, so that we speak to ourselves."""
    return bool(transport.getHost() == transport.getPeer())


def reset_after_flush(transport: Transport) -> None:
    """Send what is buffered, then RST: the peer has all there is, and knows that it is not all there should be."""
    transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    # A producer that is registered would be asked for more in place of closing.
    transport.unregisterProducer()
    transport.loseConnection()


class PatientPort(Port):
    """A listening port that accepts whoever waits in its backlog before it closes: closing would reset them."""

    def connectionLost(self, reason: Failure) -> None:
        """Accept until nobody waits, then close."""
        before = -1
        while before != self.sessionno:
            before = self.sessionno
            self.doRead()  # type: ignore[no-untyped-call]
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    @property
    def bound_port(self) -> int:
        """The port that it really listens on."""
        address: Any = self.getHost()  # type: ignore[no-untyped-call]
        return int(address.port)
