"""What a service and an instance are called when nobody says so, and what is appended when a name must serve several.

Registrator's rules, so that a site can change over without renaming anything, but for its bugs: an image's digest is
no part of a service's name.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address

from mooring_register.containers import Container

_COMPOSE_PROJECT = "com.docker.compose.project"
_COMPOSE_SERVICE = "com.docker.compose.service"
# Docker refuses such a repository's name because it could be an image's id.
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


class NameFrom(StrEnum):
    """After what a service is named when nobody says its name."""

    IMAGE = "image"
    CONTAINER = "container"
    COMPOSE = "compose"
    COMPOSE_PROJECT = "compose-project"


def unsaid_service(container: Container, name_from: NameFrom) -> str:
    """Return the service of a container that says no name; what Compose did not start is named after its image."""
    project, service = compose_labels(container)
    if name_from is NameFrom.COMPOSE and service:
        return service
    if name_from is NameFrom.COMPOSE_PROJECT and project and service:
        return f"{project}/{service}"
    if name_from is NameFrom.CONTAINER:
        return container.name.removeprefix("/")
    return default_service(container.image, container.name)


def compose_labels(container: Container) -> tuple[str, str]:
    """Return the project and the service that Compose started a container for; empty where it did not."""
    labels = container.other_labels
    return labels.get(_COMPOSE_PROJECT, ""), labels.get(_COMPOSE_SERVICE, "")


def default_service(image: str, container_name: str) -> str:
    """Return the image's last path segment without tag and digest, or the container's name when the image has none.

    `registry:5000/team/app:1.2@sha256:…` gives `app`. A container started from a bare image id says nothing worth
    using.
    """
    name = repository(image).rpartition("/")[2]
    if name and name != "sha256" and _IMAGE_ID.fullmatch(name) is None:
        return name
    return container_name.removeprefix("/")


def repository(image: str) -> str:
    """Return an image's reference without tag and digest; a registry's port stays."""
    before, slash, last = image.partition("@")[0].rpartition("/")
    return before + slash + last.partition(":")[0]


def grouped_service(name: str, port: int, *, is_group: bool, is_for_port: bool) -> str:
    """Return the service of one port: `<name>-<port>` when several ports share a name that none of them was given."""
    return f"{name}-{port}" if is_group and not is_for_port else name


def further_id(first: str, service: str) -> str:
    """Return the id under a second name of the same port; `first` is the id under its first name."""
    return f"{first}:{service}"


def instance_id(host: str, container_name: str, port: int, *, proto: str, address: str, further: int | None) -> str:
    """Return `<host>:<container name>:<port>`, then `:udp`, `:6`, and `:<host port>` for a further binding."""
    parts = [host, container_name.removeprefix("/"), str(port)]
    if proto == "udp":
        parts.append("udp")
    if is_ipv6(address):
        parts.append("6")
    if further is not None:
        parts.append(str(further))
    return ":".join(parts)


# A container's address is asked about some times, the host's for each of its containers.
@lru_cache(maxsize=4096)
def is_ipv6(host: str) -> bool:
    """Whether a host is an IPv6 literal."""
    try:
        return ip_address(host).version == 6  # noqa: PLR2004 -- IP's version
    except ValueError:
        return False
