"""An entry of the stream as a row of a table, and as a JSON object; also one that cannot be read. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Final, TypeAlias

from attrs import frozen

from mooring.documents import load
from mooring.entries import Entry, decode_entry
from mooring.errors import EntryError
from mooring.facts import InstanceFact, SettingFact, SourceLost, SourceRecovered, seen_docker
from mooring.model import Json
from mooring.redis.stream import RawEntry
from mooring.tables import Columns, harmless, moment

TITLES: Final = ("sequence", "time", "type", "service", "id", "address", "state", "cause", "source", "delay")

_NUMBERS: Final = frozenset({"v", "epoch", "at", "seen_docker", "seen_registry", "seen_stream"})


@frozen
class Unreadable:
    """An entry that this Mooring cannot read, and why."""

    raw: RawEntry
    reason: str


@frozen
class Notice:
    """What is to be told between entries."""

    text: str


Readable: TypeAlias = "tuple[RawEntry, Entry]"
Item: TypeAlias = "Readable | Unreadable | Notice"


def read(raw: RawEntry) -> Readable | Unreadable:
    """Decode an entry, or say why that cannot be done."""
    try:
        entry = decode_entry(raw.sequence, raw.fields)
    except EntryError as error:
        return Unreadable(raw, error.reason)
    return Unreadable(raw, f"there is no type {raw.fields['type']!r} here") if entry is None else (raw, entry)


def lines_of(columns: Columns, items: Sequence[Item], zone: tzinfo | None) -> list[str]:
    """Return the rows of a table, and between them the lines that are none."""
    rows = [row(item, zone) for item in items if isinstance(item, tuple)]
    laid_out = columns.lines(rows)
    titles = len(laid_out) - len(rows)
    below = iter(laid_out[titles:])
    return [*laid_out[:titles], *(next(below) if isinstance(item, tuple) else text(item) for item in items)]


def row(readable: Readable, zone: tzinfo | None) -> tuple[str, ...]:
    """Return the cells of an entry; the time is when it was appended, in that zone (None: the local one)."""
    raw, entry = readable
    delay = delay_ms(entry)
    return (
        str(entry.sequence),
        moment(entry.seen_stream, zone),
        entry.fact.type,
        raw.fields.get("service", ""),
        _name(raw, entry),
        *(raw.fields.get(name, "") for name in ("address", "state", "cause")),
        entry.source,
        "" if delay is None else f"{delay:.0f} ms",
    )


def text(told: Unreadable | Notice) -> str:
    """Return the line of what is no row."""
    if isinstance(told, Notice):
        return harmless(f"-- {told.text}")
    fields = " ".join(f"{name}={value}" for name, value in told.raw.fields.items())
    return harmless(f"-- entry {told.raw.sequence}-0 cannot be read: {told.reason}: {fields}")


def document(item: Item) -> dict[str, Json]:
    """Return an entry with all its fields decoded; what cannot be read with its fields as they are; or a notice."""
    if isinstance(item, Notice):
        return {"notice": item.text}
    if isinstance(item, Unreadable):
        return {"sequence": item.raw.sequence, "unreadable": item.reason, "fields": dict(item.raw.fields)}
    raw, entry = item
    decoded: dict[str, Json] = {name: _decoded(name, text, entry) for name, text in raw.fields.items()}
    more = {"id": entry.fact.instance.id} if isinstance(entry.fact, InstanceFact) else {}
    delay = delay_ms(entry)
    return {"sequence": entry.sequence, **decoded, **more, **({} if delay is None else {"delay_ms": round(delay, 3)})}


def json_line(document: Mapping[str, object]) -> str:
    """Return a document as one line; ASCII, so that no terminal and no pipe can spoil it."""
    return json.dumps(document)


def delay_ms(entry: Entry) -> float | None:
    """Return how long after Docker's own event the entry was appended; None when no such event is known."""
    seen = seen_docker(entry.fact) if isinstance(entry.fact, InstanceFact) else None
    return None if seen is None else (entry.seen_stream - seen) * 1000


def _name(raw: RawEntry, entry: Entry) -> str:
    if isinstance(entry.fact, InstanceFact):
        return entry.fact.instance.id
    # The key of these two is the source's address, which has a column of its own.
    return "" if isinstance(entry.fact, SourceLost | SourceRecovered) else raw.fields.get("key", "")


def _decoded(name: str, text: str, entry: Entry) -> Json:
    is_json = name in _NUMBERS or name == "before" or (name == "value" and not isinstance(entry.fact, SettingFact))
    try:
        return load(text) if is_json else text
    except ValueError:
        return text  # a field that the fact does not need, hence nobody has looked at
