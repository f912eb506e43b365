"""The routing table: which local port leads to which backends, and the difference of two tables.

Values only, all immutable. How a table comes about, and by which rules, is decided in planning.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import is_
from typing import Final

from attrs import field, frozen

from mooring.catalog import Catalog
from mooring.model import DEFAULT_WEIGHT, Address, State
from mooring.selector import Selector

PUBLISH_PORTS: Final = range(1024, 65536)

# The first is the best. A suspect is gone without a word: anything else is better, but it is better than nothing.
_PREFERENCE: Final = (State.UP, State.STARTING, State.SUSPECT)


@frozen(order=True)
class BackendKey:
    """What names a backend as long as it lives: counts are kept under it."""

    service: str
    id: str


@frozen
class Backend:
    """An instance as a target of this proxy."""

    key: BackendKey
    address: Address
    state: State = State.UP
    weight: int = DEFAULT_WEIGHT

    @property
    def preference(self) -> int | None:
        """How good it is for a new connection, 0 the best; None when it gets none (draining, down, weight 0)."""
        return _PREFERENCE.index(self.state) if self.weight and self.state in _PREFERENCE else None


@frozen
class Route:
    """A listener, what it leads to, and the backends that this means now, sorted by key."""

    listener: Address
    selector: Selector
    backends: tuple[Backend, ...] = ()
    published: bool = False


@frozen(order=True)
class Refused:
    """A port of a service that is not listened on, and why."""

    service: str
    port: str
    reason: str


@frozen
class StaticListener:
    """What `--listen` asks for."""

    address: Address
    selector: Selector


@frozen(kw_only=True)
class Rules:
    """What the proxy was told: where it listens, and what it publishes by itself.

    `is_local` says whether a host is an address of this very machine: an instance there, on a port of ours, is us.
    """

    address: str = "0.0.0.0"  # noqa: S104 -- a proxy is there to be reached
    publish: bool = True
    publish_ports: range = PUBLISH_PORTS
    static: tuple[StaticListener, ...] = ()
    is_local: Callable[[str], bool] = lambda host: Address(host, 0).is_loopback


@frozen
class Origin:
    """What a table was made from, and the steps on the way: the port that each service wishes for, what was refused."""

    rules: Rules | None = None
    catalog: Catalog = field(factory=Catalog)
    ports: Mapping[str, str] = field(factory=dict)
    wishes: Mapping[str, str] = field(factory=dict)
    refused_claims: Mapping[str, Refused] = field(factory=dict)
    refused_wishes: Mapping[str, Refused] = field(factory=dict)


@frozen
class RoutingTable:
    """Every route by its listener, and what was refused.

    `complete` is false only for the table that a proxy starts with, before it knows anything; `is_fresh` says that it
    is made from the catalog, not from what an earlier run stored. `origin` is what it was made from, kept so that the
    next table can share what did not change.
    """

    routes: Mapping[Address, Route] = field(factory=dict)
    refused: tuple[Refused, ...] = ()
    complete: bool = False
    is_fresh: bool = True
    origin: Origin = field(factory=Origin, eq=False, repr=False)


@frozen
class Difference:
    """What a driver does to get from one table to another, in this order: additions first."""

    opened: tuple[Route, ...] = ()
    changed: tuple[Route, ...] = ()
    closed: tuple[Address, ...] = ()


def difference(before: RoutingTable, after: RoutingTable) -> Difference:
    """Return what leads from one table to the other."""
    was, now = before.routes, after.routes
    if len(was) == len(now) and all(map(is_, was, now)):
        # The usual case, and far cheaper: the later table was made from the earlier, and the listeners are the same.
        return Difference(
            changed=tuple(new for old, new in zip(was.values(), now.values(), strict=True) if _differs(old, new))
        )
    return Difference(
        opened=tuple(route for address, route in now.items() if address not in was),
        changed=tuple(route for address, route in now.items() if address in was and _differs(was[address], route)),
        closed=tuple(address for address in was if address not in now),
    )


def _differs(before: Route, after: Route) -> bool:
    return before is not after and before != after


def first_table(rules: Rules) -> RoutingTable:
    """Return the table of a proxy that knows nothing yet: its static listeners, without backends."""
    return RoutingTable({one.address: Route(one.address, one.selector) for one in rules.static})
