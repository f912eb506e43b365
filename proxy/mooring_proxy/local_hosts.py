"""The edge that knows which addresses are this machine's own."""

from __future__ import annotations

import socket
from functools import lru_cache


@lru_cache(maxsize=4096)
def is_local(host: str) -> bool:
    """Whether this machine has that IP address. A name, which is not looked up, counts as elsewhere."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            socket.inet_pton(family, host)
            # Only an address of our own can be bound to.
            probe.bind((host, 0))
    except OSError:
        return False
    return True
