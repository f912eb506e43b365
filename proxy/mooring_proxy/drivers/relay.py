"""The relay driver: this process itself carries the bytes. The default; it needs no privilege.

It turns the difference of two tables into listeners opened, updated and closed; the connections live in relay/.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.posixbase import PosixReactorBase

from mooring.model import Address, Json
from mooring.telemetry import get_logger
from mooring_proxy.pool import Balancer
from mooring_proxy.relay.connection import Tally
from mooring_proxy.relay.listener import Listener
from mooring_proxy.routing import Route, RoutingTable, difference

# A port that is taken (by a proxy that drains, say) is asked for again this often.
OPEN_AGAIN_SECONDS: Final = 1.0
_DRAINED_SECONDS: Final = 0.02

log = get_logger()


class RelayDriver:
    """Listens and relays; `balancer` makes a fresh balancer for each listener."""

    name = "relay"

    def __init__(self, reactor: PosixReactorBase, *, balancer: Callable[[], Balancer], connect_seconds: float) -> None:
        self._reactor = reactor
        self._balancer = balancer
        self._connect_seconds = connect_seconds
        self._tally = Tally()
        self._table = RoutingTable()
        self._listeners: dict[Address, Listener] = {}
        self._closed: list[Listener] = []
        self._opening_again = False
        self._stopping = False

    def apply(self, table: RoutingTable) -> None:
        """See Driver."""
        change = difference(self._table, table)
        settles = table.complete and not self._table.complete
        for route in change.opened:
            self._open(route, settled=table.complete)
        for route in table.routes.values() if settles else change.changed:
            self._listeners[route.listener].update(route, settled=table.complete)
        for address in change.closed:
            self._close(address)
        self._table = table

    def connections(self) -> int:
        """See Driver."""
        return self._tally.open

    def report(self) -> Sequence[Json]:
        """See Driver."""
        return [listener.report() for listener in self._listeners.values()]

    def stop(self, drain_seconds: float) -> Deferred[None]:
        """See Driver."""
        self._stopping = True
        for address in tuple(self._listeners):
            self._close(address)
        drained: Deferred[None] = Deferred()
        deadline = self._reactor.callLater(drain_seconds, self.abort)

        def look() -> None:
            if self.connections():
                self._reactor.callLater(_DRAINED_SECONDS, look)
                return
            if deadline.active():
                deadline.cancel()
            drained.callback(None)

        # Not at once: who waits in a backlog is accepted when the port closes, in the reactor's next turn.
        self._reactor.callLater(_DRAINED_SECONDS, look)
        return drained

    def abort(self) -> None:
        """See Driver."""
        for listener in self._all():
            for connection in tuple(listener.connections):
                connection.abort()

    def _all(self) -> tuple[Listener, ...]:
        return (*self._listeners.values(), *self._closed)

    def _open(self, route: Route, *, settled: bool) -> None:
        listener = Listener(
            self._reactor,
            route,
            self._balancer(),
            tally=self._tally,
            connect_seconds=self._connect_seconds,
            settled=settled,
        )
        self._listeners[route.listener] = listener
        if listener.open():
            log.info("listening", listener=str(route.listener), service=str(route.selector))
            return
        log.warning(
            "cannot listen, will try again",
            listener=str(route.listener),
            service=str(route.selector),
            problem=listener.problem,
        )
        self._open_again_later()

    def _open_again_later(self) -> None:
        if not self._opening_again and not self._stopping:
            self._opening_again = True
            self._reactor.callLater(OPEN_AGAIN_SECONDS, self._open_again)

    def _open_again(self) -> None:
        self._opening_again = False
        for listener in self._listeners.values():
            if not listener.listens and listener.open():
                log.info("listening", listener=str(listener.route.listener), service=str(listener.route.selector))
        if any(not listener.listens for listener in self._listeners.values()):
            self._open_again_later()

    def _close(self, address: Address) -> None:
        listener = self._listeners.pop(address)
        listener.close()
        self._closed = [*(one for one in self._closed if one.connections), listener]
        log.info("listening no longer", listener=str(address), service=str(listener.route.selector))
