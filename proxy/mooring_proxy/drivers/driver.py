"""The seam to what carries the bytes.

Two providers, held to one contract (tests/contract/test_driver.py): `relay.RelayDriver` with real sockets, and
`memory.MemoryDriver`, its twin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from mooring.model import Json
from mooring_proxy.routing import BackendKey, RoutingTable


class Driver(Protocol):
    """Applies routing tables. Everything is called in the reactor's thread and returns at once."""

    name: str

    def apply(self, table: RoutingTable) -> None:
        """Make this table true, additions first. A port that cannot be had is reported and tried again."""

    def connections(self) -> int:
        """Return how many connections are open; from any thread."""

    def leaving(self) -> Mapping[BackendKey, int]:
        """Return how many connections are open to each backend that gets no new one, if any are."""

    def report(self) -> Sequence[Json]:
        """Return each listener with its backends and counts, for people."""

    def stop(self, drain_seconds: float) -> Deferred[None]:
        """Accept nobody any more, let what is open end within `drain_seconds`, then abort the rest.

        Who is alone with its sockets may accept for some of that time: who comes would wait for nobody.
        """

    def abort(self) -> None:
        """End what is open now."""
