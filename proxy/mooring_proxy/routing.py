"""The routing table: which local port leads to which backends, decided from the catalog and what the proxy was told.

Pure and immutable. A new table shares with the one before it every route whose service did not change, so a batch that
concerns one service of ten thousand costs what that service costs; `difference` is what a driver has to do.

Rules (DESIGN §6), each decided here and nowhere else:

- No proxy routes to a proxy, nor to one of its own listeners.
- A static listener is there whatever the catalog says. One that is published has its port from `mooring:ports`, and
  stands as long as that claim stands, be it without a backend.
- Nothing is published outside `publish_ports`, nor what only this host can reach on an address that others reach.
- What is not published is named with the reason, and stops nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Final

from attrs import field, frozen

from mooring.catalog import Catalog
from mooring.model import DEFAULT_WEIGHT, PROXY_KIND, Address, Instance, State, parse_port
from mooring.ports import wanted_port
from mooring.selector import Selector

PUBLISH_PORTS: Final = range(1024, 65536)
RELAYED_PROTOS: Final = ("tcp",)

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
class RoutingTable:
    """Every route by its listener, and what was refused.

    `complete` is false only for the table that a proxy starts with, before it knows anything. `catalog` and `wishes`
    are what the table was made from, kept so that the next one can share what did not change.
    """

    routes: Mapping[Address, Route] = field(factory=dict)
    refused: tuple[Refused, ...] = ()
    complete: bool = False
    catalog: Catalog = field(factory=Catalog, eq=False, repr=False)
    wishes: Mapping[str, str] = field(factory=dict, eq=False, repr=False)


@frozen
class Difference:
    """What a driver does to get from one table to another, in this order: additions first."""

    opened: tuple[Route, ...] = ()
    changed: tuple[Route, ...] = ()
    closed: tuple[Address, ...] = ()


def difference(before: RoutingTable, after: RoutingTable) -> Difference:
    """Return what leads from one table to the other."""
    was, now = before.routes, after.routes
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


def route(rules: Rules, catalog: Catalog, ports: Mapping[str, str], before: RoutingTable) -> RoutingTable:
    """Return the routing table; `ports` maps `<port>/<proto>` to the service that holds it.

    It depends on `before` in nothing but the time that it takes.
    """
    wishes = _wishes(catalog, before)
    published, refused = _published(rules, catalog, ports)
    planned = {
        **{one.address: Route(one.address, one.selector) for one in rules.static},
        **published,
    }
    refused += _lost_claims(wishes, ports) if rules.publish else []
    shared = before if before.complete and before.routes.keys() == planned.keys() else RoutingTable()
    own = _OwnListeners(planned, rules.is_local)
    routes = {address: _filled(plan, catalog, own, shared) for address, plan in planned.items()}
    return RoutingTable(routes, tuple(sorted(refused)), complete=True, catalog=catalog, wishes=wishes)


def _wishes(catalog: Catalog, before: RoutingTable) -> dict[str, str]:
    """Return the port that each service asks for, `<port>/<proto>`, or nothing."""
    wishes = {}
    for service, instances in catalog.services.items():
        if before.catalog.services.get(service) is instances:
            wishes[service] = before.wishes[service]
        else:
            wish = wanted_port(instances.values())
            wishes[service] = wish[0] if wish else ""
    return wishes


def _lost_claims(wishes: Mapping[str, str], ports: Mapping[str, str]) -> list[Refused]:
    return [
        Refused(service, wish, f"held by {ports[wish]}")
        for service, wish in wishes.items()
        if wish in ports and ports[wish] != service
    ]


def _published(rules: Rules, catalog: Catalog, ports: Mapping[str, str]) -> tuple[dict[Address, Route], list[Refused]]:
    """Return the routes that are published automatically, still without backends, and those that are not."""
    routes: dict[Address, Route] = {}
    refused: list[Refused] = []
    if not rules.publish:
        return routes, refused
    static = {one.address for one in rules.static}
    for claim, service in ports.items():
        number, _, proto = claim.partition("/")
        try:
            address = Address(rules.address, parse_port(number), proto)
        except ValueError as error:
            refused.append(Refused(service, claim, str(error)))
            continue
        if reason := _why_not(rules, address, catalog.services.get(service, {}), static):
            refused.append(Refused(service, claim, reason))
        else:
            routes[address] = Route(address, Selector(service), published=True)
    return routes, refused


def _why_not(rules: Rules, address: Address, instances: Mapping[str, Instance], static: set[Address]) -> str:
    """Return why a port is not published, or nothing."""
    if address.proto not in RELAYED_PROTOS:
        return f"{address.proto} is not relayed"
    if address.port not in rules.publish_ports:
        return f"outside --publish-ports {rules.publish_ports.start}-{rules.publish_ports.stop - 1}"
    if address in static:
        return "held by --listen"
    if instances and not any(_publishable(instance, address) for instance in instances.values()):
        return "its instances are on loopback, and this proxy listens on an address that others reach"
    return ""


def _publishable(instance: Instance, listener: Address) -> bool:
    return listener.is_loopback or not instance.address.is_loopback


def _filled(plan: Route, catalog: Catalog, own: _OwnListeners, before: RoutingTable) -> Route:
    """Return the route with its backends: the one before, if it would be the same."""
    known = before.routes.get(plan.listener)
    if known and _asks_the_same(known, plan) and _unchanged(plan.selector, before.catalog, catalog):
        return known
    chosen = (
        Backend(BackendKey(*instance.key), instance.address, instance.state, instance.weight)
        for instance in plan.selector.instances(catalog)
        if _eligible(instance, plan) and not own.include(instance.address)
    )
    return Route(plan.listener, plan.selector, tuple(sorted(chosen, key=lambda one: one.key)), plan.published)


def _asks_the_same(known: Route, plan: Route) -> bool:
    return known.selector == plan.selector and known.published == plan.published


def _unchanged(selector: Selector, before: Catalog, after: Catalog) -> bool:
    if selector.name.startswith("/") or "*" in selector.name:
        return before.services is after.services
    return before.services.get(selector.name) is after.services.get(selector.name)


def _eligible(instance: Instance, plan: Route) -> bool:
    if instance.kind == PROXY_KIND or instance.address.proto != plan.listener.proto:
        return False
    return not plan.published or _publishable(instance, plan.listener)


class _OwnListeners:
    """The addresses under which this proxy reaches itself."""

    def __init__(self, listeners: Iterable[Address], is_local: Callable[[str], bool]) -> None:
        self._by_port: dict[int, list[str]] = {}
        for listener in listeners:
            self._by_port.setdefault(listener.port, []).append(listener.host)
        self._is_local = is_local

    def include(self, address: Address) -> bool:
        return any(self._reaches(host, address.host) for host in self._by_port.get(address.port, ()))

    def _reaches(self, listening: str, host: str) -> bool:
        return listening == host or (_is_wildcard(listening) and self._is_local(host))


def _is_wildcard(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
