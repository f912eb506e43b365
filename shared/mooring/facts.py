"""The closed union of facts: everything that the stream can say. Past tense, absolute, idempotent.

A fact carries the whole new value, never a delta, so applying one twice changes nothing; and the value it replaced,
so that history can be undone backwards when its beginning was trimmed away.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from attrs import frozen

from mooring.model import Binding, Instance


@frozen
class EpochBegan:
    """A discover took the lead. The first entry of every epoch."""

    type: ClassVar[str] = "epoch-began"
    leader: str


@frozen
class InstanceAdded:
    """An instance is there that was not."""

    type: ClassVar[str] = "instance-added"
    instance: Instance


@frozen
class InstanceChanged:
    """An instance is not as it was."""

    type: ClassVar[str] = "instance-changed"
    instance: Instance
    before: Instance


@frozen
class InstanceRemoved:
    """An instance is gone; `instance` is what was last known of it.

    `seen_docker` and `seen_registry` are when its end was seen (epoch seconds), None when nobody saw it: it expired.
    """

    type: ClassVar[str] = "instance-removed"
    instance: Instance
    cause: str = "removed"
    seen_docker: float | None = None
    seen_registry: float | None = None


@frozen
class BindingAdded:
    """A consumer wishes for a service."""

    type: ClassVar[str] = "binding-added"
    binding: Binding


@frozen
class BindingChanged:
    """A consumer's wish is not as it was."""

    type: ClassVar[str] = "binding-changed"
    binding: Binding
    before: Binding


@frozen
class BindingRemoved:
    """A consumer's wish is gone."""

    type: ClassVar[str] = "binding-removed"
    binding: Binding


@frozen
class SettingChanged:
    """A key-value setting has a value; `before` is None when it had none."""

    type: ClassVar[str] = "setting-changed"
    key: str
    value: str
    before: str | None = None


@frozen
class SettingRemoved:
    """A key-value setting is gone; `value` is its last."""

    type: ClassVar[str] = "setting-removed"
    key: str
    value: str


@frozen
class SourceLost:
    """A registry stopped answering. What it said last stays true until it says something else."""

    type: ClassVar[str] = "source-lost"
    address: str
    reason: str


@frozen
class SourceRecovered:
    """A registry answers again."""

    type: ClassVar[str] = "source-recovered"
    address: str


InstanceFact: TypeAlias = InstanceAdded | InstanceChanged | InstanceRemoved
BindingFact: TypeAlias = BindingAdded | BindingChanged | BindingRemoved
SettingFact: TypeAlias = SettingChanged | SettingRemoved
Fact: TypeAlias = EpochBegan | InstanceFact | BindingFact | SettingFact | SourceLost | SourceRecovered

FACT_TYPES: dict[str, type[Fact]] = {
    kind.type: kind
    for kind in (
        EpochBegan,
        InstanceAdded,
        InstanceChanged,
        InstanceRemoved,
        BindingAdded,
        BindingChanged,
        BindingRemoved,
        SettingChanged,
        SettingRemoved,
        SourceLost,
        SourceRecovered,
    )
}


def seen_docker(fact: InstanceFact) -> float | None:
    """Return when Docker saw what the fact is about (epoch seconds), if that is known."""
    return fact.seen_docker if isinstance(fact, InstanceRemoved) else fact.instance.seen_docker
