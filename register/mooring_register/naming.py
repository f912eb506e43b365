"""What a service and an instance are called when nobody says so, and what is appended when a name must serve several.

Registrator's rules, so that a site can change over without renaming anything, but for its bugs: an image's digest is
no part of a service's name.
"""

from __future__ import annotations

from ipaddress import ip_address


def default_service(image: str, container_name: str) -> str:
    """Return the image's last path segment without tag and digest, or the container's name when the image has none.

    `registry:5000/team/app:1.2@sha256:…` gives `app`. A container started from a bare image id says nothing worth
    using.
    """
    repository = image.partition("@")[0]
    last = repository.rpartition("/")[2]
    name = last.partition(":")[0]
    if name and name != "sha256":
        return name
    return container_name.removeprefix("/")


def grouped_service(name: str, port: int, *, is_group: bool, is_for_port: bool) -> str:
    """Return the service of one port: `<name>-<port>` when several ports share a name that none of them was given."""
    return f"{name}-{port}" if is_group and not is_for_port else name


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


def is_ipv6(host: str) -> bool:
    """Whether a host is an IPv6 literal."""
    try:
        return ip_address(host).version == 6  # noqa: PLR2004 -- IP's version
    except ValueError:
        return False
