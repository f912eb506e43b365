"""From one container to its instances and wishes, what is wrong with it, and why a port is not registered. Pure.

Whether the container lives is decided elsewhere (`registrar`); here it is read as if it were up.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from attrs import evolve, field, frozen

from mooring.errors import DescriptorError
from mooring.keys import NAME_MOST_BYTES
from mooring.model import Instance
from mooring_register.addresses.network_sharing import NoNetwork
from mooring_register.addresses.reach import Policy, Reach, reach
from mooring_register.bindings.wishes import Wishes, read_wishes
from mooring_register.containers import Container
from mooring_register.labels.descriptor import (
    NO_PORT,
    Descriptor,
    Spot,
    describe_port,
    read_descriptor,
    spoken_of_in_vain,
)
from mooring_register.labels.filters import reason_against
from mooring_register.labels.words import PortDescriptor
from mooring_register.port_instances import Port, port_instances, spot_of

_SHOWN_OF_A_NAME: Final = 40


class Rule(StrEnum):
    """By which rule a port is not registered: the words by which that is counted."""

    FILTER = "filter"
    IGNORED = "ignored"
    NAME = "name"
    EXPLICIT = "explicit"
    PROXY = "proxy"
    UNREACHABLE = "unreachable"
    NO_SUCH_PORT = "no such port"
    NO_PORT = "no port"


@frozen
class NotRegistered:
    """A port of a container that is not registered, and why; for people who wonder."""

    container: str
    port: str
    reason: str
    rule: Rule

    def __str__(self) -> str:
        """Return `<container> <port>: <reason>`, without a port when it is about all of them."""
        return f"{' '.join(filter(None, (self.container, self.port)))}: {self.reason}"


@frozen
class Reading:
    """What one container comes to. `problems` are mistakes, `not_registered` and `notes` may be just as intended."""

    instances: tuple[Instance, ...] = ()
    wishes: Wishes = field(factory=dict)
    problems: tuple[DescriptorError, ...] = ()
    not_registered: tuple[NotRegistered, ...] = ()
    notes: tuple[str, ...] = ()


def read(container: Container, policy: Policy, owner: Container | NoNetwork | None = None) -> Reading:
    """Return everything that the container says about itself, under this host's policy.

    `owner` is the container whose network it has, by default itself. Filters concern what is registered, not bindings.
    """
    wishes, mistaken = read_wishes(container)
    if len(_bare_name(container).encode()) > NAME_MOST_BYTES:
        return _of_too_long_a_name(container, wishes)
    if reason := reason_against(policy.filters, container):
        return Reading((), wishes, tuple(mistaken), (NotRegistered(_bare_name(container), "", reason, Rule.FILTER),))
    reached = reach(container, policy, owner)
    reading = _read_ports(container, policy, reached)
    problems = [*reading.problems, *reached.problems, *mistaken]
    problems = list({str(one): one for one in problems}.values())
    return evolve(reading, wishes=wishes, problems=tuple(problems), notes=reached.notes)


def _of_too_long_a_name(container: Container, wishes: Wishes) -> Reading:
    """Return what it comes to where no document has room for the name of a container, whatever its labels say."""
    name, reason = f"{_bare_name(container)[:_SHOWN_OF_A_NAME]}…", f"its name is over {NAME_MOST_BYTES} bytes long"
    against = NotRegistered(name, "", reason, Rule.NAME)
    return Reading((), wishes, (DescriptorError(name, reason),), (against,))


def _read_ports(container: Container, policy: Policy, reached: Reach) -> Reading:
    name = _bare_name(container)
    descriptor = read_descriptor(name, container.labels, container.environment)
    is_group = len({(place.port, place.proto) for place in reached.places}) > 1
    instances: list[Instance] = []
    problems = [*descriptor.problems, *_problems_elsewhere(descriptor, reached)]
    not_registered = [
        NotRegistered(name, f"{one.port}/{one.proto}", one.reason, Rule.UNREACHABLE) for one in reached.unreachable
    ]
    for place in reached.places:
        said = describe_port(descriptor, spot_of(place))
        problems += said.problems
        if against := _against(said, policy):
            not_registered.append(NotRegistered(name, f"{place.port}/{place.proto}", *against))
            continue
        found, wrong = port_instances(Port(container, policy, place, descriptor, said, is_group=is_group))
        instances += found
        problems += wrong
    not_registered += _nothing(descriptor, reached)
    return Reading(tuple(instances), problems=tuple(problems), not_registered=tuple(not_registered))


def _problems_elsewhere(descriptor: Descriptor, reached: Reach) -> Iterator[DescriptorError]:
    """Yield what is wrong where nothing is reached: once the port is published, it would be news."""
    spots = [Spot(one.port, one.proto) for one in reached.unreachable]
    for spot in spots if reached.places or spots else [NO_PORT]:
        yield from describe_port(descriptor, spot).problems


def _bare_name(container: Container) -> str:
    return container.name.removeprefix("/")


def _against(said: PortDescriptor, policy: Policy) -> tuple[str, Rule] | None:
    if said.ignored_by:
        return f"{said.ignored_by} is set", Rule.IGNORED
    if not said.is_usable:
        return "its name or id cannot be used", Rule.NAME
    if policy.explicit and not said.names:
        return "it has no SERVICE_NAME, and only explicit ones are wanted", Rule.EXPLICIT
    # Whoever runs a proxy seldom means to offer it as a service.
    return ("it is a proxy without a SERVICE_NAME", Rule.PROXY) if said.kind and not said.names else None


def _nothing(descriptor: Descriptor, reached: Reach) -> Iterator[NotRegistered]:
    ports = {place.port for place in reached.places} | {one.port for one in reached.unreachable}
    for port, label in spoken_of_in_vain(descriptor, ports):
        reason = f"{label} speaks of it, but there is no such port"
        yield NotRegistered(descriptor.container, str(port), reason, Rule.NO_SUCH_PORT)
    if not ports:
        reason = "it has no port: none is exposed, none published"
        yield NotRegistered(descriptor.container, "", reason, Rule.NO_PORT)
