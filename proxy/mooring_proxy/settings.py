"""The settings of `mooring proxy`: how their texts are read, and what of them contradicts itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path

from attrs import frozen

from mooring.model import Address, parse_port
from mooring.selector import Selector, parse_selector
from mooring_proxy.routing import StaticListener


@frozen
class Listen:
    """A `--listen`; without a host of its own it takes that of `--address`."""

    host: str
    port: int
    selector: Selector

    def on(self, address: str) -> StaticListener:
        """Return the listener, for a proxy that listens on that address."""
        return StaticListener(Address(self.host or address, self.port), self.selector)


@frozen(kw_only=True)
class Settings:
    """Everything that the command was told. `catalog` takes the place of `redis`."""

    redis: str
    namespace: str
    catalog: Path | None
    publish: bool
    publish_ports: range
    listen: tuple[Listen, ...]
    address: str
    host: str
    admin: Address | None
    admin_file: Path | None
    drain_seconds: float
    connect_seconds: float
    state_dir: Path | None
    sockets: Path | None


def parse_listen(text: str) -> Listen:
    """Read `[ADDRESS:]PORT=SERVICE[tag,tag]`.

    Raises:
        ValueError: it is not that.
    """
    where, equals, selector = text.partition("=")
    host, _, port = where.rpartition(":")
    if not equals:
        message = f"expected [ADDRESS:]PORT=SERVICE[tag,tag], got {text!r}"
        raise ValueError(message)
    return Listen(parse_host(host) if host else "", parse_port(port), parse_selector(selector))


def parse_host(text: str) -> str:
    """Read an IP address to listen on, an IPv6 one with or without brackets.

    Raises:
        ValueError: it is none.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ip_address(bare))
    except ValueError:
        message = f"expected an IP address to listen on, got {text!r}"
        raise ValueError(message) from None


def parse_ports(text: str) -> range:
    """Read `FIRST-LAST`, both included, or one port.

    Raises:
        ValueError: it is neither, or the last is below the first.
    """
    first, _, last = text.partition("-")
    ports = range(parse_port(first), parse_port(last or first) + 1)
    if not ports:
        message = f"expected FIRST-LAST, got {text!r}"
        raise ValueError(message)
    return ports


def parse_seconds(text: str) -> float:
    """Read a duration in seconds.

    Raises:
        ValueError: it is no number, or below 0.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        message = f"expected seconds, 0 or more, got {text!r}"
        raise ValueError(message)
    return seconds


def twice_listened(listen: Sequence[Listen], address: str) -> Iterator[str]:
    """Yield what is wrong when two `--listen` want one port."""
    seen: dict[Address, Selector] = {}
    for one in listen:
        wanted = one.on(address)
        if wanted.address in seen:
            first = seen[wanted.address]
            yield f"--listen: {wanted.address} is asked for twice, for {first} and for {wanted.selector}"
        seen.setdefault(wanted.address, wanted.selector)
