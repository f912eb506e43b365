"""Keys that several hosts need alike, of which an etcd lets only one lease hold each: `/backends/<service>/port`.

The first host writes it under its lease, the others leave it alone while that lease is renewed. Each looks again every
third of the TTL, and takes the key over once more than half of the lease's time has passed: before it ends. A host
that needs it no more leaves it while others do; it goes with that host's lease unless one of them has taken it over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mooring.etcd.store import NO_LEASE, KeyValue, Store
from mooring_register.layouts.layout import Layout


def is_well_held(store: Store, found: KeyValue) -> bool:
    """Whether somebody renews the lease that a key hangs on, or it needs none.

    Raises:
        Unavailable: no answer.
    """
    if found.lease == NO_LEASE:
        return True
    lease = store.lease(found.lease)
    return lease is not None and lease.remaining_seconds * 2 > lease.granted_seconds


def needed_by_others(store: Store, layout: Layout, unwanted: Iterable[str], written: Collection[str]) -> frozenset[str]:
    """Return those of the shared keys that we do not want any more, but that others have something beside.

    `written` is all that is ours.

    Raises:
        Unavailable: no answer.
    """
    shared = (key for key in unwanted if layout.is_shared(key))
    return frozenset(key for key in shared if _has_strangers_beside(store, key, written))


def _has_strangers_beside(store: Store, key: str, written: Collection[str]) -> bool:
    beside = store.list(key.rpartition("/")[0] + "/").items
    return any(one.key not in written for one in beside)
