"""The twin of etcd in this process: the same revisions, leases, transactions and watches, and no server.

Held to `client.EtcdStore` by tests/contract/test_store.py. Time stands still unless the clock that was passed in moves,
or `advance` moves it; what a real store may suffer is done to this one by `fail`, `recover`, `compact` and `replace`.

All state lies under one condition variable; a watch waits on it, in whichever thread iterates.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Condition as Signal

from attrs import evolve, frozen

from mooring.errors import LeaseLost, StartOver, Unavailable
from mooring.etcd.store import (
    LEAST_TTL_SECONDS,
    NO_LEASE,
    At,
    Change,
    Committed,
    Condition,
    Delete,
    Holds,
    KeyValue,
    Lease,
    Listing,
    Operation,
    Put,
    Refused,
    Removed,
    Watch,
    check_transaction,
)


@frozen
class _Granted:
    ttl_seconds: int
    until: float


class MemoryStore:
    """A `Store` that holds everything in this process. Safe to use from several threads."""

    def __init__(self, now: Callable[[], float] = lambda: 0.0) -> None:
        """Begin empty, at revision 1 as etcd does; `now` gives seconds from any beginning."""
        self._now = now
        self._advanced_seconds = 0.0
        self._signal = Signal()
        self._lease_ids = itertools.count(0x694D_0000_0001)
        self._failure = ""
        self._connection = 0  # another number: whoever watched before was cut off
        self._closings = 0
        self._empty()

    def _empty(self) -> None:
        self._revision = 1
        self._first_kept = 2  # the revision that stands first in the history
        self._history: list[tuple[Change, ...]] = []
        self._items: dict[str, KeyValue] = {}
        self._leases: dict[int, _Granted] = {}

    # What a store does

    def list(self, prefix: str) -> Listing:
        """See `Store.list`."""
        with self._reached():
            found = sorted((item for key, item in self._items.items() if key.startswith(prefix)), key=lambda kv: kv.key)
            return Listing(self._revision, tuple(found))

    def get(self, key: str) -> KeyValue | None:
        """See `Store.get`."""
        with self._reached():
            return self._items.get(key)

    def read(self, keys: Collection[str]) -> tuple[KeyValue, ...]:
        """See `Store.read`."""
        with self._reached():
            return tuple(self._items[key] for key in sorted(set(keys)) if key in self._items)

    def watch(self, prefix: str, after: int) -> Watch:
        """See `Store.watch`."""
        return _MemoryWatch(partial(self._follow, prefix, max(after, 1), self._closings), self._wake)

    def commit(self, conditions: tuple[Condition, ...], operations: tuple[Operation, ...]) -> Committed | Refused:
        """See `Store.commit`."""
        check_transaction(conditions, operations)
        with self._reached():
            if not all(self._is_met(condition) for condition in conditions):
                keys = dict.fromkeys(condition.key for condition in conditions)
                return Refused(tuple(self._items[key] for key in keys if key in self._items))
            for operation in operations:
                if isinstance(operation, Put) and operation.lease not in (NO_LEASE, *self._leases):
                    raise LeaseLost(operation.lease)
            self._carry_out(operations)
            return Committed(self._revision)

    def grant(self, ttl_seconds: int) -> int:
        """See `Store.grant`."""
        with self._reached():
            lease, ttl_seconds = next(self._lease_ids), max(ttl_seconds, LEAST_TTL_SECONDS)
            self._leases[lease] = _Granted(ttl_seconds, self._time() + ttl_seconds)
            return lease

    def keep_alive(self, lease: int) -> int:
        """See `Store.keep_alive`."""
        with self._reached():
            granted = self._leases.get(lease)
            if granted is None:
                raise LeaseLost(lease)
            self._leases[lease] = evolve(granted, until=self._time() + granted.ttl_seconds)
            return granted.ttl_seconds

    def lease(self, lease: int) -> Lease | None:
        """See `Store.lease`."""
        with self._reached():
            granted = self._leases.get(lease)
            if granted is None:
                return None
            return Lease(lease, granted.ttl_seconds, int(granted.until - self._time()), self._keys_of(lease))

    def revoke(self, lease: int) -> None:
        """See `Store.revoke`."""
        with self._reached():
            self._end(lease)

    def close(self) -> None:
        """End the watches that there are. The twin has no connection to let go of and can still be used."""
        with self._signal:
            self._closings += 1
            self._signal.notify_all()

    # What happens to a store

    def advance(self, seconds: float) -> None:
        """Let time pass, on top of what the clock says; leases that are due expire."""
        with self._signal:
            self._advanced_seconds += seconds
            self._expire()

    def expire(self) -> None:
        """Look at the clock; leases that are due expire. Every call of a store's own method does this first."""
        with self._signal:
            self._expire()

    def compact(self, revision: int | None = None) -> None:
        """Forget the history up to a revision (the present one unless given); who follows from before starts over."""
        with self._signal:
            first_kept = 1 + (self._revision if revision is None else min(revision, self._revision))
            if first_kept > self._first_kept:
                del self._history[: first_kept - self._first_kept]
                self._first_kept = first_kept

    def fail(self, reason: str = "connection refused") -> None:
        """Be out of reach until `recover`. Leases run on meanwhile."""
        with self._signal:
            self._failure = reason
            self._cut_off()

    def recover(self) -> None:
        """Be within reach again."""
        with self._signal:
            self._failure = ""

    def replace(self) -> None:
        """Be another, empty store at the same address; who was connected is cut off."""
        with self._signal:
            self._empty()
            self._cut_off()

    # Below, the condition variable is held.

    @contextmanager
    def _reached(self) -> Iterator[None]:
        with self._signal:
            if self._failure:
                raise Unavailable(self._failure)
            self._expire()
            yield

    def _time(self) -> float:
        return self._now() + self._advanced_seconds

    def _cut_off(self) -> None:
        self._connection += 1
        self._signal.notify_all()

    def _is_met(self, condition: Condition) -> bool:
        item = self._items.get(condition.key)
        match condition:
            case Holds(_, value):
                return item is not None and item.value == value
            case At(_, revision):
                return (item.revision if item else 0) == revision

    def _carry_out(self, operations: tuple[Operation, ...]) -> None:
        """Apply operations as one revision; when nothing changes there is none, as in etcd."""
        revision = self._revision + 1
        changes: list[Change] = []
        for operation in operations:
            match operation:
                case Put(key, value, lease):
                    self._items[key] = KeyValue(key, value, revision, lease)
                    changes.append(self._items[key])
                case Delete(key):
                    if self._items.pop(key, None) is not None:
                        changes.append(Removed(key, revision))
        if changes:
            self._revision = revision
            self._history.append(tuple(changes))
            self._signal.notify_all()

    def _keys_of(self, lease: int) -> tuple[str, ...]:
        return tuple(sorted(key for key, item in self._items.items() if item.lease == lease))

    def _end(self, lease: int) -> None:
        if self._leases.pop(lease, None) is not None:
            self._carry_out(tuple(Delete(key) for key in self._keys_of(lease)))

    def _expire(self) -> None:
        now = self._time()
        for lease in [lease for lease, granted in self._leases.items() if granted.until <= now]:
            self._end(lease)

    # What a watch does, in the thread that iterates over it

    def _wake(self) -> None:
        with self._signal:
            self._signal.notify_all()

    def _follow(
        self, prefix: str, cursor: int, closings: int, cancelled: Callable[[], bool]
    ) -> Iterator[tuple[Change, ...]]:
        with self._reached():
            connection = self._connection
            if cancelled():
                return
            if cursor > self._revision:
                raise StartOver(f"revision {cursor} is asked for, the store is at {self._revision}: it was replaced")
            self._changes_after(cursor)
        changes: tuple[Change, ...] | None = ()
        # A batch is handed over without the lock, so that whoever takes its time holds up nobody.
        while changes is not None:
            mine = tuple(change for change in changes if change.key.startswith(prefix))
            if mine or not changes:
                yield mine
            changes = self._next_changes(cursor, connection, lambda: cancelled() or self._closings != closings)
            cursor += 1

    def _next_changes(self, cursor: int, connection: int, ended: Callable[[], bool]) -> tuple[Change, ...] | None:
        """Wait for the changes of the revision after the cursor; None when the watch has ended."""
        with self._signal:
            while not ended():
                if self._connection != connection:
                    raise Unavailable(self._failure or "connection lost")
                changes = self._changes_after(cursor)
                if changes:
                    return changes
                self._signal.wait()
            return None

    def _changes_after(self, revision: int) -> tuple[Change, ...]:
        """Return the changes of the next revision; none when that is still to come."""
        if revision + 1 < self._first_kept:
            raise StartOver(f"revision {revision} is compacted, {self._first_kept} is the first that is kept")
        index = revision + 1 - self._first_kept
        return self._history[index] if index < len(self._history) else ()


class _MemoryWatch:
    """A `Watch` of a `MemoryStore`: `follow` iterates until its argument says that it was cancelled."""

    def __init__(
        self, follow: Callable[[Callable[[], bool]], Iterator[tuple[Change, ...]]], wake: Callable[[], None]
    ) -> None:
        self._follow = follow
        self._wake = wake
        self._cancelled = False

    def __iter__(self) -> Iterator[tuple[Change, ...]]:
        """See `Watch`."""
        return self._follow(lambda: self._cancelled)

    def cancel(self) -> None:
        """See `Watch.cancel`."""
        self._cancelled = True
        self._wake()
