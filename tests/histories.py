"""Good histories: streams of legal facts with the catalog beside them, drawn by Hypothesis or put together by hand."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen
from hypothesis import strategies as st

from mooring.catalog import Catalog, fold
from mooring.entries import Entry, encode_entry
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
)
from mooring.model import Address, Binding, Instance
from mooring.redis.stream import Head, RawEntry


@frozen
class History:
    """A head, the facts with the epoch that each is of, and the catalog beside them."""

    head: Head
    entries: tuple[Entry, ...]
    catalog: Catalog

    def raw(self) -> tuple[RawEntry, ...]:
        """Return the entries as they stand in a stream."""
        return tuple(RawEntry(entry.sequence, encode_entry(entry)) for entry in self.entries)


def history_of(facts: list[Fact], epochs: list[int], catalog: Catalog | None = None) -> History:
    """Return a history of these facts; its catalog is their fold unless one is given."""
    entries = tuple(
        Entry(sequence=sequence, incarnation="life", epoch=epoch, at=1.0, fact=fact)
        for sequence, (fact, epoch) in enumerate(zip(facts, epochs, strict=True), 1)
    )
    head = Head(incarnation="life", epoch=max(epochs), sequence=len(entries), complete=True)
    return History(head, entries, fold(Catalog(), facts) if catalog is None else catalog)


def instance(number: int, version: int) -> Instance:
    """Return one of few instances, in one of few versions."""
    return Instance(service=f"web/v{number % 2}", id=f"h|{number}%:80", address=Address("10.0.0.5", 8000 + version))


def binding(number: int, version: int) -> Binding:
    """Return one of few bindings, in one of few versions."""
    return Binding(key=f"host/{number}/BACKEND_DB", service="db", port=5000 + version)


Choice: TypeAlias = tuple[str, int, int]


def next_fact(catalog: Catalog, choice: Choice) -> Fact | None:
    """Return the legal fact that a choice (kind, number, version) leads to; version 0 removes."""
    kind, number, version = choice
    if kind == "instance":
        return _next_instance_fact(catalog, number, version)
    if kind == "binding":
        return _next_binding_fact(catalog, number, version)
    if kind == "setting":
        return _next_setting_fact(catalog, f"service/{number}", version)
    return SourceLost("etcd://registry", "no answer")


def _next_instance_fact(catalog: Catalog, number: int, version: int) -> Fact | None:
    new = instance(number, version)
    old = catalog.instance(*new.key)
    if version == 0:
        return InstanceRemoved(old, "expired") if old else None
    if old == new:
        return None
    return InstanceChanged(new, old) if old else InstanceAdded(new)


def _next_binding_fact(catalog: Catalog, number: int, version: int) -> Fact | None:
    new = binding(number, version)
    old = catalog.bindings.get(new.key)
    if version == 0:
        return BindingRemoved(old) if old else None
    if old == new:
        return None
    return BindingChanged(new, old) if old else BindingAdded(new)


def _next_setting_fact(catalog: Catalog, key: str, version: int) -> Fact | None:
    old = catalog.settings.get(key)
    if version == 0:
        return None if old is None else SettingRemoved(key, old)
    return None if old == str(version) else SettingChanged(key, str(version), old)


CHOICES = st.tuples(
    st.sampled_from(["instance", "binding", "setting", "source", "epoch"]), st.integers(0, 3), st.integers(0, 3)
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw a good history: it opens with an epoch and adds at least one instance."""
    facts: list[Fact] = [EpochBegan("a"), InstanceAdded(instance(0, 1))]
    epochs, catalog = [1, 1], fold(Catalog(), facts)
    for choice in draw(st.lists(CHOICES, max_size=25)):
        fact = EpochBegan("b") if choice[0] == "epoch" else next_fact(catalog, choice)
        if fact is not None:
            catalog = fold(catalog, [fact])
            facts.append(fact)
            epochs.append(epochs[-1] + isinstance(fact, EpochBegan))
    return history_of(facts, epochs)
