"""What this process sees of the host's network: its name, and the addresses that others can reach. An edge."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from pathlib import Path
from typing import Final

from mooring.errors import SettingsError
from mooring_register.addresses.default_routes import DefaultRoute, ipv4_default, ipv6_address, ipv6_default

_TABLES: Final = Path("/proc/thread-self/net")
_SIOCGIFADDR: Final = 0x8915  # linux/sockios.h
_IFNAMSIZ: Final = 16
_ANY_PORT: Final = 9  # nothing is sent there


def host_name() -> str:
    """Return the name of this machine, or of the container that we run in."""
    return socket.gethostname()


def default_source() -> str:
    """Return the address that connections by the default route come from; over IPv6 where IPv4 has none.

    Raises:
        SettingsError: there is no default route, or its interface has no address.
    """
    if (route := ipv4_default(_table("route"))) is not None:
        with contextlib.suppress(OSError):
            return _source(route)
    over_ipv6 = ipv6_default(_table("ipv6_route"))
    if over_ipv6 is not None and (found := ipv6_address(_table("if_inet6"), over_ipv6.interface)):
        return found
    if route is None and over_ipv6 is None:
        raise SettingsError("--ip", "needed: there is no default route to tell it by")
    raise SettingsError("--ip", "needed: the interface of the default route has no address to tell it by")


def interface_address(name: str) -> str:
    """Return the address of a network interface: its IPv4 address, else its IPv6 address.

    Raises:
        SettingsError: there is no such interface, or it has none.
    """
    try:
        return _ipv4_address(name)
    except OSError as error:
        if found := ipv6_address(_table("if_inet6"), name):
            return found
        raise SettingsError("--interface", f"{name!r}: {error.strerror}") from None


def _source(route: DefaultRoute) -> str:
    """Return the address of the interface that is in the gateway's network, if it has several; else its first."""
    if route.gateway:
        # Before Linux 5.7 only root may bind to an interface.
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            # Another interface may have a network with this gateway's address too.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, route.interface.encode())
            probe.connect((route.gateway, _ANY_PORT))
            return str(probe.getsockname()[0])
    return _ipv4_address(route.interface)


def _ipv4_address(interface: str) -> str:
    """Return the first IPv4 address of an interface. Raises OSError if there is none."""
    request = struct.pack("256s", interface.encode()[: _IFNAMSIZ - 1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
    return socket.inet_ntoa(answer[20:24])


def _table(name: str) -> list[str]:
    """Return the lines of one of the kernel's tables; none where the kernel has no such protocol."""
    try:
        return (_TABLES / name).read_text().splitlines()
    except FileNotFoundError:
        return []
