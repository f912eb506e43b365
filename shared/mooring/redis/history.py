"""Whether a stream, with the catalog beside it, tells one story without a hole: the rules of a legal history.

It keeps a model of its own, one plain dictionary, and shares with the code that writes only the codec: a mistake in
the catalog's fold cannot hide here. `mooring verify` judges by it, and the tests after whatever they do to discover and
Redis. Must not know how a stream is read (whole.py), or who asks.

Every fact is a transition of one key from a value before to a value after; absent is None. Forwards, what is there
must be the value before; backwards, the value after. A stream that still has its beginning is walked forwards from
nothing and must end at the catalog; one whose beginning was trimmed away is walked backwards from the catalog.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias, assert_never

from attrs import fields, frozen

from mooring.catalog import Catalog
from mooring.entries import Entry, decode_entry, encode_entry
from mooring.errors import EntryError
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
from mooring.model import Binding, Instance
from mooring.ports import wishes_of
from mooring.redis.stream import Head, RawEntry

Value: TypeAlias = Instance | Binding | str
Model: TypeAlias = dict[str, Value]


@frozen(kw_only=True)
class Report:
    """What a history holds, once nothing was found wrong with it; `counts` is by the type of the fact."""

    incarnation: str
    first: int
    sequence: int
    epochs: tuple[int, ...]
    counts: Mapping[str, int]


@frozen
class Transition:
    """What a fact says of one key: what was there before, what is there after."""

    key: str
    before: Value | None
    after: Value | None


def report_of(head: Head, raw: Sequence[RawEntry]) -> Report:
    """Return what a history holds to which there is no objection."""
    # An entry of a type that is not known here is legal, whatever else it has or lacks.
    epochs = {entry.fields.get("epoch", "") for entry in raw}
    return Report(
        incarnation=head.incarnation,
        first=head.first,
        sequence=head.sequence,
        epochs=tuple(sorted({int(one) for one in epochs if one.isdecimal()})),
        counts=dict(Counter(entry.fields["type"] for entry in raw)),
    )


def objections(head: Head, raw: Sequence[RawEntry], catalog: Catalog | None) -> tuple[str, ...]:
    """Return everything that is wrong with a history, one sentence each; a catalog of None is not compared."""
    found = [*_numbering(head, raw)]
    entries: list[Entry] = []
    for item in raw:
        try:
            entry = decode_entry(item.sequence, item.fields)
        except EntryError as error:
            found.append(str(error))
            continue
        if entry is not None:
            entries.append(entry)
            found += _disagreements(entry, item)
    found += _leadership(head, entries)
    if catalog is not None:
        found += _forwards(entries, catalog) if head.first == 1 else _backwards(entries, catalog)
    return tuple(found)


def port_objections(catalog: Catalog, ports: Mapping[str, str]) -> tuple[str, ...]:
    """Return everything in a table of ports that does not follow from the catalog, one sentence each.

    Whose instances are all gone keeps its port for a while, and how long it has been so, nobody can tell from here.
    """
    wishes = wishes_of(catalog)
    wanted = {service: port for service, (port, _) in wishes.items()}
    misplaced = (
        f"port {port} is held by {service}, which wants {wanted[service]}"
        for port, service in sorted(ports.items())
        if wanted.get(service, port) != port
    )
    vacant = (
        f"port {port} is held by nobody, and {service} wants it"
        for service, port in sorted(wanted.items())
        if port not in ports
    )
    return (*misplaced, *vacant)


def _numbering(head: Head, raw: Sequence[RawEntry]) -> Iterator[str]:
    """Object to a gap, a repetition, or an end that is not the head's."""
    if raw and raw[0].sequence != head.first:
        yield f"the first entry is {raw[0].sequence}-0, the head says {head.first}"
    for earlier, later in pairwise(raw):
        if later.sequence != earlier.sequence + 1:
            yield f"entry {earlier.sequence}-0 is followed by {later.sequence}-0"
    last = raw[-1].sequence if raw else 0
    if last != head.sequence:
        yield f"the last entry is {last}-0, the head says {head.sequence}"


def _disagreements(entry: Entry, raw: RawEntry) -> Iterator[str]:
    """Object to a field for the eye that says something else than the value."""
    for name, text in encode_entry(entry).items():
        if raw.fields.get(name) != text:
            yield f"entry {entry.sequence}-0: {name} says {raw.fields.get(name)!r}, its value {text!r}"


def _leadership(head: Head, entries: Sequence[Entry]) -> Iterator[str]:
    """Object to another incarnation, to an epoch that falls, and to one that does not open with its own entry."""
    epoch = 0 if head.first == 1 or not entries else entries[0].epoch
    for position, entry in enumerate(entries):
        where = f"entry {entry.sequence}-0"
        trimmed_before = head.first > 1 and position == 0
        if entry.incarnation != head.incarnation:
            yield f"{where} is of incarnation {entry.incarnation}, the head of {head.incarnation}"
        if entry.epoch < epoch:
            yield f"{where} is of epoch {entry.epoch}, after one of {epoch}"
        elif not trimmed_before and isinstance(entry.fact, EpochBegan) != (entry.epoch > epoch):
            yield f"{where} ({entry.fact.type}) where epoch {epoch} is followed by {entry.epoch}"
        epoch = max(epoch, entry.epoch)
    if epoch > head.epoch:
        yield f"the entries reach epoch {epoch}, the head only {head.epoch}"


def _forwards(entries: Iterable[Entry], catalog: Catalog) -> Iterator[str]:
    """Object to a fact that does not follow from those before it, and to a catalog that is not their fold."""
    model: Model = {}
    for where, step in _transitions(entries):
        yield from _idle(where, step)
        if model.get(step.key) != step.before:
            there = model.get(step.key)
            yield f"{where}: before is {_show(step.before, there)}, there was {_show(there, step.before)}"
        _put(model, step.key, step.after)
    present = model_of(catalog)
    for key in sorted(model.keys() | present.keys()):
        told, held = model.get(key), present.get(key)
        if told != held:
            yield f"{key}: the catalog has {_show(held, told)}, the entries give {_show(told, held)}"


def _backwards(entries: Sequence[Entry], catalog: Catalog) -> Iterator[str]:
    """Object to a fact that does not lead to what stands after it, the catalog last."""
    model = model_of(catalog)
    for where, step in reversed([*_transitions(entries)]):
        yield from _idle(where, step)
        if model.get(step.key) != step.after:
            later = model.get(step.key)
            yield f"{where}: after it is {_show(step.after, later)}, later there was {_show(later, step.after)}"
        _put(model, step.key, step.before)


def _transitions(entries: Iterable[Entry]) -> Iterator[tuple[str, Transition]]:
    for entry in entries:
        step = transition_of(entry.fact)
        if step is not None:
            yield f"entry {entry.sequence}-0 {entry.fact.type} {step.key}", step


def transition_of(fact: Fact) -> Transition | None:
    """Return what a fact says of one key; None for those that concern no key."""
    match fact:
        case InstanceAdded() | InstanceChanged() | InstanceRemoved():
            return _instance_transition(fact)
        case BindingAdded(binding):
            return Transition(f"binding {binding.key}", None, binding)
        case BindingChanged(binding, before):
            return Transition(f"binding {binding.key}", before, binding)
        case BindingRemoved(binding):
            return Transition(f"binding {binding.key}", binding, None)
        case SettingChanged(key, value, was):
            return Transition(f"setting {key}", was, value)
        case SettingRemoved(key, value):
            return Transition(f"setting {key}", value, None)
        case EpochBegan() | SourceLost() | SourceRecovered():
            return None
        case _:
            assert_never(fact)


def _instance_transition(fact: InstanceAdded | InstanceChanged | InstanceRemoved) -> Transition:
    key = _instance_key(fact.instance)
    match fact:
        case InstanceAdded(instance):
            return Transition(key, None, instance)
        case InstanceChanged(instance, before):
            return Transition(key, before, instance)
        case InstanceRemoved(instance):
            return Transition(key, instance, None)
        case _:
            assert_never(fact)


def model_of(catalog: Catalog) -> Model:
    """Return a catalog as one plain dictionary."""
    model: Model = {_instance_key(instance): instance for instance in catalog.instances()}
    model.update({f"binding {key}": binding for key, binding in catalog.bindings.items()})
    model.update({f"setting {key}": value for key, value in catalog.settings.items()})
    return model


def _instance_key(instance: Instance) -> str:
    return f"instance {catalog_field(instance.service, instance.id)}"


def _put(model: Model, key: str, value: Value | None) -> None:
    if value is None:
        model.pop(key, None)
    else:
        model[key] = value


def _idle(where: str, step: Transition) -> Iterator[str]:
    """Object to a fact that changes nothing."""
    before, after = step.before, step.after
    same = isinstance(before, Instance) and isinstance(after, Instance) and before.same_as(after)
    if same or before == after:
        yield f"{where} changes nothing"


def _show(value: Value | None, beside: Value | None) -> str:
    """Return a value in words, an instance with the fields in which it differs from the one beside it."""
    match value:
        case None:
            return "nothing"
        case Instance():
            return " ".join((f"{value.state} at {value.address}", *_differing(value, beside)))
        case _:
            return repr(value)


def _differing(instance: Instance, beside: Value | None) -> Iterator[str]:
    if isinstance(beside, Instance):
        for name in (field.name for field in fields(Instance)):
            if getattr(instance, name) != getattr(beside, name):
                yield f"{name}={getattr(instance, name)!r}"
