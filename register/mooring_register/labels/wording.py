"""What the operator's templates see of a container's port, and what they make of its name, tags and words. Pure.

A template that fails for one port is a problem of that port alone: its tag or its word is missing, or, if it was the
name, the port is not registered, for nobody can tell what it should be called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from mooring.errors import DescriptorError, TemplateError
from mooring_register.addresses.reach import Place
from mooring_register.containers import Container
from mooring_register.labels.naming import compose_labels, repository
from mooring_register.labels.templates import Template, Wording
from mooring_register.labels.words import Said, split_list

# A name that depends on one of these tells the ports of a container apart by itself.
_TELLS_PORTS_APART: Final = ("port", "published", "address")
_SHOWN_CHARACTERS: Final = 60


@frozen
class Image:
    """An image's reference and its parts; what is not said is empty. `name` is the last part of the repository."""

    reference: str
    registry: str
    repository: str
    name: str
    tag: str

    def __str__(self) -> str:
        """Return the whole reference."""
        return self.reference


@frozen
class Compose:
    """The project and the service that Compose started a container for; both are empty if it did not."""

    project: str
    service: str


def view(container: Container, host: str, place: Place) -> dict[str, object]:
    """Return what a template sees, but for `service` and `is_named`: `templates.NAMES`.

    Of the environment only what begins with `SERVICE_` is there, as everywhere.
    """
    return {
        "id": container.id,
        "name": container.name.removeprefix("/"),
        "hostname": container.hostname,
        "image": image(container.image),
        "labels": {**container.other_labels, **container.labels},
        "environment": dict(container.environment),
        "compose": Compose(*compose_labels(container)),
        "networks": {one.name: one.ipv4 or one.ipv6 for one in container.networks},
        "started": container.started,
        "host": host,
        "port": place.port,
        "proto": place.proto,
        "ip": place.address.host,
        "published": place.address.port,
        "address": str(place.address),
    }


def image(reference: str) -> Image:
    """Take an image's reference apart, as Docker does: a registry has a dot or a port in its name, or is localhost."""
    whole = repository(reference)
    first, slash, rest = whole.partition("/")
    has_registry = slash and ("." in first or ":" in first or first == "localhost")
    registry, path = (first, rest) if has_registry else ("", whole)
    tag = reference.partition("@")[0].removeprefix(whole).removeprefix(":")
    return Image(reference, registry, path, path.rpartition("/")[2], tag)


def service_name(template: Template, seen: Mapping[str, object], name: str, *, is_named: bool) -> str:
    """Return what a service is called that would be called `name`; `is_named` if the container says so itself.

    Raises:
        DescriptorError: the template fails.
    """
    return _rendered(template, {**seen, "service": name, "is_named": is_named})


def tells_ports_apart(template: Template) -> bool:
    """Whether a name by this template is a name for one port."""
    return any(template.mentions(name) for name in _TELLS_PORTS_APART)


def further_tags(wording: Wording, seen: Mapping[str, object], problems: list[DescriptorError]) -> tuple[str, ...]:
    """Return the operator's tags; a template may come to several, with commas between them, or to none."""
    tags: list[str] = []
    for template in wording.tags:
        try:
            tags += split_list(_rendered(template, seen))
        except DescriptorError as problem:
            problems.append(problem)
    return tuple(tags)


def unsaid_words(wording: Wording, seen: Mapping[str, object], problems: list[DescriptorError]) -> dict[str, Said]:
    """Return the words that a container has unless it says them itself; what comes to nothing is not said."""
    words: dict[str, Said] = {}
    for word, template in wording.attributes:
        try:
            if text := _rendered(template, seen):
                words[word] = Said(template.option, text)
        except DescriptorError as problem:
            problems.append(problem)
    return words


def _rendered(template: Template, seen: Mapping[str, object]) -> str:
    try:
        return template.render(seen)
    except ValueError as error:
        text = template.text if len(template.text) <= _SHOWN_CHARACTERS else template.text[:_SHOWN_CHARACTERS] + "…"
        where = f"{seen['name']}: port {seen['port']}/{seen['proto']}: {template.option} {text!r}"
        raise TemplateError(where, str(error)) from None
