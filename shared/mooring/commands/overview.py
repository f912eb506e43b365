"""How a stream and all who follow it stand at one moment, as values made from what Redis holds. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from mooring.catalog import Catalog
from mooring.model import Instance, State
from mooring.redis.stream import Head, Lead

# States that a proxy picks without reluctance.
_SERVING: Final = frozenset({State.UP, State.STARTING})


@frozen
class SourceStanding:
    """A registry as the head tells of it; an empty state means that it was never listed."""

    name: str
    state: str = ""
    revision: str = ""


@frozen(kw_only=True)
class ServiceStanding:
    """A service: how many instances it has, how many of them are served by, and the port that is published for it."""

    name: str
    instances: int = 0
    serving: int = 0
    ports: tuple[str, ...] = ()


@frozen(kw_only=True)
class ProxyStanding:
    """A proxy as it announces itself.

    `sequence` is None while it has no table. `behind` counts entries, and is None for one that is in another life of
    the stream. `waiting_seconds` is how long the first entry that it lacks has been there, None when it lacks none.
    """

    id: str
    host: str = ""
    driver: str = ""
    incarnation: str = ""
    sequence: int | None = None
    behind: int | None = None
    waiting_seconds: float | None = None
    connections: int = 0
    frozen: str = ""
    is_stale: bool = False


@frozen(kw_only=True)
class Overview:
    """All of it. `at` is epoch seconds; `failure` says why nothing, or not all, could be learned."""

    at: float
    failure: str = ""
    head: Head | None = None
    lead: Lead | None = None
    sources: tuple[SourceStanding, ...] = ()
    services: tuple[ServiceStanding, ...] = ()
    states: Mapping[str, int] = field(factory=dict)
    bindings: int = 0
    proxies: tuple[ProxyStanding, ...] = ()


def sources_of(head: Head | None) -> tuple[SourceStanding, ...]:
    """Return what a head says of its sources."""
    said = head.sources if head else {}
    names = sorted({name.rpartition(":")[0] for name in said})
    return tuple(
        SourceStanding(name, said.get(f"{name}:state", ""), said.get(f"{name}:revision", "")) for name in names
    )


def services_of(catalog: Catalog, ports: Mapping[str, str]) -> tuple[ServiceStanding, ...]:
    """Return every service that has an instance or holds a port."""
    held: dict[str, list[str]] = {}
    for port, service in sorted(ports.items()):
        held.setdefault(service, []).append(port)
    return tuple(
        ServiceStanding(
            name=name,
            instances=len(instances := [*catalog.services.get(name, {}).values()]),
            serving=sum(map(is_serving, instances)),
            ports=tuple(held.get(name, ())),
        )
        for name in sorted({*catalog.services, *held})
    )


def is_serving(instance: Instance) -> bool:
    """Whether new connections go to an instance without reluctance."""
    return instance.state in _SERVING and instance.weight != 0


def states_of(catalog: Catalog) -> dict[str, int]:
    """Return how many instances are in each state."""
    counts = Counter(instance.state for instance in catalog.instances())
    return {state.value: counts[state] for state in State if counts[state]}


def applied_of(said: Mapping[str, str], head: Head | None) -> int | None:
    """Return what a proxy has applied of the stream that the head is of; None if nothing."""
    is_here = head is not None and said.get("incarnation") == head.incarnation
    return _number(said.get("sequence", "")) if is_here else None


def first_lacking(said: Mapping[str, str], head: Head | None) -> int | None:
    """Return the sequence of the first entry that a proxy lacks; None when it lacks none."""
    next_one = (applied_of(said, head) or 0) + 1
    return next_one if head is not None and next_one <= head.sequence else None


def proxy_of(
    proxy_id: str, said: Mapping[str, str], head: Head | None, *, waiting_seconds: float | None
) -> ProxyStanding:
    """Return how a proxy stands by what it announced."""
    applied = applied_of(said, head)
    return ProxyStanding(
        id=proxy_id,
        host=said.get("host", ""),
        driver=said.get("driver", ""),
        incarnation=said.get("incarnation", ""),
        sequence=_number(said.get("sequence", "")),
        behind=None if head is None or applied is None else max(0, head.sequence - applied),
        waiting_seconds=waiting_seconds,
        connections=_number(said.get("connections", "")) or 0,
        frozen=said.get("frozen", ""),
        is_stale=said.get("stale", "") == "1",
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
