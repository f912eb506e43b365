"""The seam to a Consul agent: its services and their checks, as values and one protocol. No HTTP here.

What is registered here belongs to the agent, that is to its machine: the agent runs the checks, and takes the services
into the catalog of the cluster. Keys and values are another seam, `keys`.

Two providers, held to one contract (tests/contract/test_consul_agent.py): `client.HttpAgent` over a real agent, and
`memory.MemoryAgent`, its twin in this process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from attrs import field, frozen

Status = Literal["passing", "warning", "critical"]


@frozen
class Http:
    """The agent asks for a URL; any status of 2xx is passing, 429 is warning."""

    url: str
    interval_seconds: float
    timeout_seconds: float | None = None
    method: str = "GET"
    skips_verification: bool = False


@frozen
class Tcp:
    """The agent opens a connection to `HOST:PORT`."""

    address: str
    interval_seconds: float
    timeout_seconds: float | None = None


@frozen
class Ttl:
    """Somebody says again and again how things are (`Agent.report`); after so long without a word it is critical."""

    seconds: float


@frozen
class Script:
    """The agent runs a command: 0 is passing, 1 warning. Refused by an agent that was not told to run scripts."""

    arguments: tuple[str, ...]
    interval_seconds: float
    timeout_seconds: float | None = None


@frozen
class Grpc:
    """The agent asks by gRPC's own protocol of health checks: `HOST:PORT`, or `HOST:PORT/SERVICE`."""

    target: str
    interval_seconds: float
    timeout_seconds: float | None = None
    uses_tls: bool = False
    skips_verification: bool = False


@frozen
class Alias:
    """As well as the worst check of another service of this agent, or of its node.

    Critical where there is no such service. An agent sees at once how the other's checks change, but only within a
    minute that it was deregistered, or how the node's change: whoever means all aliases to fail now makes a check of
    the other fail. For each alias an agent of 1.8 looks through all of its checks, at each change and once a minute: a
    few thousand keep it from answering for seconds at a time, where as many `Ttl` cost no more than their reports.
    """

    service_id: str


Probe = Http | Tcp | Ttl | Script | Grpc | Alias


@frozen(kw_only=True)
class Check:
    """The definition of one check; `id` is unique in its agent.

    `initial` is how things are until the first result. A service whose checks have been critical for
    `deregister_after_seconds` is deregistered by the agent (which looks twice a minute, and takes a minute at least).
    """

    id: str
    name: str
    probe: Probe
    notes: str = ""
    initial: Status = "critical"
    deregister_after_seconds: float | None = None


@frozen(kw_only=True)
class Service:
    """One service of an agent; `id` is unique in its agent. What was read is equal to what was registered.

    An empty `address` is the agent's own. With `is_retagged` tags that others set in the catalog are left alone.
    The weights are for those who ask by DNS.
    """

    id: str
    name: str
    address: str = ""
    port: int = 0
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(factory=dict)
    is_retagged: bool = False
    passing_weight: int = 1
    warning_weight: int = 1


@frozen(kw_only=True)
class CheckState:
    """How a check of the agent is now; `service_id` is empty for one of the node.

    Its definition cannot be read back.
    """

    id: str
    name: str
    status: Status
    service_id: str = ""
    notes: str = ""
    output: str = ""


@frozen
class AgentIdentity:
    """Who an agent is: the name of its node, its datacentre, and its version as in `1.8.7`."""

    node: str
    datacentre: str
    version: str


class Agent(Protocol):
    """The services and checks of one agent. Safe to use from several threads.

    Every method raises `Unavailable` when the agent does not answer within a few seconds, says that it cannot now, or
    refuses our token. After it nobody knows whether a write was carried out; each may be repeated. Ids may hold
    anything but an empty segment, `.` or `..` between slashes: an agent would never find those again, and whoever
    names one gets a `DocumentError`.
    """

    def identity(self) -> AgentIdentity:
        """Return who the agent is."""

    def services(self) -> Mapping[str, Service]:
        """Return its services by id, other people's included; only those that our token may read."""

    def checks(self) -> Mapping[str, CheckState]:
        """Return its checks by id, those of maintenance included; only those that our token may read."""

    def register(self, service: Service, checks: Sequence[Check] = ()) -> None:
        """Add a service, or replace the one with its id. It has these checks then and no others.

        A check that was there before under its id keeps its status. A maintenance ends, unless its check is given too.

        Raises:
            DocumentError: the agent does not take it; names the service, with the agent's reason.
        """

    def deregister(self, service_id: str) -> None:
        """Remove a service and its checks; nothing happens if there is none."""

    def register_check(self, check: Check, service_id: str = "") -> bool:
        """Add a check to a service, or to the node. False if there is no such service.

        Raises:
            DocumentError: the agent does not take it; names the check, with the agent's reason.
        """

    def deregister_check(self, check_id: str) -> None:
        """Remove a check; nothing happens if there is none."""

    def report(self, check_id: str, status: Status, output: str = "") -> bool:
        """Say how things are, for a check with a `Ttl`. False if there is no such check: register it again."""

    def set_maintenance(self, service_id: str, reason: str) -> bool:
        """Make a service critical for a stated reason, whatever its checks say. False if there is no such service."""

    def end_maintenance(self, service_id: str) -> bool:
        """Undo `set_maintenance`. False if there is no such service."""
