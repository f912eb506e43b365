"""A listener of the relay: an address, the pool behind it, and the connections that came in through it.

From a socket that other proxies have too it accepts only once it is settled: a newcomer that knows nothing yet must not
take connections from those who do.
"""

from __future__ import annotations

import socket
from typing import Final

from attrs import frozen
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from mooring.model import Json
from mooring_proxy import metrics
from mooring_proxy.pool import Balancer, Pool
from mooring_proxy.relay.connection import Origin, RelayedConnection, Tally
from mooring_proxy.relay.transports import PatientPort
from mooring_proxy.routing import Route
from mooring_proxy.sockets.source import CannotListen, SocketSource

# Who comes before the proxy knows anything waits this long: usually the first table is there by then.
FIRST_TABLE_SECONDS: Final = 1.0


@frozen
class Means:
    """What all listeners of a driver work with."""

    reactor: PosixReactorBase
    sockets: SocketSource
    tally: Tally
    connect_seconds: float


class Listener(Factory):
    """Accepts at one local address. `settled`: the pool is what a catalog says, not what a start begins with."""

    noisy = False

    def __init__(
        self,
        means: Means,
        route: Route,
        balancer: Balancer,
        *,
        settled: bool,
    ) -> None:
        self.route = route
        self.pool = Pool(balancer, route.backends)
        self.connections: set[RelayedConnection] = set()
        self.problem = ""
        self.is_asking = False
        self._means = means
        self._settled = settled
        self._is_accepting = True
        self._port: PatientPort | None = None
        self._waiting: dict[RelayedConnection, DelayedCall] = {}
        self._origin = Origin(
            reactor=means.reactor,
            clock=means.reactor,
            pool=self.pool,
            service=route.selector.name,
            connect_seconds=means.connect_seconds,
            wait_for_table=self._wait_for_table,
            begun=self._begun,
            over=self._over,
        )

    @property
    def listens(self) -> bool:
        """Whether the port is bound."""
        return self._port is not None

    def open(self) -> Deferred[None]:
        """Listen; fires when it does, or when it cannot, with the reason in `problem`."""
        self.is_asking = True
        return self._means.sockets.open(self.route.listener).addCallbacks(self._opened, self._not_opened)

    def _opened(self, listening: socket.socket) -> None:
        self.is_asking, self.problem = False, ""
        self._port = PatientPort.of(listening, self, self._means.reactor)
        self._accept_or_not()

    def _not_opened(self, failure: Failure) -> None:
        failure.trap(CannotListen)
        self.is_asking, self.problem = False, str(failure.value)

    def _accept_or_not(self) -> None:
        if self._port is not None:
            knows_enough = self._settled or not self._means.sockets.is_shared
            self._port.accept(accepts=self._is_accepting and knows_enough)

    def stop_accepting(self) -> None:
        """Leave those who wait, and who come, to others who have the same socket."""
        self._is_accepting = False
        self._accept_or_not()

    def end(self) -> None:
        """Close what is ours of a socket that others have, too."""
        self._closed(is_last=False)

    def close(self) -> None:
        """Let the socket go, and if nobody else has it accept those who wait already; what is open stays open.

        Until it is known whether anybody else has it, it accepts on.
        """
        if self._port is not None or self.is_asking:
            self._means.sockets.close(self.route.listener).addCallback(self._closed)

    def _closed(self, is_last: bool) -> None:  # noqa: FBT001 -- a callback
        port, self._port = self._port, None
        if port is not None:
            port.close(accepting_who_waits=is_last)

    def update(self, route: Route, *, settled: bool) -> None:
        """Take another route for the same port."""
        self.route = route
        self.pool.update(route.backends)
        if settled and not self._settled:
            self._settled = True
            self._accept_or_not()
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
        self._waiting[connection] = self._means.reactor.callLater(FIRST_TABLE_SECONDS, self._give_up, connection)
        return True

    def _give_up(self, connection: RelayedConnection) -> None:
        del self._waiting[connection]
        connection.turn_away()

    def _begun(self, connection: RelayedConnection) -> None:
        self.connections.add(connection)
        self._means.tally.open += 1
        metrics.OPEN.inc()

    def _over(self, connection: RelayedConnection) -> None:
        self.connections.discard(connection)
        self._means.tally.open -= 1
        metrics.OPEN.dec()
        timer = self._waiting.pop(connection, None)
        if timer is not None:
            timer.cancel()
