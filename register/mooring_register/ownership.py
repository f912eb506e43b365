"""Who writes for a host: one key in the registry, attached to the host's lease, and what it takes to hold it.

`/mooring/hosts/<host>` names the Docker engine, the lease and a token. A register of the same engine puts its own token
there and goes on with the lease and its keys; a register of another engine is refused, by name. Every later write holds
the condition that the key still has our very value (`Held.condition`), so that two never write for one host.

The one whose token was replaced stands by: it takes over when the holder is gone, or has not renewed the lease for two
of its turns, which is before the lease expires. Knows nothing of containers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from mooring.documents import canonical
from mooring.errors import DocumentError, LeaseLost, OwnershipLost, Unavailable
from mooring.etcd.store import NO_LEASE, At, Committed, Condition, Delete, Holds, KeyValue, Lease, Put, Refused, Store
from mooring.keys import HOSTS_PREFIX, host_key
from mooring.model import Json
from mooring_register.plan import Change
from mooring_register.transactions import transactions_of


@frozen(kw_only=True)
class Claim:
    """Who wants to write for which host. `engine` names the Docker engine (or the static source) and survives us."""

    host: str
    engine: str
    ttl_seconds: int
    version: str
    started: str


@frozen(kw_only=True)
class HostRecord:
    """What the host's key says. `lease` is written as etcdctl shows it, in hexadecimal; 0 where there are none."""

    engine: str
    lease: int = NO_LEASE
    token: str
    ttl_seconds: int
    version: str = ""
    started: str = ""


@frozen
class Held:
    """A host that is ours: the key, its exact value, and what it says."""

    key: str
    value: bytes
    record: HostRecord

    @property
    def lease(self) -> int:
        """The lease that everything written for this host is attached to."""
        return self.record.lease

    @property
    def condition(self) -> Condition:
        """What must hold for any write to be ours to make."""
        return Holds(self.key, self.value)


def encode_record(record: HostRecord) -> bytes:
    """Return the value of a host's key."""
    document: dict[str, Json] = {
        "engine": record.engine,
        **({"lease": f"{record.lease:x}"} if record.lease else {}),
        "token": record.token,
        "ttl": record.ttl_seconds,
        "version": record.version,
        "started": record.started,
    }
    return canonical(document).encode()


def decode_record(key: str, value: bytes) -> HostRecord:
    """Read the value of a host's key.

    Raises:
        DocumentError: it is none.
    """
    try:
        document = json.loads(value)
        return HostRecord(
            engine=str(document["engine"]),
            lease=int(document.get("lease", "0"), 16),
            token=str(document["token"]),
            ttl_seconds=int(document["ttl"]),
            version=str(document.get("version", "")),
            started=str(document.get("started", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DocumentError(key, f"does not say who writes for the host: {error!r}") from None


def own_record(key: str, value: bytes, claim: Claim) -> HostRecord:
    """Return what the key of a host says that a register of our engine holds.

    Raises:
        OwnershipLost: another engine holds it, or nobody knows who.
    """
    try:
        record = decode_record(key, value)
    except DocumentError as error:
        raise OwnershipLost(str(error)) from None
    if record.engine != claim.engine:
        raise OwnershipLost(
            f"host {claim.host!r} is held by engine {record.engine}, ours is {claim.engine}: "
            "give this one another --host, or wait until the other is gone"
        )
    return record


# A holder that lives renews every third of the TTL, so at least two thirds always remain.
_MISSED: Final = 3


def leave_to_holder(record: HostRecord, claim: Claim, token: str, remaining_seconds: float) -> None:
    """Stand by while another register of our engine holds the host and lives; one with our token is ourselves.

    Raises:
        OwnershipLost: it lives.
    """
    if record.token != token and remaining_seconds * _MISSED > record.ttl_seconds:
        raise OwnershipLost(f"another register of this engine writes for host {claim.host!r} since {record.started}")


def record_of(claim: Claim, token: str, lease: int = NO_LEASE) -> HostRecord:
    """Return what the key of a host says that is ours."""
    return HostRecord(
        engine=claim.engine,
        lease=lease,
        token=token,
        ttl_seconds=claim.ttl_seconds,
        version=claim.version,
        started=claim.started,
    )


def take(store: Store, claim: Claim, token: str, *, stands_by: bool) -> Held:
    """Return the host as ours: new, or adopted from an earlier register of the same engine.

    `stands_by` says that we were fenced out: then a holder of the same engine that lives is left alone, unless it has
    our token: that is ourselves, at an attempt whose answer was lost. Keys that the earlier one wrote under another TTL
    than ours have been moved to a lease of ours, unchanged.

    Raises:
        OwnershipLost: another engine holds the host, or (standing by) another register of this one.
        Unavailable: no answer, or somebody was faster: try again.
    """
    found = store.get(host_key(claim.host))
    if found is None:
        return _grant(store, claim, token, At(host_key(claim.host), 0))
    record = own_record(found.key, found.value, claim)
    lease = store.lease(record.lease)
    if lease is None:
        return _grant(store, claim, token, Holds(found.key, found.value))
    if stands_by:
        leave_to_holder(record, claim, token, lease.remaining_seconds)
    if record.ttl_seconds != claim.ttl_seconds:
        return _move(store, claim, token, found, lease)
    held = _held(claim, token, record.lease)
    _swear_in(store, held, Holds(found.key, found.value))
    return held


def _held(claim: Claim, token: str, lease: int) -> Held:
    record = record_of(claim, token, lease)
    return Held(host_key(claim.host), encode_record(record), record)


def _swear_in(store: Store, held: Held, condition: Condition) -> None:
    answer = store.commit((condition,), (Put(held.key, held.value, held.lease),))
    if not isinstance(answer, Committed):
        raise Unavailable(f"{held.key} changed while it was taken")


def _grant(store: Store, claim: Claim, token: str, condition: Condition) -> Held:
    held = _held(claim, token, store.grant(claim.ttl_seconds))
    try:
        _swear_in(store, held, condition)
    except Unavailable:
        # If we crash here the lease has no keys, or ours, and ends by itself.
        _revoke_if_empty(store, held.lease)
        raise
    return held


def _move(store: Store, claim: Claim, token: str, found: KeyValue, old: Lease) -> Held:
    """Take over with a lease of another TTL, and attach the keys to it as they are.

    If we crash in between, the keys that were left behind expire with the old lease, and the successor writes them.
    """
    held = _grant(store, claim, token, Holds(found.key, found.value))
    present = [store.get(key) for key in old.keys if key != held.key]
    moving = [one for one in present if one is not None and one.lease == old.id]
    changes = [Change(Put(one.key, one.value, held.lease), one.revision, None) for one in moving]
    for batch in transactions_of((change,) for change in changes):
        conditions = (held.condition, *(change.condition for change in batch))
        # Refused means that somebody touched one of them: it will be written anew, as all that is wanted and missing.
        store.commit(conditions, tuple(change.operation for change in batch))
    _revoke_if_empty(store, old.id)
    return held


def _revoke_if_empty(store: Store, lease_id: int) -> None:
    lease = store.lease(lease_id)
    if lease is not None and not lease.keys:
        store.revoke(lease_id)


def present_while_held(held: Held, refused: Refused) -> Mapping[str, KeyValue]:
    """Return what the keys of a refused transaction hold, after making sure that the host is still ours.

    Raises:
        LeaseLost, OwnershipLost: it is not.
    """
    present = {found.key: found for found in refused.present}
    owner = present.get(held.key)
    if owner is None:
        raise LeaseLost(held.lease)
    if owner.value != held.value:
        raise OwnershipLost(f"another register took {held.key}")
    return present


def attached(store: Store, held: Held) -> Mapping[str, KeyValue]:
    """Return the keys that are attached to the host's lease, but for the host's own.

    Only they are read: what other hosts have written may be a hundred times as much.

    Raises:
        Unavailable: no answer.
    """
    lease = store.lease(held.lease)
    keys = set(lease.keys) - {held.key} if lease is not None else set()
    return {found.key: found for found in store.read(keys)} if keys else {}


def holder_of(store: Store, lease: int) -> str:
    """Return the key of the host that holds this lease, or nothing: whose a key is whose value does not say.

    Raises:
        Unavailable: no answer.
    """
    for found in store.list(HOSTS_PREFIX).items:
        if found.lease == lease:
            return found.key
    return ""


def retire(store: Store, held: Held) -> None:
    """Give the host up: end the lease, once nothing but the host's own key is attached to it.

    Raises:
        OwnershipLost: it was not ours any more.
        Unavailable: no answer.
    """
    lease = store.lease(held.lease)
    if lease is None or set(lease.keys) - {held.key}:
        return
    answer = store.commit((held.condition,), (Delete(held.key),))
    # When the key is not there at all, it was us, at an attempt whose answer was lost.
    if isinstance(answer, Refused) and answer.present:
        raise OwnershipLost(f"{held.key} no longer names us")
    store.revoke(held.lease)
