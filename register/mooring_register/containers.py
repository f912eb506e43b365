"""A container as Docker describes it, read once into a frozen value. Decides nothing and knows no registry.

Of a container's environment and labels only what begins with `SERVICE_` is kept, and what begins with the prefix of
bindings: what never enters this value cannot be published by accident.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from attrs import field, frozen

from mooring_register.draining import DEFAULT_STOP_SIGNAL, DEFAULT_STOP_TIMEOUT_SECONDS, MOST_STOP_TIMEOUT_SECONDS

DESCRIPTOR_PREFIX: Final = "SERVICE_"
DEFAULT_BINDING_PREFIX: Final = "BACKEND_"

# What the engine's JSON looks like is the engine's business: checked where it is read, field by field.
Inspected = Mapping[str, Any]


@frozen
class PortMapping:
    """One port of a container and where the host publishes it; `host_port` is None when it is only exposed."""

    port: int
    proto: str
    host_ip: str = ""
    host_port: int | None = None


@frozen(order=True)
class Network:
    """One network that a container is attached to, with its addresses there; either may be empty."""

    name: str
    ipv4: str = ""
    ipv6: str = ""


@frozen(kw_only=True)
class Container:
    """One container at one moment. `started_at` is epoch seconds, `health` is empty without a HEALTHCHECK.

    `wishes` are the labels and variables with the prefix of bindings. `other_labels` are those without `SERVICE_`: they
    are asked about (filters, names by Compose), and never published. `ports_pending` says that Docker promised to
    publish a port and has not filled it in yet; `unreadable_ports` are exposed, whatever was meant by them.
    """

    id: str
    name: str
    hostname: str = ""
    image: str = ""
    labels: Mapping[str, str] = field(factory=dict)
    environment: Mapping[str, str] = field(factory=dict)
    wishes: Mapping[str, str] = field(factory=dict)
    other_labels: Mapping[str, str] = field(factory=dict, repr=False)
    running: bool = True
    paused: bool = False
    restarting: bool = False
    out_of_memory: bool = False
    exit_code: int = 0
    health: str = ""
    started: str = ""
    started_at: float = 0.0
    stop_signal: str = DEFAULT_STOP_SIGNAL
    stop_timeout_seconds: float = DEFAULT_STOP_TIMEOUT_SECONDS
    network_mode: str = ""
    networks: tuple[Network, ...] = ()
    ports: tuple[PortMapping, ...] = ()
    ports_pending: bool = False
    unreadable_ports: tuple[str, ...] = ()


def read_container(document: Inspected, binding_prefix: str = DEFAULT_BINDING_PREFIX) -> Container:
    """Read the answer of Docker's inspect; `binding_prefix` is meant literally."""
    state, config = document.get("State") or {}, document.get("Config") or {}
    mode = (document.get("HostConfig") or {}).get("NetworkMode") or ""
    started = state.get("StartedAt") or ""
    labels, variables = config.get("Labels") or {}, _variables(config.get("Env") or [])
    return Container(
        id=document["Id"],
        name=document.get("Name") or "",
        hostname=config.get("Hostname") or "",
        image=config.get("Image") or "",
        labels=_beginning_with(DESCRIPTOR_PREFIX, labels),
        environment=_beginning_with(DESCRIPTOR_PREFIX, variables),
        wishes=_beginning_with(binding_prefix, {**variables, **labels}),
        other_labels={name: value for name, value in labels.items() if not name.startswith(DESCRIPTOR_PREFIX)},
        running=bool(state.get("Running")),
        paused=bool(state.get("Paused")),
        restarting=bool(state.get("Restarting")),
        out_of_memory=bool(state.get("OOMKilled")),
        exit_code=int(state.get("ExitCode") or 0),
        health=_health(state),
        started=started,
        started_at=parse_time(started),
        stop_signal=config.get("StopSignal") or DEFAULT_STOP_SIGNAL,
        stop_timeout_seconds=_stop_timeout_seconds(config.get("StopTimeout")),
        network_mode=mode,
        networks=_networks(document),
        ports=_ports(document),
        ports_pending=_ports_pending(document),
        unreadable_ports=tuple(sorted(text for text in _exposed(document) if not _read_ports(text))),
    )


_PORTS = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?(?:/(?P<proto>[a-z]+))?")
_LAST_PORT: Final = 65535
_FRACTION = re.compile(r"\.(\d+)")


def parse_time(text: str) -> float:
    """Return epoch seconds of Docker's RFC 3339 time with up to nine decimals, 0.0 for none."""
    if not text or text.startswith("0001-"):
        return 0.0
    found = _FRACTION.search(text)
    whole = _FRACTION.sub("", text).replace("Z", "+00:00")
    return datetime.fromisoformat(whole).timestamp() + (float(f"0.{found[1]}") if found else 0.0)


def _stop_timeout_seconds(said: int | None) -> float:
    if said is None:
        return DEFAULT_STOP_TIMEOUT_SECONDS
    # Below 0 there is none.
    return min(float(said), MOST_STOP_TIMEOUT_SECONDS) if said >= 0 else MOST_STOP_TIMEOUT_SECONDS


def _beginning_with(prefix: str, said: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in said.items() if name.startswith(prefix)}


def _variables(lines: Iterable[str]) -> dict[str, str]:
    return {name: value for name, found, value in (line.partition("=") for line in lines) if found}


def _health(state: Inspected) -> str:
    status = (state.get("Health") or {}).get("Status") or ""
    return "" if status == "none" else status


def _networks(document: Inspected) -> tuple[Network, ...]:
    attached = (document.get("NetworkSettings") or {}).get("Networks") or {}
    return tuple(
        sorted(
            Network(name, (said or {}).get("IPAddress") or "", (said or {}).get("GlobalIPv6Address") or "")
            for name, said in attached.items()
        )
    )


def _published(document: Inspected) -> Mapping[str, list[Mapping[str, str]] | None]:
    return (document.get("NetworkSettings") or {}).get("Ports") or {}


def _ports(document: Inspected) -> tuple[PortMapping, ...]:
    """Return every binding of every port: those of `NetworkSettings`, and the merely exposed ones."""
    published = _published(document)
    mappings = set()
    for text in {*_exposed(document), *published}:
        bindings = [binding for binding in published.get(text) or [] if binding.get("HostPort")]
        for port, proto in _read_ports(text):
            for binding in bindings:
                mappings.add(PortMapping(port, proto, binding.get("HostIp") or "", int(binding["HostPort"])))
            if not bindings:
                mappings.add(PortMapping(port, proto))
    return tuple(sorted(mappings, key=lambda one: (one.port, one.proto, one.host_ip, one.host_port or 0)))


def _exposed(document: Inspected) -> Iterable[str]:
    return (document.get("Config") or {}).get("ExposedPorts") or {}


def _read_ports(text: str) -> list[tuple[int, str]]:
    """Read `80`, `80/tcp` or `8000-8099/tcp`. Docker takes anything that an image's builder wrote; the rest is none."""
    found = _PORTS.fullmatch(text)
    if found is None:
        return []
    first, last = int(found["first"]), int(found["last"] or found["first"])
    return [(port, found["proto"] or "tcp") for port in range(max(first, 1), min(last, _LAST_PORT) + 1)]


def _ports_pending(document: Inspected) -> bool:
    host = document.get("HostConfig") or {}
    if not (document.get("State") or {}).get("Running") or host.get("NetworkMode") in ("host", "none"):
        return False
    wanted = set((host.get("PortBindings") or {}).keys())
    if host.get("PublishAllPorts"):
        wanted |= set(_exposed(document))
    published = _published(document)
    return any(not published.get(text) for text in wanted)
