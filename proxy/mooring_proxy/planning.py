"""How a routing table comes about: from the catalog, the ports that services hold, and what the proxy was told. Pure.

Rules (DESIGN §6), each decided here and nowhere else:

- No proxy routes to a proxy, nor to one of its own listeners.
- A static listener is there whatever the catalog says. One that is published has its port from `mooring:ports`, and
  stands as long as that claim stands, be it without a backend.
- Nothing is published outside `publish_ports`, nor what only this host can reach on an address that others reach.
- What is not published is named with the reason, and stops nothing else.

A table is made from the one before it by doing again what may differ: the claims of services that changed, claims that
moved, and, when a listener opened or closed, whatever might be that listener. The law that holds it together
(tests/unit/proxy/test_planning.py): step by step gives the same table as all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Final

from mooring.catalog import Catalog
from mooring.model import PROXY_KIND, Address, Instance, parse_port
from mooring.ports import wanted_port
from mooring.selector import Selector
from mooring_proxy.routing import Backend, BackendKey, Origin, Refused, Route, RoutingTable, Rules

RELAYED_PROTOS: Final = ("tcp",)


def route(rules: Rules, catalog: Catalog, ports: Mapping[str, str], before: RoutingTable) -> RoutingTable:
    """Return the routing table; `ports` maps `<port>/<proto>` to the service that holds it.

    It depends on `before` in nothing but the time that it takes.
    """
    base = before if before.origin.rules is rules else RoutingTable()
    return _Draft(rules, catalog, ports if rules.publish else {}, base).table()


class _Draft:
    """A table in the making: what is taken over from the one before, and what is done again."""

    def __init__(self, rules: Rules, catalog: Catalog, ports: Mapping[str, str], before: RoutingTable) -> None:
        self._rules = rules
        self._catalog = catalog
        self._ports = ports
        self._before = before
        self._services = _changed(before.origin.catalog.services, catalog.services)
        self._claims = _changed_claims(before.origin.ports, ports)
        self._routes = dict(before.routes)
        self._unfilled: dict[Address, Route] = {}
        self._moved: set[int] = set()  # ports on which a listener opened or closed

    def table(self) -> RoutingTable:
        """Return the finished table."""
        wishes = self._wishes()
        refused_claims, refused_wishes = self._claimed(), self._lost_wishes(wishes)
        self._add_static()
        self._add_touched()
        self._fill()
        old = self._before.origin
        refused = self._before.refused
        if (refused_claims, refused_wishes) != (old.refused_claims, old.refused_wishes):
            refused = tuple(sorted((*refused_claims.values(), *refused_wishes.values())))
        origin = Origin(self._rules, self._catalog, self._ports, wishes, refused_claims, refused_wishes)
        return RoutingTable(self._routes, refused, complete=True, origin=origin)

    def _wishes(self) -> dict[str, str]:
        """Return the port that each service asks for, `<port>/<proto>`; services that ask for none are left out."""
        wishes = dict(self._before.origin.wishes)
        for service in self._services:
            wishes.pop(service, None)
            wish = wanted_port(self._catalog.services.get(service, {}).values())
            if wish is not None:
                wishes[service] = wish[0]
        return wishes

    def _lost_wishes(self, wishes: Mapping[str, str]) -> dict[str, Refused]:
        """Return the services that ask for a port that another one holds."""
        again = self._services | {service for service, wish in wishes.items() if wish in self._claims}
        refused = {key: one for key, one in self._before.origin.refused_wishes.items() if key not in again}
        for service in again:
            wish = wishes.get(service, "")
            holder = self._ports.get(wish, service)
            if holder != service:
                refused[service] = Refused(service, wish, f"held by {holder}")
        return refused

    def _claimed(self) -> dict[str, Refused]:
        """Publish what may be published; return the claims that may not."""
        refused = dict(self._before.origin.refused_claims)
        again = self._claims | {claim for claim, service in self._ports.items() if service in self._services}
        for claim in again:
            refused.pop(claim, None)
            address = _address(self._rules, claim)
            reason = self._why_not(claim, address)
            if address is not None:
                self._publish(address, "" if reason else self._ports.get(claim, ""))
            if reason:
                refused[claim] = Refused(self._ports[claim], claim, reason)
        return refused

    def _why_not(self, claim: str, address: Address | None) -> str:
        """Return why a claim is not published, or nothing."""
        if claim not in self._ports:
            return ""
        if address is None:
            return "not a port"
        return _why_not(self._rules, address, self._catalog.services.get(self._ports[claim], {}))

    def _publish(self, address: Address, service: str) -> None:
        """Let a listener be published for a service, or not at all."""
        known = self._routes.get(address)
        if service:
            self._unfilled[address] = Route(address, Selector(service), published=True)
            if known is None:
                self._moved.add(address.port)
        elif known is not None and known.published:
            del self._routes[address]
            self._moved.add(address.port)

    def _add_static(self) -> None:
        for one in self._rules.static:
            known = self._routes.get(one.address)
            if known is None:
                self._moved.add(one.address.port)
            if known is None or self._moved or not self._is_unchanged(one.selector):
                self._unfilled[one.address] = Route(one.address, one.selector)

    def _is_unchanged(self, selector: Selector) -> bool:
        if selector.name.startswith("/") or "*" in selector.name:
            return not self._services
        return selector.name not in self._services

    def _add_touched(self) -> None:
        """Do again what may lead to a listener of ours that was none before, or no longer is one."""
        if not self._moved:
            return
        touched = {
            service
            for service, instances in self._catalog.services.items()
            if any(instance.address.port in self._moved for instance in instances.values())
        }
        for route in self._routes.values():
            if route.published and route.selector.name in touched:
                self._unfilled.setdefault(route.listener, Route(route.listener, route.selector, published=True))

    def _fill(self) -> None:
        """Give the listeners that were done again their backends; one that comes out the same stays what it was."""
        for address, plan in self._unfilled.items():
            self._routes.setdefault(address, plan)
        ports = {address.port for address in self._routes}
        for address, plan in self._unfilled.items():
            backends = tuple(sorted(self._backends(plan, ports), key=lambda one: one.key))
            made = Route(address, plan.selector, backends, plan.published)
            if self._routes[address] != made:
                self._routes[address] = made

    def _backends(self, plan: Route, ports: set[int]) -> Iterator[Backend]:
        for instance in plan.selector.instances(self._catalog):
            address = instance.address
            if _is_eligible(instance, plan) and not (address.port in ports and self._is_own(address)):
                yield Backend(BackendKey(*instance.key), address, instance.state, instance.weight)

    def _is_own(self, address: Address) -> bool:
        """Whether an address is one under which this proxy reaches itself."""
        hosts = {self._rules.address, *(one.address.host for one in self._rules.static)}
        listening = [host for host in hosts if Address(host, address.port, address.proto) in self._routes]
        return any(
            host == address.host or (_is_wildcard(host) and self._rules.is_local(address.host)) for host in listening
        )


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    """Return the keys whose values are not the very same."""
    if before is after:
        return set()
    return {key for key, value in after.items() if before.get(key) is not value} | (before.keys() - after.keys())


def _changed_claims(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    if before == after:
        return set()
    return {claim for claim, _ in before.items() ^ after.items()}


def _address(rules: Rules, claim: str) -> Address | None:
    """Return where a claim is listened on; None when it is not `<port>/<proto>`."""
    number, _, proto = claim.partition("/")
    try:
        return Address(rules.address, parse_port(number), proto)
    except ValueError:
        return None


def _why_not(rules: Rules, address: Address, instances: Mapping[str, Instance]) -> str:
    if address.proto not in RELAYED_PROTOS:
        return f"{address.proto} is not relayed"
    if address.port not in rules.publish_ports:
        return f"outside --publish-ports {rules.publish_ports.start}-{rules.publish_ports.stop - 1}"
    if any(one.address == address for one in rules.static):
        return "held by --listen"
    if instances and not any(_is_publishable(instance, address) for instance in instances.values()):
        return "its instances are on loopback, and this proxy listens on an address that others reach"
    return ""


def _is_publishable(instance: Instance, listener: Address) -> bool:
    return listener.is_loopback or not instance.address.is_loopback


def _is_eligible(instance: Instance, plan: Route) -> bool:
    if instance.kind == PROXY_KIND or instance.address.proto != plan.listener.proto:
        return False
    return not plan.published or _is_publishable(instance, plan.listener)


def _is_wildcard(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
