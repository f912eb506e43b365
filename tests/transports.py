"""A TCP transport and a reactor that exist in memory only: what the relay does to them can be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from attrs import field, mutable
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, UserError
from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from mooring.model import Address
from mooring_proxy.balancers.round_robin import RoundRobin
from mooring_proxy.pool import Pool
from mooring_proxy.relay.connection import Origin, RelayedConnection
from mooring_proxy.routing import Backend, BackendKey

CLIENT = IPv4Address("TCP", "192.0.2.1", 40000)
LOCAL = IPv4Address("TCP", "192.0.2.9", 50000)


@mutable(eq=False)
class Handle:
    """The socket below a transport: takes at most `room` bytes at once, or none when the peer has ended or is lost."""

    transport: TcpTransport
    room: int = 1 << 20
    lost: bool = False
    ended: bool = False

    def send(self, data: bytes) -> int:
        """Take bytes."""
        if self.lost:
            raise BrokenPipeError
        if not self.room:
            raise BlockingIOError
        self.transport.write(data[: self.room])
        return min(self.room, len(data))

    def recv(self, size: int, flags: int) -> bytes:
        """Look whether the peer has ended."""
        if not self.ended:
            raise BlockingIOError
        return b""


@mutable(eq=False)
class TcpTransport:
    """One end of a connection as its protocol sees it; `did` is what was asked of it, in order.

    Like Twisted's own, it asks a registered producer for more in place of ending.
    """

    peer: IAddress = CLIENT
    host: IAddress = LOCAL
    did: list[str] = field(factory=list)
    written: bytes = b""
    reading: bool = True
    producer: Any = None
    handle: Any = None

    def getHandle(self) -> Handle:  # noqa: N802 -- Twisted's name
        """Return the socket."""
        self.handle = self.handle or Handle(self)
        assert isinstance(self.handle, Handle)
        return self.handle

    def write(self, data: bytes) -> None:
        """Take bytes for the peer."""
        assert not {"fin", "close", "abort"} & set(self.did), "written after its end"
        self.written += data

    def _end(self, word: str) -> None:
        assert self.producer is None or word == "abort", "would ask its producer for more, and never end"
        self.did.append(word)

    def loseConnection(self) -> None:
        """Close after what is buffered."""
        self._end("close")

    def loseWriteConnection(self) -> None:
        """Send FIN after what is buffered."""
        self._end("fin")

    def abortConnection(self) -> None:
        """Send RST now."""
        self._end("abort")

    def pauseProducing(self) -> None:
        """Read no more."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Read on."""
        self.reading = True

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Know whom to pause."""
        assert self.producer is None
        self.producer = producer
        if not streaming:
            self.producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """Know nobody to pause."""
        self.producer = None

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802 -- Twisted's name
        """Note it."""
        self.did.append("nodelay")

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: N802 -- the same
        """Note it."""
        self.did.append("keepalive")

    def startWriting(self) -> None:  # noqa: N802 -- the same
        """Send what is buffered: nothing is; then ask for more."""
        self.did.append("flush")
        self.producer.resumeProducing()

    def getHost(self) -> IAddress:
        """Return our own address."""
        return self.host

    def getPeer(self) -> IAddress:
        """Return the other's address."""
        return self.peer

    @property
    def ending(self) -> list[str]:
        """How it was ended: fin, close, abort, or an abort after a flush."""
        return [word for word in self.did if word not in ("nodelay", "keepalive")]


class _Reactor(MemoryReactorClock):
    """A reactor in memory whose connectors, as the real ones, tell the factory at once when they are given up."""

    def connectTCP(self, host: str, port: int, factory: ClientFactory, *rest: Any, **named: Any) -> IConnector:  # noqa: ANN401
        """Note the attempt."""
        connector: Any = super().connectTCP(host, port, factory, *rest, **named)  # type: ignore[no-untyped-call]
        connector.disconnect = lambda: factory.clientConnectionFailed(connector, Failure(UserError()))
        return cast("IConnector", connector)


class Relay:
    """A relayed connection between two transports in memory, and backends that accept or refuse on request."""

    def __init__(self, *names: str, connect_seconds: float = 1.0) -> None:
        self.reactor = _Reactor()  # type: ignore[no-untyped-call]
        backends = [
            Backend(BackendKey("web", name), Address("10.0.0.1", 8000 + number)) for number, name in enumerate(names)
        ]
        self.pool = Pool(RoundRobin(), backends)
        self.open: set[RelayedConnection] = set()
        self.waiting: list[RelayedConnection] = []
        self.lets_wait = False
        self.connection = RelayedConnection(
            Origin(
                reactor=self.reactor,
                clock=self.reactor,
                pool=self.pool,
                service="web",
                connect_seconds=connect_seconds,
                wait_for_table=self._wait,
                begun=self.open.add,
                over=self.open.remove,
            )
        )
        self.down = TcpTransport()
        self._attempts: Iterator[Any] = iter(())
        self._seen = 0

    def _wait(self, connection: RelayedConnection) -> bool:
        if self.lets_wait:
            self.waiting.append(connection)
        return self.lets_wait

    def accept(self) -> None:
        """Let the client in."""
        cast("Any", self.connection.downstream).makeConnection(self.down)

    @property
    def attempts(self) -> list[tuple[str, int]]:
        """The addresses dialled so far, and the timeout of the last."""
        return [(client[0], client[1]) for client in self.reactor.tcpClients]

    def accept_upstream(self, *, itself: bool = False, lost: bool = False) -> tuple[Protocol, TcpTransport]:
        """Let the last attempt succeed, if only to be lost at once; return the backend's end and its transport."""
        end = self.reactor.tcpClients[-1][2].buildProtocol(None)
        assert isinstance(end, Protocol)
        transport = TcpTransport(peer=LOCAL if itself else CLIENT)
        transport.getHandle().lost = lost
        cast("Any", end).makeConnection(transport)
        return end, transport

    def refuse(self) -> None:
        """Let the last attempt fail."""
        self.reactor.tcpClients[-1][2].clientConnectionFailed(cast("Any", None), Failure(ConnectError()))

    def lose(self, end: Protocol, *, cleanly: bool = False) -> None:
        """Let an end be gone: by RST, or because it was closed."""
        end.connectionLost(Failure(ConnectionDone() if cleanly else ConnectionLost()))
