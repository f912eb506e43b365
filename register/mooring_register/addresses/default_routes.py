"""Which network interface leads out of this host, and under which address: the kernel's own tables, read. Pure.

The forms are those of Linux: /proc/net/route, /proc/net/ipv6_route and /proc/net/if_inet6 (net/ipv4/fib_trie.c,
net/ipv6/route.c and net/ipv6/addrconf.c). A line that cannot be read is none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from attrs import frozen

_UP: Final = 0x0001  # linux/route.h
_REJECT: Final = 0x0200
_GLOBAL_SCOPE: Final = 0x00
# linux/if_addr.h: temporary (for privacy), failed in the detection of duplicates, deprecated, still tentative.
_NOT_FOR_OTHERS: Final = 0x01 | 0x08 | 0x20 | 0x40


@frozen(order=True)
class DefaultRoute:
    """A way to everywhere. The lowest metric wins, then the interface that is first by name, then the gateway.

    `gateway` is empty where everybody is reached directly, and with IPv6.
    """

    metric: int
    interface: str
    gateway: str = ""


def ipv4_default(table: Iterable[str]) -> DefaultRoute | None:
    """Return the default route in the lines of /proc/net/route."""
    return min(_ipv4_defaults(table), default=None)


def _ipv4_defaults(table: Iterable[str]) -> Iterator[DefaultRoute]:
    for line in table:
        match line.split():
            case [interface, "00000000", gateway, flags, _, _, metric, "00000000", *_] if _leads_somewhere(flags):
                # In the byte order of the machine, as the kernel holds it in the network's.
                number = int.from_bytes(bytes.fromhex(gateway), byteorder=sys.byteorder)
                yield DefaultRoute(int(metric), interface, str(IPv4Address(number)) if number else "")


def ipv6_default(table: Iterable[str]) -> DefaultRoute | None:
    """Return the default route in the lines of /proc/net/ipv6_route."""
    return min(_ipv6_defaults(table), default=None)


def _ipv6_defaults(table: Iterable[str]) -> Iterator[DefaultRoute]:
    anywhere = "0" * 32
    for line in table:
        match line.split():
            case [to, "00", source, "00", _, metric, _, _, flags, interface] if to == source == anywhere:
                # Every machine has one more, that rejects, on the loopback.
                if _leads_somewhere(flags):
                    yield DefaultRoute(int(metric, 16), interface)


def _leads_somewhere(flags: str) -> bool:
    return int(flags, 16) & (_UP | _REJECT) == _UP


def ipv6_address(table: Iterable[str], interface: str) -> str:
    """Return the address by which others reach an interface, in the lines of /proc/net/if_inet6; empty without one.

    The lowest of several, so that one which the whole world can reach comes before a unique local one.
    """
    found = min(_ipv6_addresses(table, interface), default=None)
    return "" if found is None else str(found)


def _ipv6_addresses(table: Iterable[str], interface: str) -> Iterator[IPv6Address]:
    for line in table:
        match line.split():
            case [address, _, _, scope, flags, name] if name == interface:
                if int(scope, 16) == _GLOBAL_SCOPE and not int(flags, 16) & _NOT_FOR_OTHERS:
                    yield IPv6Address(bytes.fromhex(address))
