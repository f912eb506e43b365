"""The twin of a driver in this process: it keeps the tables and answers who would serve a connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred, succeed

from mooring.model import Address, Json
from mooring_proxy.pool import Balancer, Pool
from mooring_proxy.routing import Backend, BackendKey, RoutingTable, difference


class MemoryDriver:
    """Records what it is given. `connect` is what a client would meet."""

    name = "memory"

    def __init__(self, balancer: Callable[[], Balancer]) -> None:
        self.tables: list[RoutingTable] = []
        self._balancer = balancer
        self._pools: dict[Address, Pool] = {}

    def apply(self, table: RoutingTable) -> None:
        """See Driver."""
        change = difference(self.tables[-1] if self.tables else RoutingTable(), table)
        for route in change.opened:
            self._pools[route.listener] = Pool(self._balancer(), route.backends)
        for route in change.changed:
            self._pools[route.listener].update(route.backends)
        for address in change.closed:
            del self._pools[address]
        self.tables.append(table)

    def connect(self, listener: Address) -> Backend | None:
        """Return the backend that a new connection is given, or None: it is refused, or reset at once."""
        pool = self._pools.get(listener)
        return pool.pick() if pool else None

    def connections(self) -> int:
        """See Driver."""
        return 0

    def leaving(self) -> Mapping[BackendKey, int]:
        """See Driver."""
        return {}

    def report(self) -> Sequence[Json]:
        """See Driver."""
        return [str(address) for address in self._pools]

    def stop(self, drain_seconds: float) -> Deferred[None]:  # noqa: ARG002 -- nothing is open that could drain
        """See Driver."""
        self._pools.clear()
        return succeed(None)

    def abort(self) -> None:
        """See Driver."""
