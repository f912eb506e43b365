"""The seam to etcd: what Mooring asks of a store, as values and one protocol. No gRPC here.

Two providers, held to one contract (tests/contract/test_store.py): `client.EtcdStore` over a real etcd, and
`memory.MemoryStore`, its twin in this process.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, Protocol, TypeAlias

from attrs import frozen

NO_LEASE: Final = 0

# What an etcd accepts unless it is told otherwise (--max-txn-ops); above it the whole transaction is an error.
MOST_OPERATIONS: Final = 128

# An etcd grants no shorter lease than one and a half times its election timeout, rounded up.
LEAST_TTL_SECONDS: Final = 2


@frozen
class KeyValue:
    """One key as the store holds it; `revision` is that of its last change, `lease` is 0 when it has none."""

    key: str
    value: bytes
    revision: int
    lease: int = NO_LEASE


@frozen
class Listing:
    """Everything below a prefix at one revision; a watch after that revision continues it without a hole."""

    revision: int
    items: tuple[KeyValue, ...]


@frozen
class Removed:
    """A key was deleted, or expired with its lease; which of the two only the lease can tell."""

    key: str
    revision: int


Change: TypeAlias = KeyValue | Removed


@frozen
class Put:
    """Write a key, attached to a lease unless that is 0."""

    key: str
    value: bytes
    lease: int = NO_LEASE


@frozen
class Delete:
    """Remove a key; nothing happens when it is not there."""

    key: str


Operation: TypeAlias = Put | Delete


@frozen
class Holds:
    """Condition: the key holds exactly this value."""

    key: str
    value: bytes


@frozen
class At:
    """Condition: the key was last changed at this revision; 0 says that it must not exist."""

    key: str
    revision: int


Condition: TypeAlias = Holds | At


@frozen
class Committed:
    """All operations were carried out, at this revision."""

    revision: int


@frozen
class Refused:
    """A condition did not hold, nothing was carried out. `present` is what the conditions' keys hold instead."""

    present: tuple[KeyValue, ...]


def check_transaction(conditions: tuple[Condition, ...], operations: tuple[Operation, ...]) -> None:
    """Refuse what no store would carry out, the same way whatever the store.

    Raises:
        ValueError: there are too many conditions or operations, or a key is named by two operations.
    """
    for name, parts in (("conditions", conditions), ("operations", operations)):
        if len(parts) > MOST_OPERATIONS:
            raise ValueError(f"{len(parts)} {name} in a transaction, {MOST_OPERATIONS} are possible")
    keys = [operation.key for operation in operations]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice} is named by two operations of a transaction")


@frozen
class Lease:
    """A lease that is alive, and the keys attached to it."""

    id: int
    granted_seconds: int
    remaining_seconds: int
    keys: tuple[str, ...]


class Watch(Protocol):
    """Changes below a prefix, in order, as they come."""

    def __iter__(self) -> Iterator[tuple[Change, ...]]:
        """Iterate over batches of changes; an empty batch says only that the watch was established or is alive.

        The first batch is always that empty one: whoever waits for it knows that from here on nothing is missed.
        Ends silently after `cancel`.

        Raises:
            StartOver: the revision to follow from is compacted, or the store is not the one that was listed.
            Unavailable: the store does not answer; the same revision may be asked for again.
        """

    def cancel(self) -> None:
        """End the iteration, from any thread; harmless when it has ended."""


class Store(Protocol):
    """A key-value store with revisions, leases and guarded transactions. Safe to use from several threads.

    Every method raises `Unavailable` when the store does not answer within a few seconds.
    """

    def list(self, prefix: str) -> Listing:
        """Return everything whose key begins with `prefix`, at one revision, however much it is."""

    def get(self, key: str) -> KeyValue | None:
        """Return one key, or None."""

    def read(self, keys: Collection[str]) -> tuple[KeyValue, ...]:
        """Return those of these keys that there are, however many; more than a hundred are not read at one moment."""

    def watch(self, prefix: str, after: int) -> Watch:
        """Return the changes below `prefix` after that revision."""

    def commit(self, conditions: tuple[Condition, ...], operations: tuple[Operation, ...]) -> Committed | Refused:
        """Carry out all operations at once if every condition holds; no key may be named by two operations.

        Raises:
            LeaseLost: an operation names a lease that is gone; nothing was carried out.
            ValueError: `check_transaction` refuses it.
        """

    def grant(self, ttl_seconds: int) -> int:
        """Return the id of a new lease, which the store chooses; it may grant more seconds than it was asked for."""

    def keep_alive(self, lease: int) -> int:
        """Renew a lease and return the seconds that it now has.

        Raises:
            LeaseLost: it is gone.
        """

    def lease(self, lease: int) -> Lease | None:
        """Return a lease and its keys, or None when it is gone."""

    def revoke(self, lease: int) -> None:
        """End a lease; its keys go with it. Harmless when it is gone."""

    def close(self) -> None:
        """Let go of connections; watches end."""
