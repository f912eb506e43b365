"""Wanted against written: which keys to write next, and under which conditions. Pure.

A key that is no longer wanted is first written as `down` with its cause, so that whoever follows the registry knows
why, and deleted afterwards. If we crash in between, the key says `down` and our lease holds it: the successor adopts
it, finds that it is not wanted, and deletes it.

Every change names the revision at which we know the key, so that nothing is overwritten that somebody else wrote.

In a layout that has no room for `down` a key is deleted at once; there values are compared by their bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final

from attrs import evolve, field, frozen

from mooring.etcd.address import DEFAULT_PREFIX
from mooring.etcd.store import At, Delete, Operation, Put
from mooring.model import Instance, State
from mooring_register.deregistration import Failure
from mooring_register.layouts.layout import Layout
from mooring_register.layouts.native import Native
from mooring_register.registrar import Key, Withdrawal
from mooring_register.transactions import transactions_of

_NATIVE: Final = Native(DEFAULT_PREFIX)


@frozen
class Written:
    """What a key holds as far as we know; `instance` is None when it is no document of ours.

    `value` are the bytes themselves, kept only where the layout's values are not whole.
    """

    revision: int
    lease: int
    instance: Instance | None
    value: bytes = b""


@frozen
class Holding:
    """What a registry is known to hold: the instances that it held last, and whether nothing else is wanted since."""

    instances: Mapping[Key, Instance]
    is_all: bool


@frozen
class Wanted:
    """What should be written, by key, and why that which no longer should be is not; `otherwise` where nobody knows.

    `kept` are keys that are left as they are, wanted or not: others need them too. `failures` are containers whose
    instances, wanted no more, stay written as `down`, with the reason.
    """

    instances: Mapping[str, Instance]
    withdrawals: Mapping[str, Withdrawal]
    otherwise: str = "removed"
    layout: Layout = _NATIVE
    kept: frozenset[str] = frozenset()
    failures: Mapping[str, Failure] = field(factory=dict)


@frozen
class Change:
    """One key to write or delete if it is still at that revision. `instance` is what it will hold, None for nothing.

    `value` are the bytes, kept only where the layout's values are not whole.
    """

    operation: Operation
    revision: int
    instance: Instance | None
    value: bytes = b""

    @property
    def key(self) -> str:
        """The key that is changed."""
        return self.operation.key

    @property
    def condition(self) -> At:
        """What must hold for the change to be right."""
        return At(self.key, self.revision)


def plan(wanted: Wanted, written: Mapping[str, Written], lease: int, now: float) -> tuple[tuple[Change, ...], ...]:
    """Return the next transactions; none when everything is as it should be.

    Deletes come only when all that is wanted is written and all that is not is marked. Whoever carries this out asks
    again afterwards. `now` (epoch seconds) is noted in what is written.
    """
    terms = _Terms(wanted.layout, lease, now)
    puts = [*_puts(wanted, written, terms), *_marks(wanted, written, terms)]
    if puts:
        return tuple(_transactions(puts))
    return tuple(_transactions(_deletes(wanted, written)))


@frozen
class _Terms:
    """What all that is put has in common."""

    layout: Layout
    lease: int
    now: float

    def put(self, key: str, instance: Instance, revision: int) -> Change:
        value = self.layout.encode(key, instance, self.now)
        return Change(Put(key, value, self.lease), revision, instance, b"" if self.layout.is_whole else value)


def _puts(wanted: Wanted, written: Mapping[str, Written], terms: _Terms) -> Iterator[Change]:
    for key, instance in wanted.instances.items():
        present = written.get(key)
        if present is None:
            yield terms.put(key, instance, 0)
        elif present.lease != terms.lease or not _is_same(terms.layout, key, instance, present):
            yield terms.put(key, instance, present.revision)


def _is_same(layout: Layout, key: str, wanted: Instance, present: Written) -> bool:
    if not layout.is_whole:
        return layout.encode(key, wanted, 0.0) == present.value
    # What we wrote ourselves is mostly the very value that is wanted, and a comparison of all fields is dear.
    written = present.instance
    return written is not None and (wanted is written or wanted.same_as(written))


def _marks(wanted: Wanted, written: Mapping[str, Written], terms: _Terms) -> Iterator[Change]:
    if not terms.layout.is_whole:
        return
    for key, present in written.items():
        instance = present.instance
        if key in wanted.instances or instance is None or instance.state is State.DOWN:
            continue
        failure = wanted.failures.get(instance.container)
        why = wanted.withdrawals.get(key) or failure or Withdrawal(wanted.otherwise, terms.now)
        down = evolve(instance, state=State.DOWN, cause=why.cause, seen_docker=why.seen)
        yield terms.put(key, down, present.revision)


def _deletes(wanted: Wanted, written: Mapping[str, Written]) -> Iterator[Change]:
    for key, present in written.items():
        instance = present.instance if wanted.layout.is_whole else None
        stays = instance is not None and instance.container in wanted.failures
        if key not in wanted.instances and key not in wanted.kept and not stays:
            yield Change(Delete(key), present.revision, None)


def _transactions(changes: Iterable[Change]) -> Iterator[tuple[Change, ...]]:
    """Cut into transactions; what concerns one container (a rename: old id down, new id up) stays together."""
    ordered = sorted(changes, key=lambda change: (_container(change), change.key))
    return transactions_of([*group] for _, group in groupby(ordered, key=_container))


def _container(change: Change) -> str:
    return change.instance.container if change.instance else ""


def carried_out(written: Mapping[str, Written], changes: Iterable[Change], revision: int) -> dict[str, Written]:
    """Return what is written after these changes were committed at that revision."""
    after = dict(written)
    for change in changes:
        if isinstance(change.operation, Put):
            after[change.key] = Written(revision, change.operation.lease, change.instance, change.value)
        else:
            after.pop(change.key, None)
    return after
