"""Which entries somebody wishes to see: the newest, since when, of which type, about which service. Pure."""

from __future__ import annotations

import re
from typing import Final, TypeAlias, assert_never

from attrs import frozen

from mooring.commands.entry_forms import Unreadable, read
from mooring.entries import Entry
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
from mooring.redis.stream import RawEntry
from mooring.selector import Selector

_DURATION: Final = re.compile(r"(\d+)(ms|s|m|h|d)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@frozen
class FromSequence:
    """From this entry on."""

    sequence: int


@frozen
class Ago:
    """From what was appended so long ago on."""

    seconds: float


Since: TypeAlias = FromSequence | Ago


def parse_since(text: str) -> Since:
    """Read the sequence of an entry, or a duration: `250ms`, `30s`, `10m`, `2h`, `1d`.

    Raises:
        ValueError: it is neither.
    """
    if text.isascii() and text.isdigit():
        return FromSequence(int(text))
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"expected the sequence of an entry, or a duration like 30s, 10m, 2h or 1d, got {text!r}")
    return Ago(int(found[1]) * _UNITS[found[2]])


@frozen(kw_only=True)
class Choice:
    """What somebody wishes to see; `count` None means all of it, no types mean every type."""

    count: int | None = None
    since: Since | None = None
    types: frozenset[str] = frozenset()
    selector: Selector | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether not every entry is wanted, so that the newest of those wanted may stand anywhere."""
        return bool(self.types) or self.selector is not None

    def wants(self, raw: RawEntry) -> bool:
        """Whether an entry is to be shown; one that cannot be read always is."""
        found = read(raw)
        return isinstance(found, Unreadable) or self._wants(found[1])

    def _wants(self, entry: Entry) -> bool:
        if self.types and entry.fact.type not in self.types:
            return False
        return self.selector is None or concerns(entry.fact, self.selector)


def concerns(fact: Fact, selector: Selector) -> bool:
    """Whether a fact is about what the selector selects, or selected before; a wish is when it is for just that."""
    match fact:
        case InstanceChanged(instance, before):
            return selector.selects(instance) or selector.selects(before)
        case InstanceAdded(instance) | InstanceRemoved(instance):
            return selector.selects(instance)
        case BindingAdded(binding) | BindingChanged(binding) | BindingRemoved(binding):
            return binding.service == selector.name and set(selector.tags) <= set(binding.tags)
        case SettingChanged() | SettingRemoved() | EpochBegan() | SourceLost() | SourceRecovered():
            return False
        case _:
            assert_never(fact)
