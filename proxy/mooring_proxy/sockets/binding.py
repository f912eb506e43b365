"""Listening sockets: to make one, and to know one that was handed over."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from typing import Final

from mooring.model import Address

# As many clients as the kernel lets wait (net.core.somaxconn is 4096 as a rule): at 500 a second, some eight seconds.
BACKLOG: Final = 4096


def bind(address: Address) -> socket.socket:
    """Return a socket that listens on an IP address and does not block.

    Raises:
        OSError: somebody else has it, we may not, or it is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    made.setblocking(False)
    return made


def taken_over(descriptor: int, address: Address) -> socket.socket:
    """Return the socket of a descriptor that was handed to us for an address; it is closed if it is something else.

    A sender that closes a descriptor before the kernel took it sends whatever got its number next.

    Raises:
        OSError: it is no socket.
        ValueError: it does not listen, or listens elsewhere.
    """
    try:
        given = socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        raise
    with given:
        if not given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) or not _is_at(given, address):
            message = f"the descriptor that was handed over for {address} does not listen there"
            raise ValueError(message)
        return socket.socket(fileno=given.detach())


def is_same(one: socket.socket, other: socket.socket) -> bool:
    """Tell whether two descriptors are one socket, with one queue."""
    return os.fstat(one.fileno()).st_ino == os.fstat(other.fileno()).st_ino


def _is_at(listening: socket.socket, address: Address) -> bool:
    host, port = listening.getsockname()[:2]
    # A link-local address comes back without the name of its interface.
    bare = [ip_address(one.partition("%")[0]) for one in (host, address.host)]
    return bare[0] == bare[1] and port == address.port
