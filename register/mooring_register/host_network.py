"""What this process sees of the host's network: its name, and the addresses that others can reach. An edge."""

from __future__ import annotations

import fcntl
import socket
import struct
from typing import Final

from mooring.errors import SettingsError

# RFC 5737: belongs to nobody, so that asking the kernel for the way there gives the default route. Nothing is sent.
_ELSEWHERE: Final = ("198.51.100.1", 9)
_SIOCGIFADDR: Final = 0x8915  # linux/sockios.h
_IFNAMSIZ: Final = 16


def host_name() -> str:
    """Return the name of this machine, or of the container that we run in."""
    return socket.gethostname()


def default_source() -> str:
    """Return the address that connections by the default route come from.

    Raises:
        SettingsError: there is no default route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError as error:
            raise SettingsError("--ip", f"needed: there is no default route to tell it by ({error.strerror})") from None
        return str(probe.getsockname()[0])


def interface_address(name: str) -> str:
    """Return the IPv4 address of a network interface.

    Raises:
        SettingsError: there is no such interface, or it has none.
    """
    request = struct.pack("256s", name.encode()[: _IFNAMSIZ - 1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
        except OSError as error:
            raise SettingsError("--interface", f"{name!r}: {error.strerror}") from None
    return socket.inet_ntoa(answer[20:24])
