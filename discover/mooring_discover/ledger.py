"""Which key of a registry holds which record, under which lease; what a listing and changes say, as observations.

Pure: whether a lease is alive is asked by the caller. A document that cannot be read is a `Problem`, told once, and
changes nothing else: the record that its key held before stands. A record that two keys hold belongs to the one that
was written last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TypeGuard

from attrs import frozen

from mooring.errors import InvalidInput
from mooring.etcd.store import NO_LEASE, Change, KeyValue, Listing, Removed
from mooring.model import Instance, State
from mooring_discover.layout import Held, Host, Layout
from mooring_discover.observations import Gone, HostGone, HostSeen, Key, Observation, Record, Seen, Sighting, Withdrawn


@frozen
class Problem:
    """A key whose document cannot be read, and why."""

    path: str
    reason: str


@frozen
class Reading:
    """What a listing or changes said, and what of it could not be read and was not told before."""

    observations: tuple[Observation, ...] = ()
    problems: tuple[Problem, ...] = ()


@frozen
class _Holding:
    key: Key
    lease: int


class Ledger:
    """What is known of the keys of one layout in one registry. Belongs to one thread."""

    def __init__(self, source: str, layout: Layout) -> None:
        self._source = source
        self._layout = layout
        self._holdings: dict[str, _Holding] = {}
        self._owners: dict[Key, str] = {}
        self._broken: dict[str, str] = {}

    @property
    def broken(self) -> dict[str, str]:
        """Return the keys whose documents cannot be read, with the reasons. May be asked from any thread."""
        return dict(self._broken)

    def leases_of(self, changes: Iterable[Change]) -> frozenset[int]:
        """Return the leases of what these changes remove: whether each is alive tells an expiry from a deletion."""
        held = (self._holdings.get(change.key) for change in changes if isinstance(change, Removed))
        return frozenset(holding.lease for holding in held if holding and holding.lease != NO_LEASE)

    def changed(self, changes: Iterable[Change], at: float, leases_gone: Collection[int]) -> Reading:
        """Return what changes say, in their order."""
        observations: list[Observation] = []
        problems: list[Problem] = []
        for change in changes:
            if isinstance(change, Removed):
                observations += self._removed(change, at, leases_gone)
                continue
            held = self._read(change, problems)
            if held is not None:
                observations += self._put(change, held, at)
        return Reading(tuple(observations), tuple(problems))

    def listed(self, listing: Listing, at: float) -> Reading:
        """Return what a listing says: one `Listed` with the parts that the layout has."""
        before, self._holdings, self._owners = self._holdings, {}, {}
        present = {item.key for item in listing.items}
        self._broken = {path: reason for path, reason in self._broken.items() if path in present}
        problems: list[Problem] = []
        holds: list[Held] = []
        for item in sorted(listing.items, key=lambda item: item.revision):
            held = self._read(item, problems)
            if held is not None:
                holds.append(held)
                self._hold(item, held)
            elif item.key in before and item.key in self._broken:
                self._holdings[item.key] = before[item.key]
                self._owners.setdefault(before[item.key].key, item.key)
        revision, unreadable = str(listing.revision), frozenset(self._broken)
        composed = self._layout.compose(self._source, revision, at, holds, unreadable)
        return Reading((composed,), tuple(problems))

    def _read(self, item: KeyValue, problems: list[Problem]) -> Held | None:
        try:
            held = self._layout.read(item)
        except InvalidInput as error:
            if self._broken.get(item.key) != str(error):
                self._broken[item.key] = str(error)
                problems.append(Problem(item.key, str(error)))
            return None
        self._broken.pop(item.key, None)
        return held

    def _hold(self, item: KeyValue, held: Held) -> None:
        if not isinstance(held, Host) and not _is_down(held):
            self._holdings[item.key] = _Holding(held.key, item.lease)
            self._owners[held.key] = item.key

    def _put(self, item: KeyValue, held: Held, at: float) -> Iterator[Observation]:
        revision = str(item.revision)
        if isinstance(held, Host):
            yield HostSeen(self._source, at, held.name)
            return
        former = self._holdings.get(item.key)
        if former is not None and former.key != held.key:
            yield from self._let_go(item.key, revision, at, expired=False)
        if not _is_down(held):
            self._hold(item, held)
            yield Seen(self._source, revision, at, held)
        elif self._owners.get(held.key, item.key) == item.key:
            # The key itself is deleted in a moment, and that will say nothing new.
            self._holdings.pop(item.key, None)
            self._owners.pop(held.key, None)
            yield Withdrawn(self._source, revision, at, held.key, held.cause, Sighting.of(held))

    def _removed(self, change: Removed, at: float, leases_gone: Collection[int]) -> Iterator[Observation]:
        was_broken = self._broken.pop(change.key, None) is not None
        name = self._layout.name(change.key)
        holding = self._holdings.get(change.key)
        if isinstance(name, Host):
            yield HostGone(self._source, at, name.name)
        elif holding is not None:
            yield from self._let_go(change.key, str(change.revision), at, expired=holding.lease in leases_gone)
        elif was_broken and name is not None:
            # What an earlier discover had read there, if anything, stood until now.
            yield Gone(self._source, str(change.revision), at, name, expired=False)

    def _let_go(self, path: str, revision: str, at: float, *, expired: bool) -> Iterator[Observation]:
        key = self._holdings.pop(path).key
        if self._owners.get(key) == path:
            del self._owners[key]
            yield Gone(self._source, revision, at, key, expired)


def _is_down(record: Record) -> TypeGuard[Instance]:
    return isinstance(record, Instance) and record.state is State.DOWN
