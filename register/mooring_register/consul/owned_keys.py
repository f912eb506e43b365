"""Keys that the session of a host owns: what they hold, and how one is written and deleted.

A session may have been taken over by another register of the same engine, and then owns what this one wrote. So whoever
writes looks at the host's key first (`ownership.check`), before each batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mooring.consul.keys import Keys, KeyValue, Mismatch
from mooring.errors import SessionLost, Unavailable
from mooring_register.consul.ownership import HeldHost, check

# After so many writes it is looked whether the host is still ours, and whether something newer is wanted.
BATCH: Final = 100


def put_owned(keys: Keys, held: HeldHost, key: str, value: bytes) -> Mismatch | None:
    """Write a key under the session; one that another session owns is left alone.

    Raises:
        DocumentError: Consul takes no such key or value.
        OwnershipLost, SessionLost: the host is not ours any more.
        Unavailable: no answer.
    """
    try:
        return keys.acquire(key, value, held.session)
    except SessionLost:
        check(keys, held)
        raise


def delete_own(keys: Keys, key: str, is_own: Callable[[KeyValue], bool]) -> None:
    """Delete a key if it is one of ours as it is now.

    Raises:
        Unavailable: no answer, or it changed meanwhile: read again.
    """
    found = keys.get(key)
    if found is not None and is_own(found) and keys.delete(key, found.index) is not None:
        raise Unavailable(f"{key} changed while it was deleted")
