"""Where a container's ports can be reached. Pure: the host's own addresses come in with the policy.

A published port is reached on the host, an internal one on the container's own address. One port bound on `0.0.0.0`
and on `::` is one place, not two. Where nothing can be reached, the reason is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from attrs import frozen

from mooring.model import Address
from mooring_register.containers import Container, PortMapping
from mooring_register.naming import is_ipv6

_PROTOCOLS: Final = ("tcp", "udp")
_ANY_IPV4: Final = "0.0.0.0"  # noqa: S104 -- compared with, never bound
_ANY_IPV6: Final = "::"


@frozen(kw_only=True)
class Policy:
    """How this host registers: its name, its address for published ports, and which containers count.

    `internal` registers the containers' own addresses; `explicit` only what has a SERVICE_NAME.
    """

    host: str
    ip: str = ""
    internal: bool = False
    explicit: bool = False


@frozen(order=True)
class Place:
    """One address of one port. `further` is set on every binding of a port but the first, to tell their ids apart."""

    port: int
    proto: str
    address: Address
    container_address: str = ""
    further: int | None = None


@frozen
class Unreachable:
    """A port that cannot be registered, and why."""

    port: int
    proto: str
    reason: str


def places(container: Container, policy: Policy) -> tuple[tuple[Place, ...], tuple[Unreachable, ...]]:
    """Return every place where the container's ports are reached, and the ports that are not, each with the reason."""
    found: list[Place] = []
    missing: list[Unreachable] = []
    for (port, proto), bindings in groupby(sorted(container.ports, key=_port), key=_port):
        places_or_reason = _places(container, policy, port, proto, tuple(bindings))
        if isinstance(places_or_reason, str):
            missing.append(Unreachable(port, proto, places_or_reason))
        else:
            found.extend(places_or_reason)
    return tuple(found), tuple(missing)


def _port(mapping: PortMapping) -> tuple[int, str]:
    return mapping.port, mapping.proto


def _places(
    container: Container, policy: Policy, port: int, proto: str, bindings: tuple[PortMapping, ...]
) -> list[Place] | str:
    if proto not in _PROTOCOLS:
        return f"protocol {proto} is neither tcp nor udp"
    if container.network_mode.startswith("container:"):
        return f"it shares the network of {container.network_mode.removeprefix('container:')[:12]}"
    own = own_address(container)
    within = str(Address(own, port, proto)) if own else ""
    if container.network_mode == "host":
        return [Place(port, proto, Address(policy.ip, port, proto))] if policy.ip else "the host's address is not known"
    if policy.internal:
        return [Place(port, proto, Address(own, port, proto), within)] if own else "it has no address of its own"
    published = [binding for binding in bindings if binding.host_port is not None]
    if not published:
        return "Docker has not published it yet" if container.ports_pending else "it is not published on the host"
    return _published(policy, proto, published, within) or f"{policy.ip} is of another IP version than its bindings"


def own_address(container: Container) -> str:
    """Return the container's address in the first of its networks, by name, that gives it one; IPv4 before IPv6."""
    ipv4 = (network.ipv4 for network in container.networks if network.ipv4)
    ipv6 = (network.ipv6 for network in container.networks if network.ipv6)
    return next(ipv4, None) or next(ipv6, None) or ""


def _published(policy: Policy, proto: str, published: list[PortMapping], within: str) -> list[Place]:
    places: list[Place] = []
    families: set[bool] = set()
    for address in sorted(_reachable(policy, proto, published), key=_preference):
        first_of_family = is_ipv6(address.host) not in families
        families.add(is_ipv6(address.host))
        places.append(Place(published[0].port, proto, address, within, None if first_of_family else address.port))
    return places


def _reachable(policy: Policy, proto: str, published: Iterable[PortMapping]) -> set[Address]:
    """Return the addresses of the bindings; equal ones, and wildcards of both families, count once."""
    foreign_wildcard = _ANY_IPV4 if is_ipv6(policy.ip) else _ANY_IPV6
    return {
        Address(
            policy.ip if binding.host_ip in ("", _ANY_IPV4, _ANY_IPV6) else binding.host_ip, binding.host_port, proto
        )
        for binding in published
        if binding.host_port is not None and binding.host_ip != foreign_wildcard
    }


def _preference(address: Address) -> tuple[bool, bool, Address]:
    """Order the bindings of one port: IPv4 first, then what others can reach, then by address."""
    return is_ipv6(address.host), address.is_loopback, address
