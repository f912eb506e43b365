"""The catalog: the fold of all facts so far, and the difference of two catalogs as facts.

Laws (tests/unit/shared/test_catalog.py): applying a fact twice changes nothing; folding `diff(a, b)` over `a` gives
`b`; folding the undone facts backwards over the result gives `a` again.

A catalog is never changed. A fold copies the outer table once and each touched service once, so a batch that
concerns one service of ten thousand costs what that service costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, assert_never

from attrs import field, frozen

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
from mooring.model import Binding, Instance

V = TypeVar("V")


@frozen
class Catalog:
    """Everything known now: instances by service and id, bindings by key, settings by path."""

    services: Mapping[str, Mapping[str, Instance]] = field(factory=dict)
    bindings: Mapping[str, Binding] = field(factory=dict)
    settings: Mapping[str, str] = field(factory=dict)

    def instance(self, service: str, instance_id: str) -> Instance | None:
        """Return the instance of that name, or None."""
        return self.services.get(service, {}).get(instance_id)

    def instances(self) -> Iterator[Instance]:
        """Iterate over all instances, service by service."""
        for by_id in self.services.values():
            yield from by_id.values()


def catalog_of(
    instances: Iterable[Instance] = (), bindings: Iterable[Binding] = (), settings: Mapping[str, str] | None = None
) -> Catalog:
    """Return a catalog that holds these values; of two with one key, the later."""
    services: dict[str, dict[str, Instance]] = {}
    for instance in instances:
        services.setdefault(instance.service, {})[instance.id] = instance
    return Catalog(services, {binding.key: binding for binding in bindings}, dict(settings or {}))


def fold(catalog: Catalog, facts: Iterable[Fact]) -> Catalog:
    """Return the catalog after these facts, applied in order."""
    draft = _Draft(catalog)
    for fact in facts:
        draft.apply(fact)
    return draft.catalog()


def apply(catalog: Catalog, fact: Fact) -> Catalog:
    """Return the catalog after one fact."""
    return fold(catalog, (fact,))


class _Draft:
    """A catalog in the making: copies of what is touched, the rest shared with the catalog it starts from."""

    def __init__(self, catalog: Catalog) -> None:
        self._services = dict(catalog.services)
        self._copied: dict[str, dict[str, Instance]] = {}
        self._bindings = dict(catalog.bindings)
        self._settings = dict(catalog.settings)

    def catalog(self) -> Catalog:
        return Catalog(self._services, self._bindings, self._settings)

    def apply(self, fact: Fact) -> None:
        match fact:
            case InstanceAdded(instance) | InstanceChanged(instance):
                self._service(instance.service)[instance.id] = instance
            case InstanceRemoved(instance):
                self._remove(instance)
            case BindingAdded(binding) | BindingChanged(binding):
                self._bindings[binding.key] = binding
            case BindingRemoved(binding):
                self._bindings.pop(binding.key, None)
            case SettingChanged(key, value):
                self._settings[key] = value
            case SettingRemoved(key):
                self._settings.pop(key, None)
            case EpochBegan() | SourceLost() | SourceRecovered():
                pass
            case _:
                assert_never(fact)

    def _service(self, name: str) -> dict[str, Instance]:
        if name not in self._copied:
            self._services[name] = self._copied[name] = dict(self._services.get(name, {}))
        return self._copied[name]

    def _remove(self, instance: Instance) -> None:
        if instance.service not in self._services:
            return
        remaining = self._service(instance.service)
        remaining.pop(instance.id, None)
        if not remaining:
            del self._services[instance.service], self._copied[instance.service]


def undo(fact: Fact) -> tuple[Fact, ...]:
    """Return the facts that take this one back; none for those that change no catalog."""
    match fact:
        case InstanceAdded(instance):
            return (InstanceRemoved(instance),)
        case InstanceChanged(instance, before):
            return (InstanceChanged(before, instance),)
        case InstanceRemoved(instance):
            return (InstanceAdded(instance),)
        case BindingAdded(binding):
            return (BindingRemoved(binding),)
        case BindingChanged(binding, before):
            return (BindingChanged(before, binding),)
        case BindingRemoved(binding):
            return (BindingAdded(binding),)
        case SettingChanged(key, value, before):
            return (SettingRemoved(key, value) if before is None else SettingChanged(key, before, value),)
        case SettingRemoved(key, value):
            return (SettingChanged(key, value),)
        case EpochBegan() | SourceLost() | SourceRecovered():
            return ()
        case _:
            assert_never(fact)


def diff(before: Catalog, after: Catalog, removal_cause: str = "removed") -> tuple[Fact, ...]:
    """Return the facts that lead from one catalog to the other: one service at a time, additions first.

    Additions come first so that a service whose instances were all replaced is never empty on the way.
    """
    facts: list[Fact] = []
    for service in sorted({*before.services, *after.services}):
        old, new = before.services.get(service, {}), after.services.get(service, {})
        if old is not new:
            added, changed, removed = _compare(old, new)
            facts += [InstanceAdded(new[key]) for key in added]
            facts += [InstanceChanged(new[key], old[key]) for key in changed]
            facts += [InstanceRemoved(old[key], removal_cause) for key in removed]
    added, changed, removed = _compare(before.bindings, after.bindings)
    facts += [BindingAdded(after.bindings[key]) for key in added]
    facts += [BindingChanged(after.bindings[key], before.bindings[key]) for key in changed]
    facts += [BindingRemoved(before.bindings[key]) for key in removed]
    added, changed, removed = _compare(before.settings, after.settings)
    facts += [SettingChanged(key, after.settings[key], before.settings.get(key)) for key in (*added, *changed)]
    facts += [SettingRemoved(key, before.settings[key]) for key in removed]
    return tuple(facts)


def _compare(old: Mapping[str, V], new: Mapping[str, V]) -> tuple[list[str], list[str], list[str]]:
    """Return the keys that were added, changed and removed, each sorted."""
    added = sorted(new.keys() - old.keys())
    changed = sorted(key for key, value in new.items() if key in old and old[key] != value)
    removed = sorted(old.keys() - new.keys())
    return added, changed, removed
