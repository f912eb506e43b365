"""The values that everything is about: addresses, instances, bindings. Frozen; they know nothing of where they live.

An `Instance` is the same value in a registry's document, in an entry of the stream and in a proxy's table.
What makes two of them "the same" is decided here, once: see `Instance.same_as`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address
from operator import attrgetter
from typing import TypeAlias

import attrs
from attrs import field, frozen

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

DEFAULT_WEIGHT = 100
PROXY_KIND = "proxy"


class State(StrEnum):
    """What may be sent to an instance. `SUSPECT` is said by discover alone, the others by who registered it."""

    STARTING = "starting"
    UP = "up"
    DRAINING = "draining"
    DOWN = "down"
    SUSPECT = "suspect"


@frozen(order=True)
class Address:
    """Where to connect: a host (name or IP literal, without brackets), a port, and `tcp` or `udp`."""

    host: str
    port: int
    proto: str = "tcp"

    def __str__(self) -> str:
        """Return `host:port`, an IPv6 literal in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this very host can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


_ADDRESS = re.compile(r"(?:\[(?P<six>[^\[\]]*:[^\[\]]*)\]|(?P<host>[^\[\]:]+)):(?P<port>[0-9]{1,5})")
_PORT = re.compile(r"[0-9]{1,5}")
_HOST_NAME = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(?:%[\w.-]+)?")


def parse_address(text: str, proto: str = "tcp") -> Address:
    """Read `host:port` or `[v6]:port`.

    Raises:
        ValueError: it is neither, or the port is not within 1–65535.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None:
        message = f"expected HOST:PORT, got {text!r}"
        raise ValueError(message)
    return Address(check_host(found["six"] or found["host"]), parse_port(found["port"]), proto)


def check_host(text: str) -> str:
    """Return a host name or an IP literal (without brackets) unchanged.

    Hosts end up in the configuration of other programs: one that holds a space or a line's end must not get there.

    Raises:
        ValueError: it is neither.
    """
    is_host = _is_ipv6(text) if ":" in text else _HOST_NAME.fullmatch(text) is not None
    if not is_host:
        message = f"expected a host name or an IP address, got {text!r}"
        raise ValueError(message)
    return text


def _is_ipv6(text: str) -> bool:
    if _IPV6.fullmatch(text) is None:
        return False
    try:
        return ip_address(text).version == 6  # noqa: PLR2004 -- the name of the protocol
    except ValueError:
        return False


def parse_port(text: str) -> int:
    """Read a port number.

    Raises:
        ValueError: it is not a number within 1–65535.
    """
    if _PORT.fullmatch(text) is None or not 0 < int(text) <= 65535:  # noqa: PLR2004 -- the largest 16-bit port
        message = f"expected a port within 1–65535, got {text!r}"
        raise ValueError(message)
    return int(text)


@frozen(kw_only=True)
class Instance:
    """One reachable port of one container (or task).

    `address` is where to connect, `port` what the container itself listens on, `publish` the port that its service
    asks for on the proxies. `path` is the whole registry key it was found under. Times are epoch seconds.
    `http` has `path`, `hosts`, `strip` and `ignore_case`, as far as they were said.
    `kind` is `proxy` for one of our own, which no proxy routes to; `zone` is where it runs: near ones may be preferred.
    `extra` keeps the unknown fields of a document, so that a later Mooring's words survive an earlier one's hands.
    """

    service: str
    id: str
    address: Address
    state: State = State.UP
    cause: str = ""
    port: int | None = None
    publish: int | None = None
    container_address: str = ""
    weight: int = DEFAULT_WEIGHT
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(factory=dict)
    checks: Mapping[str, str] = field(factory=dict)
    http: Mapping[str, Json] = field(factory=dict)
    kind: str = ""
    zone: str = ""
    host: str = ""
    container: str = ""
    name: str = ""
    image: str = ""
    health: str = ""
    started: str = ""
    path: str = ""
    seen_docker: float | None = None
    seen_registry: float | None = None
    extra: Mapping[str, Json] = field(factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What names an instance in a catalog: (service, id)."""
        return self.service, self.id

    def same_as(self, other: Instance) -> bool:
        """Whether nothing changed but the reason and the times of the sighting (DESIGN §4).

        This is the rule that makes an unchanged container cost no write and no fact.
        """
        return _essence(self) == _essence(other)


_SIGHTING = frozenset({"cause", "seen_docker", "seen_registry"})
_essence = attrgetter(*(field.name for field in attrs.fields(Instance) if field.name not in _SIGHTING))


@frozen(kw_only=True)
class Binding:
    """A consumer's wish: "my port `port` is `service`". `key` is `<host>/<container id>/<NAME>`."""

    key: str
    service: str
    port: int
    proto: str = "tcp"
    tags: tuple[str, ...] = ()
    options: Mapping[str, str] = field(factory=dict)
    addresses: tuple[str, ...] = ()
    host: str = ""
    container: str = ""
