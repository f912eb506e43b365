"""The relay driver: this process itself carries the bytes. The default; it needs no privilege.

It turns the difference of two tables into listeners opened, updated and closed; the connections live in relay/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.posixbase import PosixReactorBase

from mooring.model import Address, Json
from mooring.telemetry import get_logger
from mooring_proxy.pool import Balancer
from mooring_proxy.relay.connection import RelayedConnection, Tally
from mooring_proxy.relay.listener import Listener, Means
from mooring_proxy.routing import BackendKey, Route, RoutingTable, difference
from mooring_proxy.sockets.leaving import accepts_on
from mooring_proxy.sockets.own import OwnSockets
from mooring_proxy.sockets.source import SocketSource

# A port that is taken (by a proxy that drains, say) is asked for again this often.
OPEN_AGAIN_SECONDS: Final = 1.0
_DRAINED_SECONDS: Final = 0.02

log = get_logger()


class RelayDriver:
    """Listens and relays; `balancer` makes a fresh balancer for each listener, `sockets` gives what it listens with."""

    name = "relay"

    def __init__(
        self,
        reactor: PosixReactorBase,
        *,
        balancer: Callable[[], Balancer],
        connect_seconds: float,
        sockets: SocketSource | None = None,
    ) -> None:
        self._reactor = reactor
        self._balancer = balancer
        self._sockets = sockets or OwnSockets()
        self._tally = Tally()
        self._means = Means(reactor, self._sockets, self._tally, connect_seconds)
        self._table = RoutingTable()
        self._listeners: dict[Address, Listener] = {}
        self._closed: list[Listener] = []
        self._opening_again = False
        self._accepts = True

    def apply(self, table: RoutingTable) -> None:
        """See Driver. Once nobody is accepted any more, there is nothing that a table could say."""
        if not self._accepts:
            return
        change = difference(self._table, table)
        settles = table.complete and not self._table.complete
        for route in change.opened:
            self._open(route, settled=table.complete)
        for route in table.routes.values() if settles else change.changed:
            self._listeners[route.listener].update(route, settled=table.complete)
        for address in change.closed:
            self._close(address)
        self._table = table
        if table.complete:
            self._sockets.settled(is_fresh=table.is_fresh)

    def connections(self) -> int:
        """See Driver."""
        return self._tally.open

    def leaving(self) -> Mapping[BackendKey, int]:
        """See Driver."""
        leaving: Counter[BackendKey] = Counter()
        for listener in self._listeners.values():
            leaving.update(listener.pool.leaving())
        for listener in self._closed:
            leaving.update({key: count.open for key, count in listener.pool.counts().items() if count.open})
        return leaving

    def report(self) -> Sequence[Json]:
        """See Driver."""
        return [listener.report() for listener in self._listeners.values()]

    def stop(self, drain_seconds: float) -> Deferred[None]:
        """See Driver. When it stops accepting is decided in sockets/leaving.py."""
        drained: Deferred[None] = Deferred()
        began = self._reactor.seconds()
        earlier = self._open_now()
        relieved = self._sockets.leave()
        deadline = self._reactor.callLater(drain_seconds, self.abort)

        def look() -> None:
            if self._accepts and not accepts_on(
                self._reactor.seconds() - began,
                drain_seconds,
                is_relieved=bool(relieved.called),
                outlives_us=self._sockets.outlives_us,
                has_earlier=not earlier.isdisjoint(self._open_now()),
            ):
                self._stop_accepting()
            if self._accepts or self.connections():
                self._reactor.callLater(_DRAINED_SECONDS, look)
                return
            if deadline.active():
                deadline.cancel()
            for listener in self._listeners.values():
                listener.end()
            self._sockets.stop()
            drained.callback(None)

        look()
        return drained

    def _open_now(self) -> set[RelayedConnection]:
        return {connection for listener in self._all() for connection in listener.connections}

    def _stop_accepting(self) -> None:
        if self._accepts:
            self._accepts = False
            log.info("accepting no longer", outlives_us=self._sockets.outlives_us)
            for address in tuple(self._listeners):
                if self._sockets.outlives_us:
                    self._listeners[address].stop_accepting()
                else:
                    self._close(address)

    def abort(self) -> None:
        """See Driver."""
        self._stop_accepting()
        for connection in self._open_now():
            connection.abort()

    def _all(self) -> tuple[Listener, ...]:
        return (*self._listeners.values(), *self._closed)

    def _open(self, route: Route, *, settled: bool) -> None:
        listener = Listener(self._means, route, self._balancer(), settled=settled)
        self._listeners[route.listener] = listener
        listener.open().addCallback(partial(self._opened, listener))

    def _opened(self, listener: Listener, _: None = None) -> None:
        where, service = str(listener.route.listener), str(listener.route.selector)
        if listener.listens:
            log.info("listening", listener=where, service=service)
            return
        log.warning("cannot listen, will try again", listener=where, service=service, problem=listener.problem)
        self._open_again_later()

    def _open_again_later(self) -> None:
        if not self._opening_again and self._accepts:
            self._opening_again = True
            self._reactor.callLater(OPEN_AGAIN_SECONDS, self._open_again)

    def _open_again(self) -> None:
        self._opening_again = False
        for listener in self._listeners.values():
            if not listener.listens and not listener.is_asking and self._accepts:
                listener.open().addCallback(partial(self._opened_again, listener))

    def _opened_again(self, listener: Listener, _: None) -> None:
        if listener.listens:
            self._opened(listener)
        else:
            self._open_again_later()

    def _close(self, address: Address) -> None:
        listener = self._listeners.pop(address)
        listener.close()
        self._closed = [*(one for one in self._closed if one.connections), listener]
        log.info("listening no longer", listener=str(address), service=str(listener.route.selector))
