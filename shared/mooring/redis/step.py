"""The atomic step as values: what a batch writes, worked out and checked before Redis is asked for anything.

A script of Redis is not rolled back when it fails in the middle, so nothing may be found wrong in there: a batch is
checked here, and what it does to the hashes beside the stream is folded here to one write per field. The scripts, and
the twin in memory, only carry it out. Must not know how Redis is reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, assert_never

from attrs import frozen

from mooring.catalog import Catalog, catalog_of
from mooring.documents import decode_binding, decode_instance, encode_binding, encode_instance
from mooring.entries import Entry, encode_entry
from mooring.errors import DocumentError
from mooring.facts import (
    BindingAdded,
    BindingChanged,
    BindingRemoved,
    EpochBegan,
    Fact,
    InstanceAdded,
    InstanceChanged,
    InstanceRemoved,
    SettingChanged,
    SettingRemoved,
    SourceLost,
    SourceRecovered,
)
from mooring.keys import catalog_field
from mooring.model import Instance
from mooring.redis.stream import Batch, Head, RawEntry

# A script stops everything else in Redis while it runs: 500 entries take about 4 ms there.
MOST_ENTRIES: Final = 500

SOURCE_PREFIX: Final = "source:"


class Table(StrEnum):
    """The three hashes that together are the catalog."""

    CATALOG = "catalog"
    BINDINGS = "bindings"
    SETTINGS = "settings"


@frozen
class Write:
    """One field of one table gets a value, or goes (None)."""

    table: Table
    field: str
    value: str | None


@frozen
class Step:
    """All that one batch does: the entries as they will stand in the stream, and one write per field."""

    entries: tuple[RawEntry, ...]
    writes: tuple[Write, ...]


def step_of(batch: Batch) -> Step:
    """Return what a batch does.

    Raises:
        ValueError: a bug of ours: over 500 entries, or one that does not continue the batch.
    """
    if len(batch.entries) > MOST_ENTRIES:
        raise ValueError(f"{len(batch.entries)} entries in one batch, at most {MOST_ENTRIES} are allowed")
    for sequence, entry in enumerate(batch.entries, batch.after + 1):
        _check(batch, entry, sequence)
    last = {(write.table, write.field): write for entry in batch.entries for write in writes_of(entry.fact)}
    raw = tuple(RawEntry(entry.sequence, encode_entry(entry)) for entry in batch.entries)
    return Step(raw, tuple(last.values()))


def _check(batch: Batch, entry: Entry, sequence: int) -> None:
    present = (entry.incarnation, entry.epoch, entry.sequence)
    wanted = (batch.incarnation, batch.epoch, sequence)
    if present != wanted:
        raise ValueError(f"an entry with (incarnation, epoch, sequence) {present} where {wanted} belongs")


def writes_of(fact: Fact) -> Iterator[Write]:
    """Iterate over what a fact does to the tables: one write, or none."""
    match fact:
        case InstanceAdded(instance) | InstanceChanged(instance):
            yield _instance_write(instance, encode_instance(instance))
        case InstanceRemoved(instance):
            yield _instance_write(instance, None)
        case BindingAdded(binding) | BindingChanged(binding):
            yield Write(Table.BINDINGS, binding.key, encode_binding(binding))
        case BindingRemoved(binding):
            yield Write(Table.BINDINGS, binding.key, None)
        case SettingChanged(key, value):
            yield Write(Table.SETTINGS, key, value)
        case SettingRemoved(key):
            yield Write(Table.SETTINGS, key, None)
        case EpochBegan() | SourceLost() | SourceRecovered():
            return
        case _:
            assert_never(fact)


def _instance_write(instance: Instance, document: str | None) -> Write:
    return Write(Table.CATALOG, catalog_field(instance.service, instance.id), document)


def read_catalog(tables: Mapping[Table, Mapping[str, str]]) -> Catalog:
    """Read the catalog from its three tables, field → text.

    Raises:
        DocumentError: a document cannot be read, or stands in a field that is not its own.
    """
    return catalog_of(
        (_read_instance(field, text) for field, text in tables[Table.CATALOG].items()),
        (decode_binding(text, key=field) for field, text in tables[Table.BINDINGS].items()),
        tables[Table.SETTINGS],
    )


def _read_instance(field: str, text: str) -> Instance:
    instance = decode_instance(text, where=f"catalog field {field}")
    if catalog_field(instance.service, instance.id) != field:
        raise DocumentError(f"catalog field {field}", f"holds {instance.id!r} of {instance.service!r}")
    return instance


def head_of(fields: Mapping[str, str]) -> Head | None:
    """Read the head's hash; None when no incarnation was ever begun.

    Raises:
        DocumentError: a number in it is none.
    """
    if not fields.get("incarnation"):
        return None
    return Head(
        incarnation=fields["incarnation"],
        epoch=_number(fields, "epoch", 0),
        sequence=_number(fields, "sequence", 0),
        first=_number(fields, "first", 1),
        complete=fields.get("complete") == "1",
        run_id=fields.get("run_id", ""),
        sources={
            name.removeprefix(SOURCE_PREFIX): value for name, value in fields.items() if name.startswith(SOURCE_PREFIX)
        },
    )


def _number(fields: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(fields.get(name, default))
    except ValueError:
        raise DocumentError("the stream's head", f"{name}: expected a number, got {fields[name]!r}") from None
