"""The wire form of the stream: one entry = one fact with where it stands in history, as flat text fields (DESIGN §5).

Flat, so that `redis-cli XREVRANGE mooring:events + - COUNT 5` reads like a log. Fields that say nothing are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import inf, isfinite
from typing import Final, assert_never

from attrs import frozen

from mooring.documents import decode_binding, decode_instance, encode_binding, encode_instance, load
from mooring.errors import DocumentError, EntryError, NewerVersion
from mooring.facts import (
    FACT_TYPES,
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

FORMAT: Final = 1

Fields = Mapping[str, str]


@frozen(kw_only=True)
class Entry:
    """A fact and its place in history.

    `at` is when discover learned of it, `seen_stream` when it was appended (epoch seconds); `source` is the address of
    the registry it came from, without secrets, and `revision` the position there.
    """

    sequence: int
    incarnation: str
    epoch: int
    at: float
    fact: Fact
    source: str = ""
    revision: str = ""
    seen_stream: float = 0.0


def encode_entry(entry: Entry) -> dict[str, str]:
    """Return the fields of an entry; its sequence is the entry's id, `<sequence>-0`."""
    fact = entry.fact
    fields = {
        "v": str(FORMAT),
        "incarnation": entry.incarnation,
        "epoch": str(entry.epoch),
        "at": f"{entry.at:.6f}",
        "type": fact.type,
        **_subject(fact),
        "source": entry.source,
        "revision": entry.revision,
        **_sightings(fact),
        "seen_stream": f"{entry.seen_stream:.6f}",
        **_values(fact),
    }
    return {name: value for name, value in fields.items() if value or name == "value"}


def decode_entry(sequence: int, fields: Fields) -> Entry | None:
    """Read an entry; None for a type that this Mooring does not know, which is to be counted and passed over.

    Raises:
        NewerVersion: the format is above ours.
        EntryError: a field is missing or has the wrong form.
    """
    where = f"entry {sequence}-0"
    version = _number(fields, "v", where)
    if version > FORMAT:
        raise NewerVersion(where, f"format {version}, this Mooring reads {FORMAT}")
    if version < FORMAT:
        raise EntryError(where, f"v: there is no format {version}")
    kind = FACT_TYPES.get(_needed(fields, "type", where))
    if kind is None:
        return None
    try:
        fact = _decode_fact(kind, fields, where)
    except DocumentError as error:
        raise EntryError(where, str(error)) from None
    return Entry(
        sequence=sequence,
        incarnation=_needed(fields, "incarnation", where),
        epoch=_number(fields, "epoch", where),
        at=_seconds(fields, "at", where),
        fact=fact,
        source=fields.get("source", ""),
        revision=fields.get("revision", ""),
        seen_stream=_seconds(fields, "seen_stream", where),
    )


def _subject(fact: Fact) -> Fields:
    """Return what the fact is about, in the fields that a reader of the log looks at first."""
    match fact:
        case EpochBegan(leader):
            return {"key": leader}
        case InstanceAdded(instance) | InstanceChanged(instance):
            return _instance_subject(instance, instance.cause)
        case InstanceRemoved(instance, cause):
            return _instance_subject(instance, cause)
        case BindingAdded(binding) | BindingChanged(binding) | BindingRemoved(binding):
            return {"key": binding.key, "service": binding.service}
        case SettingChanged(key) | SettingRemoved(key):
            return {"key": key}
        case SourceLost(address, reason):
            return {"key": address, "cause": reason}
        case SourceRecovered(address):
            return {"key": address}
        case _:
            assert_never(fact)


def _instance_subject(instance: Instance, cause: str) -> Fields:
    return {
        "key": catalog_field(instance.service, instance.id),
        "service": instance.service,
        "address": str(instance.address),
        "state": instance.state.value,
        "cause": cause,
    }


def _sightings(fact: Fact) -> Fields:
    if not isinstance(fact, InstanceAdded | InstanceChanged | InstanceRemoved):
        return {}
    sighted = fact if isinstance(fact, InstanceRemoved) else fact.instance
    seen = {"seen_docker": sighted.seen_docker, "seen_registry": sighted.seen_registry}
    return {name: f"{moment:.6f}" for name, moment in seen.items() if moment is not None}


def _values(fact: Fact) -> Fields:
    """Return the whole new value and the whole old one."""
    match fact:
        case InstanceAdded(instance) | InstanceRemoved(instance):
            return {"value": encode_instance(instance)}
        case InstanceChanged(instance, before):
            return {"value": encode_instance(instance), "before": encode_instance(before)}
        case BindingAdded(binding) | BindingRemoved(binding):
            return {"value": encode_binding(binding)}
        case BindingChanged(binding, before):
            return {"value": encode_binding(binding), "before": encode_binding(before)}
        case SettingChanged(_, value, before):
            # As JSON, so that an empty value and no value at all stay two things.
            return {"value": value} if before is None else {"value": value, "before": json.dumps(before)}
        case SettingRemoved(_, value):
            return {"value": value}
        case EpochBegan() | SourceLost() | SourceRecovered():
            return {}
        case _:
            assert_never(fact)


def _decode_fact(kind: type[Fact], fields: Fields, where: str) -> Fact:
    if kind in (InstanceAdded, InstanceChanged, InstanceRemoved):
        return _decode_instance_fact(kind, fields, where)
    key = _needed(fields, "key", where)
    if kind in (BindingAdded, BindingChanged, BindingRemoved):
        return _decode_binding_fact(kind, key, fields, where)
    if kind is SettingChanged:
        before = fields.get("before")
        return SettingChanged(
            key, _present(fields, "value", where), None if before is None else _json_text(before, where)
        )
    if kind is SettingRemoved:
        return SettingRemoved(key, _present(fields, "value", where))
    if kind is SourceLost:
        return SourceLost(key, fields.get("cause", ""))
    if kind is SourceRecovered:
        return SourceRecovered(key)
    return EpochBegan(key)


def _decode_instance_fact(kind: type[Fact], fields: Fields, where: str) -> Fact:
    instance = decode_instance(_needed(fields, "value", where), where="value")
    if kind is InstanceChanged:
        return InstanceChanged(instance, decode_instance(_needed(fields, "before", where), where="before"))
    if kind is InstanceRemoved:
        seen_docker, seen_registry = (
            _seconds(fields, name, where) if name in fields else None for name in ("seen_docker", "seen_registry")
        )
        return InstanceRemoved(instance, fields.get("cause", ""), seen_docker, seen_registry)
    return InstanceAdded(instance)


def _decode_binding_fact(kind: type[Fact], key: str, fields: Fields, where: str) -> Fact:
    binding = decode_binding(_needed(fields, "value", where), key=key)
    if kind is BindingChanged:
        return BindingChanged(binding, decode_binding(_needed(fields, "before", where), key=key))
    return BindingRemoved(binding) if kind is BindingRemoved else BindingAdded(binding)


def _json_text(text: str, where: str) -> str:
    try:
        value = load(text)
    except ValueError as error:
        raise EntryError(where, f"before is not JSON: {error}") from None
    if not isinstance(value, str):
        raise EntryError(where, f"before: expected a JSON string, got {text!r}")
    return value


def _present(fields: Fields, name: str, where: str) -> str:
    if name not in fields:
        raise EntryError(where, f"{name} is missing")
    return fields[name]


def _needed(fields: Fields, name: str, where: str) -> str:
    if not fields.get(name):
        raise EntryError(where, f"{name} is missing")
    return fields[name]


def _number(fields: Fields, name: str, where: str) -> int:
    try:
        return int(_needed(fields, name, where))
    except ValueError:
        raise EntryError(where, f"{name}: expected a whole number, got {fields[name]!r}") from None


def _seconds(fields: Fields, name: str, where: str) -> float:
    try:
        seconds = float(_needed(fields, name, where))
    except ValueError:
        seconds = inf
    if not isfinite(seconds):
        raise EntryError(where, f"{name}: expected epoch seconds, got {fields[name]!r}")
    return seconds
