"""One relayed connection, from the accept to its end.

The client's bytes are not read before a backend is connected, so the search for one can go from backend to backend
without losing any. Once connected, each transport is the other's producer: whoever is slow pauses the other, and at
most one buffer per direction is held here. What an end on one side means for the other is decided in halves.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import frozen, mutable
from twisted.internet.interfaces import IConnector, IReactorTCP, IReactorTime

from mooring.telemetry import get_logger
from mooring_proxy import metrics
from mooring_proxy.pool import Pool
from mooring_proxy.relay import halves
from mooring_proxy.relay.ends import Dial, End
from mooring_proxy.relay.halves import Command, Halves, Side
from mooring_proxy.relay.transports import (
    Flow,
    Transport,
    is_connected_to_itself,
    peer_of,
    reset_after_flush,
    send_at_once,
    tune,
)
from mooring_proxy.routing import Backend, BackendKey

log = get_logger()

# A client waits this long for a backend at most, however many there are to be tried.
SEARCH_SECONDS: Final = 5.0


@mutable
class Tally:
    """How many connections are open; one writer, the reactor's thread, and readers anywhere."""

    open: int = 0


@frozen
class Origin:
    """Where a connection came in, as far as it concerns the connection.

    `wait_for_table` is called when there is no backend; it returns False when waiting would not help, else calls
    `search` once it might.
    """

    reactor: IReactorTCP
    clock: IReactorTime
    pool: Pool
    service: str
    connect_seconds: float
    wait_for_table: Callable[[RelayedConnection], bool]
    begun: Callable[[RelayedConnection], None]
    over: Callable[[RelayedConnection], None]


class RelayedConnection:
    """A client, the search for its backend, and then the two of them."""

    def __init__(self, origin: Origin) -> None:
        self.downstream = End(self, Side.DOWNSTREAM)
        self._origin = origin
        self._upstream: End | None = None
        self._connector: IConnector | None = None
        self._backend: Backend | None = None
        self._tried: set[BackendKey] = set()
        self._halves = Halves.BOTH_OPEN
        self._served_by: Backend | None = None
        self._bytes = {Side.DOWNSTREAM: 0, Side.UPSTREAM: 0}
        self._held = b""  # the first bytes of a client whose backend ended before it could be sent any
        self._deadline = origin.clock.seconds() + SEARCH_SECONDS

    # ------------------------------------------------------------------------------------------ the search
    def search(self) -> None:
        """Connect to the next backend, or turn the client away when there is none left."""
        if self._halves is Halves.OVER:
            return
        backend = self._origin.pool.pick(self._tried)
        if backend is None and not self._tried and self._origin.wait_for_table(self):
            return
        remaining = self._deadline - self._origin.clock.seconds()
        if backend is None or remaining <= 0:
            self.turn_away()
        else:
            self._dial(backend, min(remaining, self._origin.connect_seconds))

    def _dial(self, backend: Backend, timeout_seconds: float) -> None:
        self._backend = backend
        self._tried.add(backend.key)
        self._origin.pool.opened(backend.key)
        self._connector = self._origin.reactor.connectTCP(
            backend.address.host, backend.address.port, Dial(self), timeout=timeout_seconds
        )

    def dial_failed(self) -> None:
        """Go on with the next backend: nothing of the client's was sent to this one."""
        self._connector = None
        if self._halves is Halves.OVER:
            self._release()
            self._forget_if_gone()
        else:
            self._backend_failed()
            self.search()

    def _backend_failed(self) -> None:
        backend, self._backend = self._backend, None
        if backend is not None:
            self._origin.pool.failed(backend.key)
            metrics.CONNECT_FAILURES.labels(self._origin.service).inc()

    def turn_away(self) -> None:
        """Reset the client: nobody serves it."""
        metrics.TURNED_AWAY.labels(self._origin.service).inc()
        self._halves = Halves.OVER
        self.downstream.tcp.abortConnection()

    # ---------------------------------------------------------------------------------------- what the ends say
    def made(self, end: End) -> None:
        """Take a transport that is connected: the client's, or the backend's."""
        tune(end.tcp)
        if end is self.downstream:
            end.tcp.pauseProducing()
            self._origin.begun(self)
            self.search()
        elif is_connected_to_itself(end.tcp):
            end.tcp.abortConnection()
            self.dial_failed()
        else:
            self._join(end)

    def _join(self, upstream: End) -> None:
        self._connector = None
        self._upstream = upstream
        self._served_by = self._backend
        up, down = upstream.tcp, self.downstream.tcp
        up.registerProducer(Flow(down), streaming=True)
        down.registerProducer(Flow(up), streaming=True)
        metrics.CONNECTIONS.labels(self._origin.service).inc()
        held, self._held = self._held, b""
        if held:
            self._send_first(upstream, held)
        if self._upstream is upstream:
            down.resumeProducing()

    def carry(self, end: End, data: bytes) -> None:
        """Hand bytes of one end to the other."""
        across = self._across(end)
        if end is self.downstream and self._upstream is not None and not any(self._bytes.values()):
            self._send_first(self._upstream, data)
        elif across is not None:
            self._bytes[end.side] += len(data)
            across.write(data)

    def _send_first(self, upstream: End, data: bytes) -> None:
        """Send the client's first bytes, to another backend if this one ended before it could be sent any."""
        sent = None if upstream.gone else send_at_once(upstream.tcp, data)
        if sent is None and self._may_try_another():
            self._held = data
            self._try_another()
            return
        self._bytes[Side.DOWNSTREAM] += len(data)
        if not upstream.gone and (sent or 0) < len(data):
            upstream.tcp.write(data[sent or 0 :])

    def ended(self, end: End) -> None:
        """Take note that an end has sent everything."""
        if end is self._upstream and self._may_try_another() and self._origin.pool.has_another(self._tried):
            self._try_another()
            return
        self._halves, command = halves.ended(self._halves, end.side)
        if command is Command.FINISH_OTHER:
            self._finish(self._across(end))
        elif command is Command.CLOSE_BOTH:
            self._close(self.downstream.tcp)
            self._close(self._across(self.downstream))

    def lost(self, end: End) -> None:
        """Take note that an end is gone; why makes no difference."""
        end.gone = True
        if end is self._upstream and self._may_try_another():
            self._try_another()
            return
        if end is self._upstream:
            if self._halves is not Halves.OVER:
                metrics.LOST.labels(self._origin.service).inc()
            self._release()
        elif end is not self.downstream:
            return  # a backend that was given up before: nobody waits for it
        self._halves, command = halves.lost(self._halves)
        across = self._across(end)
        if command is Command.RESET_OTHER and across is not None:
            reset_after_flush(across)
        elif end is self.downstream and self._connector is not None:
            self._connector.disconnect()  # calls dial_failed, and that is the end
            return
        self._forget_if_gone()

    def _may_try_another(self) -> bool:
        """Whether the backend ended before a byte went either way, so that the client need not know.

        A process that is killed between its accept and its first read ends like one that has nothing to say. So who
        ends without a word is taken for dead, as long as there is another to be asked.
        """
        in_time = self._origin.clock.seconds() < self._deadline
        return self._halves is Halves.BOTH_OPEN and not any(self._bytes.values()) and in_time

    def _try_another(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None and not upstream.gone:
            upstream.tcp.abortConnection()
        self.downstream.tcp.unregisterProducer()
        self.downstream.tcp.pauseProducing()
        self.dial_failed()

    # ------------------------------------------------------------------------------------------ the end
    def abort(self) -> None:
        """End it now, with RST to both sides."""
        self._halves = Halves.OVER
        connector, upstream = self._connector, self._upstream
        if connector is not None:
            connector.disconnect()
        if upstream is not None and not upstream.gone:
            upstream.tcp.abortConnection()
        if not self.downstream.gone:
            self.downstream.tcp.abortConnection()

    def _across(self, end: End) -> Transport | None:
        other = self._upstream if end is self.downstream else self.downstream
        return other.tcp if other is not None and not other.gone else None

    @staticmethod
    def _finish(transport: Transport | None) -> None:
        if transport is not None:
            # A producer that is registered would be asked for more, and the FIN never sent.
            transport.unregisterProducer()
            transport.loseWriteConnection()

    @staticmethod
    def _close(transport: Transport | None) -> None:
        if transport is not None:
            transport.unregisterProducer()
            transport.loseConnection()

    def _release(self) -> None:
        backend, self._backend = self._backend, None
        if backend is not None:
            self._origin.pool.closed(backend.key)

    def _forget_if_gone(self) -> None:
        if self.downstream.gone and self._connector is None and (self._upstream is None or self._upstream.gone):
            self._origin.over(self)
            log.debug(
                "connection ended",
                client=str(peer_of(self.downstream.tcp)),
                service=self._origin.service,
                backend=str(self._served_by.address) if self._served_by else "",
                bytes_up=self._bytes[Side.DOWNSTREAM],
                bytes_down=self._bytes[Side.UPSTREAM],
            )
