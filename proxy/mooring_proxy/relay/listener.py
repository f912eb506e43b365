"""A listener of the relay: a bound port, the pool behind it, and the connections that came in through it."""

from __future__ import annotations

from typing import Final

from twisted.internet.base import DelayedCall
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import Factory, Protocol

from mooring.model import Json
from mooring_proxy import metrics
from mooring_proxy.pool import Balancer, Pool
from mooring_proxy.relay.connection import Origin, RelayedConnection, Tally
from mooring_proxy.relay.sockets import BACKLOG, PatientPort
from mooring_proxy.routing import Route

# Who comes before the proxy knows anything waits this long: usually the first table is there by then.
FIRST_TABLE_SECONDS: Final = 1.0


class Listener(Factory):
    """Accepts on one local port. `settled`: the pool is what a catalog says, not what a start begins with."""

    noisy = False

    def __init__(
        self,
        reactor: PosixReactorBase,
        route: Route,
        balancer: Balancer,
        *,
        tally: Tally,
        connect_seconds: float,
        settled: bool,
    ) -> None:
        self.route = route
        self.pool = Pool(balancer, route.backends)
        self.connections: set[RelayedConnection] = set()
        self.problem = ""
        self._reactor = reactor
        self._settled = settled
        self._tally = tally
        self._port: PatientPort | None = None
        self._waiting: dict[RelayedConnection, DelayedCall] = {}
        self._origin = Origin(
            reactor=reactor,
            clock=reactor,
            pool=self.pool,
            service=route.selector.name,
            connect_seconds=connect_seconds,
            wait_for_table=self._wait_for_table,
            begun=self._begun,
            over=self._over,
        )

    @property
    def listens(self) -> bool:
        """Whether the port is bound."""
        return self._port is not None

    def open(self) -> bool:
        """Listen; False, with the reason in `problem`, when the port cannot be had."""
        address = self.route.listener
        port = PatientPort(address.port, self, BACKLOG, address.host, self._reactor)
        try:
            port.startListening()
        except CannotListenError as error:
            self.problem = str(error.socketError)
            return False
        self._port, self.problem = port, ""
        return True

    def close(self) -> None:
        """Accept nobody any more but those who wait already; what is open stays open."""
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()  # type: ignore[no-untyped-call]

    def update(self, route: Route, *, settled: bool) -> None:
        """Take another route for the same port."""
        self.route = route
        self.pool.update(route.backends)
        if settled and not self._settled:
            self._settled = True
            waiting, self._waiting = self._waiting, {}
            for connection, timer in waiting.items():
                timer.cancel()
                connection.search()

    def report(self) -> dict[str, Json]:
        """Return what an operator wants to see of it."""
        counts = self.pool.counts()
        present = {backend.key: backend for backend in self.pool.backends}
        return {
            "listener": str(self.route.listener),
            "service": str(self.route.selector),
            "published": self.route.published,
            "problem": self.problem,
            "backends": [
                {
                    "service": key.service,
                    "id": key.id,
                    "address": str(present[key].address) if key in present else "",
                    "state": present[key].state.value if key in present else "gone",
                    "open": count.open,
                    "total": count.total,
                    "failed": count.failed,
                }
                for key, count in counts.items()
            ],
        }

    def buildProtocol(self, addr: IAddress | None) -> Protocol:  # noqa: ARG002 -- Twisted's signature
        """Return the client's end of a new connection."""
        return RelayedConnection(self._origin).downstream

    def _wait_for_table(self, connection: RelayedConnection) -> bool:
        if self._settled:
            return False
        self._waiting[connection] = self._reactor.callLater(FIRST_TABLE_SECONDS, self._give_up, connection)
        return True

    def _give_up(self, connection: RelayedConnection) -> None:
        del self._waiting[connection]
        connection.turn_away()

    def _begun(self, connection: RelayedConnection) -> None:
        self.connections.add(connection)
        self._tally.open += 1
        metrics.OPEN.inc()

    def _over(self, connection: RelayedConnection) -> None:
        self.connections.discard(connection)
        self._tally.open -= 1
        metrics.OPEN.dec()
        timer = self._waiting.pop(connection, None)
        if timer is not None:
            timer.cancel()
