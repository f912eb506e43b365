"""The right to listen on ports below 1024, for a proxy that is not root: Linux's capability NET_BIND_SERVICE.

The image's interpreter has it as a *permitted* capability of its file. What is permitted takes effect when the program
says so, see capabilities(7); an interpreter with an *effective* one could not be started at all in a container that is
not given the capability. With `no-new-privileges` nothing is permitted by a file.
"""

from __future__ import annotations

import ctypes
from typing import Final

_VERSION_3: Final = 0x20080522
_NET_BIND_SERVICE: Final = 1 << 10
_EFFECTIVE, _PERMITTED = 0, 1  # of the six words: effective, permitted, inheritable, and the high halves of these


def allow_low_ports() -> None:
    """Let this thread, and those that it starts, listen on ports below 1024, if that is permitted.

    If it is not, nothing changes: who listens there is refused as before, and that is told where it happens.
    """
    system = ctypes.CDLL(None)
    header, words = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if system.capget(header, words) == 0:
        words[_EFFECTIVE] |= words[_PERMITTED] & _NET_BIND_SERVICE
        system.capset(header, words)
