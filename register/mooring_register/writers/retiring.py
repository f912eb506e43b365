"""Gives a host up in all of its registries at the end, each on its own: one that does not answer keeps no other."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from mooring.errors import OwnershipLost, Unavailable
from mooring.telemetry import get_logger
from mooring_register.writers.writer import RegistryWriter

log = get_logger()

_AGAIN_SECONDS: Final = 0.1


def retire_all(writers: Iterable[RegistryWriter], seconds: float) -> bool:
    """Let each writer retire, after everything was withdrawn; False when a registry did not answer for so long."""
    until = time.monotonic() + seconds
    left = list(writers)
    while left := [one for one in left if not _is_retired(one)]:
        if time.monotonic() + _AGAIN_SECONDS > until:
            log.warning("the host could not be given up", registries=[one.registry for one in left])
            return False
        time.sleep(_AGAIN_SECONDS)
    return True


def _is_retired(writer: RegistryWriter) -> bool:
    try:
        writer.retire()
    except Unavailable:
        return False
    except OwnershipLost as error:
        log.warning("the host is left to another register", registry=writer.registry, reason=str(error))
    return True
