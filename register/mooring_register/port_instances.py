"""From one place at which a port is reached, and what is said of it, to an instance under each of its names. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from mooring.errors import DescriptorError
from mooring.keys import check_name
from mooring.model import Instance, Json
from mooring_register.addresses.reach import Place, Policy
from mooring_register.containers import Container
from mooring_register.labels.descriptor import Descriptor, Spot, describe_port
from mooring_register.labels.naming import further_id, grouped_service, is_ipv6, unsaid_service
from mooring_register.labels.naming import instance_id as default_id
from mooring_register.labels.wording import further_tags, service_name, tells_ports_apart, unsaid_words, view
from mooring_register.labels.words import REST_TAG, PortDescriptor

_TCP = "tcp"


@frozen
class Port:
    """One port of a container at one of its places; `is_group` says that the container has others."""

    container: Container
    policy: Policy
    place: Place
    descriptor: Descriptor
    said: PortDescriptor
    is_group: bool = field(kw_only=True)

    @property
    def where(self) -> str:
        """The port, as errors name it."""
        return f"{self.container.name.removeprefix('/')}: port {self.place.port}/{self.place.proto}"


def spot_of(place: Place) -> Spot:
    """Return what labels speak of when they speak of this place."""
    return Spot(place.port, place.proto, 6 if is_ipv6(place.address.host) else 4)


def port_instances(port: Port) -> tuple[list[Instance], list[DescriptorError]]:
    """Return an instance under each name of a port, and what is wrong with some of them.

    The first name's has registrator's id, the others' tell their name too.
    """
    instances: list[Instance] = []
    problems: list[DescriptorError] = []
    names = port.said.names or (unsaid_service(port.container, port.policy.name_from),)
    seen = view(port.container, port.policy.host, port.place)
    for name in names:
        try:
            service = _service(port, name, seen)
            instance_id = _id(port) if name == names[0] else further_id(_id(port), service)
            instances.append(_instance(port, service, instance_id, seen, problems))
        except DescriptorError as problem:
            problems.append(problem)
    return instances, problems


def _service(port: Port, name: str, seen: Mapping[str, object]) -> str:
    template, is_for_port = port.policy.wording.name, port.said.name_is_for_port
    if template is not None:
        name = service_name(template, seen, name, is_named=bool(port.said.names))
        is_for_port = is_for_port or tells_ports_apart(template)
    return grouped_service(name, port.place.port, is_group=port.is_group, is_for_port=is_for_port)


def _instance(
    port: Port, service: str, instance_id: str, seen: Mapping[str, object], problems: list[DescriptorError]
) -> Instance:
    seen = {**seen, "service": service, "is_named": bool(port.said.names)}
    unsaid = unsaid_words(port.policy.wording, seen, problems)
    said = describe_port(port.descriptor, spot_of(port.place), unsaid) if unsaid else port.said
    problems += said.problems
    tags = _tags(port, further_tags(port.policy.wording, seen, problems))
    container = port.container
    return Instance(
        service=check_name(port.where, service),
        id=check_name(port.where, instance_id),
        address=port.place.address,
        port=port.place.port,
        publish=said.publish,
        container_address=port.place.container_address,
        weight=said.weight,
        tags=tags,
        attributes=said.attributes,
        checks=said.checks,
        http=_http(said, service, is_rest=REST_TAG in tags and port.place.proto == _TCP),
        kind=said.kind,
        zone=said.zone,
        host=port.policy.host,
        container=container.id,
        name=container.name,
        image=container.image,
        health=container.health,
        started=container.started,
    )


def _http(said: PortDescriptor, service: str, *, is_rest: bool) -> dict[str, Json]:
    """Return how it is reached by HTTP; the tag `rest` means under the service's name, and each word wins over it."""
    implied: dict[str, Json] = {"path": f"/{service}", "strip": True, "ignore_case": True} if is_rest else {}
    return implied | dict(said.http)


def _id(port: Port) -> str:
    place = port.place
    if not port.said.id:
        return default_id(
            port.policy.host,
            port.container.name,
            place.port,
            proto=place.proto,
            address=place.address.host,
            further=place.further,
        )
    # A given id is taken as it is, but it can name one place only.
    return port.said.id if place.further is None else f"{port.said.id}:{place.further}"


def _tags(port: Port, further: tuple[str, ...]) -> tuple[str, ...]:
    """Return the container's tags, then the operator's, then the protocol if it is not the usual one, each once."""
    of_proto = () if port.place.proto == _TCP else (port.place.proto,)
    return tuple(dict.fromkeys((*port.said.tags, *further, *of_proto)))
