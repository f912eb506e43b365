"""Where a container's ports can be reached. Pure: the host's own addresses come in with the policy.

A published port is reached on the host, an internal one on the container's own address, and both by the network that
the container has, which may be another one's (`network_sharing`). One port bound on `0.0.0.0` and on `::` is one place,
not two. Where nothing can be reached, the reason is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from attrs import field, frozen

from mooring.errors import DescriptorError
from mooring.model import Address, parse_port
from mooring_register.addresses.network_sharing import NoNetwork
from mooring_register.containers import Container, PortMapping
from mooring_register.labels.filters import Filter
from mooring_register.labels.naming import NameFrom, is_ipv6
from mooring_register.labels.templates import Wording

NETWORK_LABEL: Final = "SERVICE_NETWORK"
PORT_LABEL: Final = "SERVICE_PORT"

_PROTOCOLS: Final = ("tcp", "udp")
_ANY_IPV4: Final = "0.0.0.0"  # noqa: S104 -- compared with, never bound
_ANY_IPV6: Final = "::"


@frozen(kw_only=True)
class Policy:
    """How this host registers: its name, its address for published ports, and which containers count.

    `internal` registers the containers' own addresses, of several those in `networks`, in that order; `explicit` only
    what has a SERVICE_NAME. `ip_label` is the label that gives a container its address. `wording` are the operator's
    templates.
    """

    host: str
    ip: str = ""
    internal: bool = False
    explicit: bool = False
    filters: tuple[Filter, ...] = ()
    name_from: NameFrom = NameFrom.IMAGE
    networks: tuple[str, ...] = ()
    ip_label: str = ""
    wording: Wording = field(factory=Wording)


@frozen(order=True)
class Place:
    """One address of one port. `further` is set on every binding of a port but the first, to tell their ids apart.

    `rule` says for people why it is this address.
    """

    port: int
    proto: str
    address: Address
    container_address: str = ""
    further: int | None = None
    rule: str = field(default="", eq=False)


@frozen
class Unreachable:
    """A port that cannot be registered, and why."""

    port: int
    proto: str
    reason: str


@frozen
class Reach:
    """Where the ports of a container are reached, and which are not. `problems` are mistakes, `notes` only told."""

    places: tuple[Place, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
    problems: tuple[DescriptorError, ...] = ()
    notes: tuple[str, ...] = ()


@frozen
class _Site:
    """What decides where one container's ports are reached. `labelled` is the address that a label gives it, if any."""

    container: Container
    owner: Container | NoNetwork
    policy: Policy
    labelled: str = ""


def reach(container: Container, policy: Policy, owner: Container | NoNetwork | None = None) -> Reach:
    """Return every place where the container's ports are reached, and the ports that are not, each with the reason.

    `owner` is the container whose network it has (`network_owner`), by default itself.
    """
    found: list[Place] = []
    missing: list[Unreachable] = []
    owner = container if owner is None else owner
    ports, problems = _ports(container)
    labelled, wrong, notes = _labelled(container, policy)
    site = _Site(container, owner, policy, labelled)
    for port, proto in ports:
        places_or_reason = _places(site, port, proto)
        if isinstance(places_or_reason, str):
            missing.append(Unreachable(port, proto, places_or_reason))
        else:
            found.extend(places_or_reason)
    if container.ports and _said(container, PORT_LABEL):
        notes = (*notes, f"{container.name.removeprefix('/')}: {PORT_LABEL} is not asked, for it exposes ports")
    if isinstance(owner, NoNetwork) and owner.is_loop:
        problems.append(DescriptorError(container.name.removeprefix("/"), owner.reason))
    return Reach(tuple(found), tuple(missing), (*problems, *wrong), notes)


def _ports(container: Container) -> tuple[list[tuple[int, str]], list[DescriptorError]]:
    """Return the ports of a container, and what is wrong with them; one that exposes none may name them itself."""
    name = container.name.removeprefix("/")
    problems = [
        DescriptorError(f"{name}: exposed port {text!r}", "expected PORT[-PORT][/PROTOCOL]")
        for text in container.unreadable_ports
    ]
    if container.ports:
        return sorted({(mapping.port, mapping.proto) for mapping in container.ports}), problems
    ports: set[tuple[int, str]] = set()
    for text in filter(None, _said(container, PORT_LABEL).split(",")):
        port, _, proto = text.strip().partition("/")
        try:
            ports.add((parse_port(port), proto or "tcp"))
        except ValueError as error:
            problems.append(DescriptorError(f"{name}: {PORT_LABEL}={text!r}", str(error)))
    return sorted(ports), problems


def _said(container: Container, label: str) -> str:
    return {**container.environment, **container.labels}.get(label, "")


def _labelled(container: Container, policy: Policy) -> tuple[str, list[DescriptorError], tuple[str, ...]]:
    """Return the address that the label of the policy gives, what is wrong with it, and that there is none."""
    if not policy.ip_label:
        return "", [], ()
    name = container.name.removeprefix("/")
    value = {**container.other_labels, **container.labels}.get(policy.ip_label, "")
    if not value:
        return "", [], (f"{name}: it has no label {policy.ip_label}, so that its normal address is taken",)
    try:
        return str(ip_address(value.rpartition("/")[0] or value)), [], ()
    except ValueError:
        reason = "expected an IP address, perhaps with /LENGTH; its normal address is taken"
        return "", [DescriptorError(f"{name}: {policy.ip_label}={value!r}", reason)], ()


def _places(site: _Site, port: int, proto: str) -> list[Place] | str:
    owner, policy = site.owner, site.policy
    if proto not in _PROTOCOLS:
        return f"protocol {proto} is neither tcp nor udp"
    if isinstance(owner, NoNetwork):
        return owner.reason
    if owner.network_mode == "host":
        host = site.labelled or policy.ip
        if not host:
            return "the host's address is not known: see --ip"
        return [Place(port, proto, Address(host, port, proto), rule=_rule(site, "the host's network, its address"))]
    own = own_address(owner, _said(site.container, NETWORK_LABEL), policy.networks)
    within = str(Address(own, port, proto)) if own else ""
    if policy.internal:
        host = site.labelled or own
        if not host:
            return _no_address(site, owner)
        return [Place(port, proto, Address(host, port, proto), within, rule=_rule(site, _own_rule(owner, own)))]
    return _on_the_host(site, owner, (port, proto), within)


def _rule(site: _Site, otherwise: str) -> str:
    rule = f"label {site.policy.ip_label}" if site.labelled else otherwise
    if isinstance(site.owner, NoNetwork) or site.owner.id == site.container.id:
        return rule
    return f"{rule}, in the network of {site.owner.name.removeprefix('/')}"


def _own_rule(owner: Container, own: str) -> str:
    network = next((one.name for one in owner.networks if own in (one.ipv4, one.ipv6)), "")
    return f"--internal, its own address in network {network}"


def _on_the_host(site: _Site, owner: Container, port: tuple[int, str], within: str) -> list[Place] | str:
    published = [one for one in owner.ports if (one.port, one.proto) == port and one.host_port is not None]
    if published:
        found = _published(site, published, within)
        return found or f"{site.labelled or site.policy.ip} is of another IP version than its bindings"
    if owner.ports_pending:
        return "Docker has not published it yet"
    name = owner.name.removeprefix("/")
    return "it is not published on the host" + ("" if owner.id == site.container.id else f" by {name}")


def own_address(owner: Container, network: str, preferred: tuple[str, ...]) -> str:
    """Return the address that a container has in one network, if that is named, else in the first that gives it one.

    First are the preferred networks, in their order, then the others by name; IPv4 before IPv6. Empty if there is none.
    """
    if network:
        choices = [[one for one in owner.networks if one.name == network]]
    else:
        choices = [[one for one in owner.networks if one.name == name] for name in preferred]
        choices.append(sorted(owner.networks))
    for networks in choices:
        ipv4 = (one.ipv4 for one in networks if one.ipv4)
        ipv6 = (one.ipv6 for one in networks if one.ipv6)
        if found := next(ipv4, None) or next(ipv6, None):
            return found
    return ""


def _no_address(site: _Site, owner: Container) -> str:
    network = _said(site.container, NETWORK_LABEL)
    if not network:
        return "it has no address of its own"
    names = ", ".join(one.name for one in owner.networks) or "none"
    return f"it has no address in network {network}, which {NETWORK_LABEL} names; its networks: {names}"


def _published(site: _Site, published: list[PortMapping], within: str) -> list[Place]:
    places: list[Place] = []
    families: set[bool] = set()
    proto = published[0].proto
    reachable = _reachable(site, proto, published)
    for address in sorted(reachable, key=_preference):
        first_of_family = is_ipv6(address.host) not in families
        families.add(is_ipv6(address.host))
        further = None if first_of_family else address.port
        places.append(Place(published[0].port, proto, address, within, further, _rule(site, reachable[address])))
    return places


def _reachable(site: _Site, proto: str, published: Iterable[PortMapping]) -> dict[Address, str]:
    """Return the bindings' addresses, with the rule of each; equal ones, and wildcards of both families, count once."""
    ip = site.labelled or site.policy.ip
    foreign_wildcard = _ANY_IPV4 if is_ipv6(ip) else _ANY_IPV6
    found: dict[Address, str] = {}
    for binding in published:
        if binding.host_port is None or binding.host_ip == foreign_wildcard:
            continue
        is_anywhere = binding.host_ip in ("", _ANY_IPV4, _ANY_IPV6)
        host = ip if site.labelled or is_anywhere else binding.host_ip
        rule = "published on all addresses, hence the host's" if is_anywhere else "published on this address alone"
        found.setdefault(Address(host, binding.host_port, proto), rule)
    return found


def _preference(address: Address) -> tuple[bool, bool, Address]:
    """Order the bindings of one port: IPv4 first, then what others can reach, then by address."""
    return is_ipv6(address.host), address.is_loopback, address
