"""Wanted bindings against written ones: which keys to write and to delete, and under which conditions. Pure.

A binding has no state to mark: when it is wanted no more its key is deleted at once. That comes first, in the same
transaction if there is room: another consumer may have got the address meanwhile, and one port of it has one service.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import frozen

from mooring.documents import encode_binding
from mooring.etcd.store import At, Delete, Operation, Put
from mooring.keys import BINDINGS_PREFIX
from mooring.model import Binding
from mooring_register.transactions import transactions_of


@frozen
class WrittenBinding:
    """What a key holds as far as we know; `binding` is None when it is no document of ours."""

    revision: int
    lease: int
    binding: Binding | None


@frozen
class BindingChange:
    """One key to write or delete if it is still at that revision. `binding` is what it will hold, None for nothing."""

    operation: Operation
    revision: int
    binding: Binding | None

    @property
    def key(self) -> str:
        """The key that is changed."""
        return self.operation.key

    @property
    def condition(self) -> At:
        """What must hold for the change to be right."""
        return At(self.key, self.revision)


def plan_bindings(
    wanted: Mapping[str, Binding], written: Mapping[str, WrittenBinding], lease: int
) -> tuple[tuple[BindingChange, ...], ...]:
    """Return the next transactions; none when everything is as it should be.

    `wanted` are bindings by their own key, `written` is by the key in the registry.
    """
    by_key = {BINDINGS_PREFIX + key: binding for key, binding in wanted.items()}
    changes = [*_deletes(by_key, written), *_puts(by_key, written, lease)]
    return tuple(transactions_of((change,) for change in changes))


def _deletes(wanted: Mapping[str, Binding], written: Mapping[str, WrittenBinding]) -> Iterator[BindingChange]:
    for key, present in written.items():
        if key not in wanted:
            yield BindingChange(Delete(key), present.revision, None)


def _puts(wanted: Mapping[str, Binding], written: Mapping[str, WrittenBinding], lease: int) -> Iterator[BindingChange]:
    for key, binding in wanted.items():
        present = written.get(key)
        if present is None or present.lease != lease or present.binding != binding:
            revision = present.revision if present else 0
            yield BindingChange(Put(key, encode_binding(binding).encode(), lease), revision, binding)


def bindings_carried_out(
    written: Mapping[str, WrittenBinding], changes: Iterable[BindingChange], revision: int
) -> dict[str, WrittenBinding]:
    """Return what is written after these changes were committed at that revision."""
    after = dict(written)
    for change in changes:
        if isinstance(change.operation, Put):
            after[change.key] = WrittenBinding(revision, change.operation.lease, change.binding)
        else:
            after.pop(change.key, None)
    return after
