"""What the relay wants of TCP beyond Twisted's interfaces: a typed transport, a late reset, a port of a given socket.

Knows nothing of routes and backends.
"""

from __future__ import annotations

import socket
from typing import Any, Final, Protocol, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IPullProducer, IPushProducer, ITransport
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Port
from twisted.python.failure import Failure
from zope.interface import implementer

from mooring.model import Address

# A crowd that waited while no proxy accepted must not keep the reactor from those it has taken already: their backends
# would seem to be late. Proxies that accept from one socket share a crowd the better, too.
ACCEPTS_PER_TURN: Final = 32


class Transport(Protocol):
    """A TCP transport of Twisted, as far as the relay uses it."""

    def write(self, data: bytes) -> None: ...  # noqa: D102 -- Twisted's, as are all of these
    def getHandle(self) -> socket.socket: ...  # noqa: D102, N802
    def startWriting(self) -> None: ...  # noqa: D102, N802
    def loseConnection(self) -> None: ...  # noqa: D102
    def loseWriteConnection(self) -> None: ...  # noqa: D102
    def abortConnection(self) -> None: ...  # noqa: D102
    def pauseProducing(self) -> None: ...  # noqa: D102
    def resumeProducing(self) -> None: ...  # noqa: D102
    def registerProducer(self, producer: object, streaming: bool) -> None: ...  # noqa: D102, FBT001
    def unregisterProducer(self) -> None: ...  # noqa: D102
    def setTcpNoDelay(self, enabled: bool) -> None: ...  # noqa: D102, FBT001, N802
    def setTcpKeepAlive(self, enabled: bool) -> None: ...  # noqa: D102, FBT001, N802
    def getHost(self) -> IAddress: ...  # noqa: D102
    def getPeer(self) -> IAddress: ...  # noqa: D102


def as_tcp(transport: ITransport | None) -> Transport:
    """Return the transport of a protocol that is connected by TCP, typed as what it is."""
    return cast("Transport", transport)


def tune(transport: Transport) -> None:
    """Send small pieces at once, and notice a peer that vanished."""
    transport.setTcpNoDelay(True)
    transport.setTcpKeepAlive(True)


def peer_of(transport: Transport) -> Address:
    """Return who is at the other end."""
    peer: Any = transport.getPeer()
    return Address(peer.host, peer.port)


def is_connected_to_itself(transport: Transport) -> bool:
    """Whether a dead port of this machine was given to our own end of the connection, so that we speak to ourselves."""
    return bool(transport.getHost() == transport.getPeer())


def send_at_once(transport: Transport, data: bytes) -> int | None:
    """Send past the transport's buffer, which must be empty; return how many bytes the kernel took.

    None: the peer ended the connection before any of these bytes could be sent. Writing to the transport would tell
    of the end too, but not whether the bytes had gone before it.
    """
    handle = transport.getHandle()
    try:
        if _has_ended(handle):
            return None
        return handle.send(data)
    except BlockingIOError:
        return 0
    except OSError:
        return None


def _has_ended(handle: socket.socket) -> bool:
    try:
        return not handle.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False


def reset_after_flush(transport: Transport) -> None:
    """Send what is buffered, then RST: the peer has all there is, and knows that it is not all there should be.

    Not `loseConnection` with SO_LINGER: Twisted sends FIN before it closes, and the peer would take that for the end.
    """
    transport.unregisterProducer()
    transport.pauseProducing()
    transport.registerProducer(_Reset(transport), streaming=False)


@implementer(IPushProducer)
class Flow:
    """A transport as the producer of the other: it is paused and resumed, and nothing else.

    A transport that is lost stops its producer, and one that is stopped closes: the client of a backend that died would
    be sent FIN, although another may still serve it. What a loss means is decided in connection.py.
    """

    def __init__(self, transport: Transport) -> None:
        self.pauseProducing = transport.pauseProducing
        self.resumeProducing = transport.resumeProducing

    def stopProducing(self) -> None:
        """See IPushProducer: not ours to decide."""


@implementer(IPullProducer)
class _Reset:
    """Has nothing more to say when the transport asks for more: that is when everything was sent."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._was_asked = False

    def resumeProducing(self) -> None:
        """See IPullProducer."""
        if self._was_asked:
            self._transport.unregisterProducer()
            self._transport.abortConnection()
        else:
            # That was the registration. With an empty buffer nothing would make the transport ask again.
            self._was_asked = True
            self._transport.startWriting()

    def stopProducing(self) -> None:
        """See IPullProducer: the peer is gone by itself."""


class PatientPort(Port):
    """Accepts from a socket that listens already, and that others may accept from as well.

    Twisted never shuts such a socket down: that would end it for everybody who has it.
    """

    @classmethod
    def of(cls, listening: socket.socket, factory: Factory, reactor: PosixReactorBase) -> PatientPort:
        """Return a port with a descriptor of its own for that socket; it accepts from now on."""
        # What IReactorSocket.adoptStreamPort does, which makes no port but Twisted's own.
        made = cls._fromListeningDescriptor(  # type: ignore[no-untyped-call]
            reactor, listening.fileno(), listening.family, factory
        )
        made.startListening()
        return cast("PatientPort", made)

    def doRead(self) -> None:  # noqa: N802 -- Twisted's name
        """Accept some of those who wait; Twisted would take more and more of a crowd at once."""
        self.numberAccepts = min(self.numberAccepts, ACCEPTS_PER_TURN)
        super().doRead()  # type: ignore[no-untyped-call]

    def accept(self, *, accepts: bool) -> None:
        """Accept from now on, or leave those who come in the queue."""
        (self.startReading if accepts else self.stopReading)()  # type: ignore[no-untyped-call]

    def close(self, *, accepting_who_waits: bool) -> None:
        """Close it now. Who waits in its queue is reset when nobody else has the socket, hence is accepted before."""
        self.accept(accepts=False)
        before = -1
        while accepting_who_waits and before != self.sessionno:
            before = self.sessionno
            self.doRead()
        self.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]
