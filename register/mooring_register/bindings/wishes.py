"""From what a container asks for to its bindings: which wishes count, and from which addresses they are made. Pure.

A binding is known by the addresses that its consumer's connections come from: those of the container on every network,
or of the container whose network it shares. So a container's bindings depend on other containers, and are worked out
again when any of them changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from attrs import frozen

from mooring.errors import BindingError, DescriptorError
from mooring.keys import binding_key, check_name
from mooring.model import Binding
from mooring_register.addresses.network_sharing import NoNetwork, network_owner
from mooring_register.addresses.reach import Policy
from mooring_register.bindings.grammar import Wish, parse_wish
from mooring_register.containers import Container

Wishes: TypeAlias = Mapping[str, Wish]
"""What a container asks for, by the whole name of the variable that says so."""


def read_wishes(container: Container) -> tuple[Wishes, tuple[DescriptorError, ...]]:
    """Return what a container asks for, and what of it cannot be meant.

    Of two variables with the same meaning the first by name counts, and nothing is wrong with the other. Of two that
    want one port for different services the first counts, and the other is a mistake.
    """
    wishes: dict[str, Wish] = {}
    problems: list[DescriptorError] = []
    by_port: dict[tuple[int, str], str] = {}
    for name, text in sorted(container.wishes.items()):
        where = f"{container.name.removeprefix('/')}: {name}"
        try:
            check_name(where, name)
            wish = parse_wish(where, text)
        except DescriptorError as problem:
            problems.append(problem)
            continue
        first = by_port.setdefault((wish.port, wish.proto), name)
        if first == name:
            wishes[name] = wish
        elif wishes[first] != wish:
            problems.append(BindingError(where, f"port {wish.port}/{wish.proto} is taken by {first}"))
    return wishes, tuple(problems)


@frozen
class Origin:
    """The addresses that a container's connections come from, or the reason why there are none."""

    addresses: tuple[str, ...] = ()
    reason: str = ""


def origin(container: Container, containers: Mapping[str, Container], policy: Policy) -> Origin:
    """Return where a container's connections come from; `containers` are those that run, by id.

    One that waits between two attempts to start has no address, and nothing is wrong with that.
    """
    if container.restarting:
        return Origin()
    owner = network_owner(container, containers)
    if isinstance(owner, NoNetwork):
        return Origin(reason=owner.reason)
    if owner.network_mode == "host":
        return Origin((policy.ip,)) if policy.ip else Origin(reason="the host's address is not known")
    own = [address for network in owner.networks for address in (network.ipv4, network.ipv6) if address]
    return Origin(tuple(dict.fromkeys(own))) if own else Origin(reason="it has no address of its own")


def bind(container: Container, wishes: Wishes, at: Origin, policy: Policy) -> tuple[Binding, ...]:
    """Return the bindings that a container's wishes come to; none without an address that proxies could know it by."""
    if not at.addresses:
        return ()
    return tuple(
        Binding(
            key=binding_key(policy.host, container.id, name),
            service=wish.selector.name,
            port=wish.port,
            proto=wish.proto,
            tags=wish.selector.tags,
            options=wish.options,
            addresses=at.addresses,
            host=policy.host,
            container=container.id,
        )
        for name, wish in wishes.items()
    )


def unbound(container: Container, wishes: Wishes, at: Origin | None) -> Iterator[DescriptorError]:
    """Yield the mistake for which a container's wishes come to nothing, if there is one."""
    if at is not None and at.reason:
        yield BindingError(f"{container.name.removeprefix('/')}: {', '.join(wishes)}", at.reason)
