"""Whose network a container has: its own, or that of another one (`--network container:X`), along a chain. Pure.

A container joins the network that the other one has at that moment. When that one is restarted it gets a new network,
and who joined the old one keeps nothing but a loopback, until it is restarted too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import frozen

from mooring_register.containers import Container

_SHARING: Final = "container:"
_SHOWN_CHARACTERS: Final = 12


@frozen
class NoNetwork:
    """Why a container that shares another one's network cannot be reached. A loop is a mistake, the rest may pass."""

    reason: str
    is_loop: bool = False


def shares_network(container: Container) -> bool:
    """Whether a container has no network of its own but that of another container."""
    return container.network_mode.startswith(_SHARING)


def network_owner(container: Container, running: Mapping[str, Container]) -> Container | NoNetwork:
    """Return the container whose network this one has; mostly that is itself. `running` are all by their ids."""
    passed = [container]
    while shares_network(one := passed[-1]):
        wanted = one.network_mode.removeprefix(_SHARING)
        other = _find(wanted, running)
        if other is None:
            return NoNetwork(f"it shares the network of {wanted[:_SHOWN_CHARACTERS]}, which does not run")
        if other.id in (before.id for before in passed):
            return NoNetwork(f"it shares a network in a loop: {_chain([*passed, other])}", is_loop=True)
        if other.started_at > one.started_at:
            return NoNetwork(f"{_name(other)} was started after {_name(one)}, which has lost its network by that")
        passed.append(other)
    return passed[-1]


def _find(wanted: str, running: Mapping[str, Container]) -> Container | None:
    """Find a container as Docker does: by its id, by its name, or by the beginning of its id."""
    if wanted in running:
        return running[wanted]
    by_name = (one for one in running.values() if _name(one) == wanted)
    by_prefix = (running[one] for one in sorted(running) if wanted and one.startswith(wanted))
    return next(by_name, None) or next(by_prefix, None)


def _chain(containers: Iterable[Container]) -> str:
    return " → ".join(_name(one) for one in containers)


def _name(container: Container) -> str:
    return container.name.removeprefix("/")
