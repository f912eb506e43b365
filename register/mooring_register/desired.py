"""From one container to its instances and wishes, what is wrong with it, and why a port is not registered. Pure.

Whether the container lives is decided elsewhere (`registrar`); here it is read as if it were up.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve, field, frozen

from mooring.errors import DescriptorError
from mooring.keys import check_name
from mooring.model import Instance, Json
from mooring_register.addresses import Place, Policy, Reach, reach
from mooring_register.bindings import Wishes, read_wishes
from mooring_register.containers import Container
from mooring_register.descriptor import NO_PORT, Descriptor, Spot, describe_port, read_descriptor, spoken_of_in_vain
from mooring_register.filters import reason_against
from mooring_register.naming import further_id, grouped_service, is_ipv6, unsaid_service
from mooring_register.naming import instance_id as default_id
from mooring_register.network_sharing import NoNetwork
from mooring_register.words import PortDescriptor


@frozen
class NotRegistered:
    """A port of a container that is not registered, and why; for people who wonder."""

    container: str
    port: str
    reason: str

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
    if reason := reason_against(policy.filters, container):
        return Reading((), wishes, tuple(mistaken), (NotRegistered(_bare_name(container), "", reason),))
    reached = reach(container, policy, owner)
    reading = _read_ports(container, policy, reached)
    problems = [*reading.problems, *reached.problems, *mistaken]
    problems = list({str(one): one for one in problems}.values())
    return evolve(reading, wishes=wishes, problems=tuple(problems), notes=reached.notes)


def _read_ports(container: Container, policy: Policy, reached: Reach) -> Reading:
    name = _bare_name(container)
    descriptor = read_descriptor(name, container.labels, container.environment)
    is_group = len({(place.port, place.proto) for place in reached.places}) > 1
    instances: list[Instance] = []
    problems = [*descriptor.problems, *_problems_elsewhere(descriptor, reached)]
    not_registered = [NotRegistered(name, f"{one.port}/{one.proto}", one.reason) for one in reached.unreachable]
    for place in reached.places:
        said = describe_port(descriptor, _spot(place))
        problems += said.problems
        if reason := _reason_against(said, policy):
            not_registered.append(NotRegistered(name, f"{place.port}/{place.proto}", reason))
            continue
        for named in _named(container, policy, place, said, is_group=is_group):
            try:
                instances.append(_instance(container, policy, place, said, named))
            except DescriptorError as problem:
                problems.append(problem)
    not_registered += _nothing(descriptor, reached)
    return Reading(tuple(instances), problems=tuple(problems), not_registered=tuple(not_registered))


def _problems_elsewhere(descriptor: Descriptor, reached: Reach) -> Iterator[DescriptorError]:
    """Yield what is wrong where nothing is reached: once the port is published, it would be news."""
    spots = [Spot(one.port, one.proto) for one in reached.unreachable]
    for spot in spots if reached.places or spots else [NO_PORT]:
        yield from describe_port(descriptor, spot).problems


def _bare_name(container: Container) -> str:
    return container.name.removeprefix("/")


def _spot(place: Place) -> Spot:
    return Spot(place.port, place.proto, 6 if is_ipv6(place.address.host) else 4)


def _reason_against(said: PortDescriptor, policy: Policy) -> str:
    if said.ignored_by:
        return f"{said.ignored_by} is set"
    if not said.is_usable:
        return "its name or id cannot be used"
    if policy.explicit and not said.names:
        return "it has no SERVICE_NAME, and only explicit ones are wanted"
    # Whoever runs a proxy seldom means to offer it as a service.
    return "it is a proxy without a SERVICE_NAME" if said.kind and not said.names else ""


def _nothing(descriptor: Descriptor, reached: Reach) -> Iterator[NotRegistered]:
    ports = {place.port for place in reached.places} | {one.port for one in reached.unreachable}
    for port, label in spoken_of_in_vain(descriptor, ports):
        yield NotRegistered(descriptor.container, str(port), f"{label} speaks of it, but there is no such port")
    if not ports:
        yield NotRegistered(descriptor.container, "", "it has no port: none is exposed, none published")


def _named(
    container: Container, policy: Policy, place: Place, said: PortDescriptor, *, is_group: bool
) -> Iterator[tuple[str, str]]:
    """Yield service and id under each of a port's names. The first has registrator's id, the others tell theirs."""
    first_id = _id(container, policy, place, said)
    names = said.names or (unsaid_service(container, policy.name_from),)
    for name in names:
        service = grouped_service(name, place.port, is_group=is_group, is_for_port=said.name_is_for_port)
        yield service, first_id if name == names[0] else further_id(first_id, service)


def _instance(
    container: Container, policy: Policy, place: Place, said: PortDescriptor, named: tuple[str, str]
) -> Instance:
    where = f"{_bare_name(container)}: port {place.port}/{place.proto}"
    service, instance_id = named
    return Instance(
        service=check_name(where, service),
        id=check_name(where, instance_id),
        address=place.address,
        port=place.port,
        publish=said.publish,
        container_address=place.container_address,
        weight=said.weight,
        tags=_tags(said, place),
        attributes=said.attributes,
        checks=said.checks,
        http=_http(said, service),
        kind=said.kind,
        zone=said.zone,
        host=policy.host,
        container=container.id,
        name=container.name,
        image=container.image,
        health=container.health,
        started=container.started,
    )


def _http(said: PortDescriptor, service: str) -> dict[str, Json]:
    """Return how it is reached by HTTP; the tag `rest` means under the service's name, and each word wins over it."""
    implied: dict[str, Json] = {"path": f"/{service}", "strip": True, "ignore_case": True} if said.is_rest else {}
    return implied | dict(said.http)


def _id(container: Container, policy: Policy, place: Place, said: PortDescriptor) -> str:
    if not said.id:
        return default_id(
            policy.host,
            container.name,
            place.port,
            proto=place.proto,
            address=place.address.host,
            further=place.further,
        )
    # A given id is taken as it is, but it can name one place only.
    return said.id if place.further is None else f"{said.id}:{place.further}"


def _tags(said: PortDescriptor, place: Place) -> tuple[str, ...]:
    if place.proto == "tcp" or place.proto in said.tags:
        return said.tags
    return (*said.tags, place.proto)
