"""From one container to the instances that it comes to, what is wrong with it, and why a port is not registered. Pure.

Whether the container lives is decided elsewhere (`registrar`); here it is read as if it were up. Later sources of
instances' fields (templates, filters, addresses from labels) belong into `_instance`.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from mooring.errors import DescriptorError
from mooring.keys import check_name
from mooring.model import Instance
from mooring_register.addresses import Place, Policy, places
from mooring_register.containers import Container
from mooring_register.descriptor import Descriptor, PortDescriptor, describe_port, read_descriptor
from mooring_register.naming import default_service, grouped_service, instance_id


@frozen
class NotRegistered:
    """A port of a container that is not registered, and why; for people who wonder."""

    container: str
    port: str
    reason: str


@frozen
class Reading:
    """What one container comes to. `problems` are mistakes, `not_registered` may be just as intended."""

    instances: tuple[Instance, ...] = ()
    problems: tuple[DescriptorError, ...] = ()
    not_registered: tuple[NotRegistered, ...] = ()


def read(container: Container, policy: Policy) -> Reading:
    """Return everything that the container says about itself, under this host's policy."""
    name = container.name.removeprefix("/")
    reached, unreached = places(container, policy)
    descriptor = read_descriptor(name, container.labels, container.environment)
    described = {place.port: describe_port(descriptor, place.port) for place in reached}
    is_group = len({(place.port, place.proto) for place in reached}) > 1
    instances: list[Instance] = []
    problems = {str(problem): problem for said in described.values() for problem in said.problems}
    not_registered = [NotRegistered(name, f"{one.port}/{one.proto}", one.reason) for one in unreached]
    for place in reached:
        said = described[place.port]
        if reason := _reason_against(said, policy):
            not_registered.append(NotRegistered(name, f"{place.port}/{place.proto}", reason))
            continue
        try:
            instances.append(_instance(container, policy, place, said, is_group=is_group))
        except DescriptorError as problem:
            problems[str(problem)] = problem
    return Reading(tuple(instances), tuple(problems.values()), (*not_registered, *_nothing(descriptor, container)))


def _reason_against(said: PortDescriptor, policy: Policy) -> str:
    if said.ignored_by:
        return f"{said.ignored_by} is set"
    if not said.is_usable:
        return "its name or id cannot be used"
    if policy.explicit and not said.name:
        return "it has no SERVICE_NAME, and only explicit ones are wanted"
    return ""


def _nothing(descriptor: Descriptor, container: Container) -> Iterator[NotRegistered]:
    if not container.ports:
        yield NotRegistered(descriptor.container, "", "it has no port: none is exposed, none published")


def _instance(container: Container, policy: Policy, place: Place, said: PortDescriptor, *, is_group: bool) -> Instance:
    where = f"{container.name.removeprefix('/')}: port {place.port}/{place.proto}"
    name = said.name or default_service(container.image, container.name)
    service = grouped_service(name, place.port, is_group=is_group, is_for_port=said.name_is_for_port)
    return Instance(
        service=check_name(where, service),
        id=check_name(where, _id(container, policy, place, said)),
        address=place.address,
        port=place.port,
        publish=said.publish,
        container_address=place.container_address,
        weight=said.weight,
        tags=_tags(said, place),
        attributes=said.attributes,
        checks=said.checks,
        host=policy.host,
        container=container.id,
        name=container.name,
        image=container.image,
        health=container.health,
        started=container.started,
    )


def _id(container: Container, policy: Policy, place: Place, said: PortDescriptor) -> str:
    if not said.id:
        return instance_id(
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
