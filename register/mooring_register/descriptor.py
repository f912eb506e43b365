"""What a container says about its ports: `SERVICE_*` in its labels and environment. Pure.

Labels win over the environment. What is said for one port (`SERVICE_80_NAME`) wins over what is said for all
(`SERVICE_NAME`), wherever either was said. Every problem of a container is found, not only the first: each names the
label, its value and the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from mooring.errors import DescriptorError
from mooring.keys import check_name
from mooring.model import DEFAULT_WEIGHT, parse_port

# Words with a meaning of their own, hence no attributes. ZONE and HTTP_* are reserved: nothing reads them yet.
_WORDS: Final = frozenset({"name", "id", "tags", "ignore", "publish", "weight", "zone"})
_CHECK_PREFIX: Final = "check_"
_HTTP_PREFIX: Final = "http_"

_LABEL = re.compile(r"SERVICE_(?:(?P<port>[0-9]{1,5})_)?(?P<word>.+)", re.DOTALL)
_WEIGHT = re.compile(r"[0-9]{1,6}")
_SHOWN_CHARACTERS: Final = 60


@frozen
class Said:
    """One label or variable: its whole name, and its value."""

    label: str
    value: str


@frozen
class Descriptor:
    """Everything that a container says: words for all ports, and words for one port by (port, word)."""

    container: str
    general: Mapping[str, Said] = field(factory=dict)
    by_port: Mapping[tuple[int, str], Said] = field(factory=dict)


@frozen(kw_only=True)
class PortDescriptor:
    """What is said about one port. `name` and `id` are empty when nothing is said; `ignored_by` names the label."""

    name: str = ""
    name_is_for_port: bool = False
    id: str = ""
    ignored_by: str = ""
    tags: tuple[str, ...] = ()
    weight: int = DEFAULT_WEIGHT
    publish: int | None = None
    attributes: Mapping[str, str] = field(factory=dict)
    checks: Mapping[str, str] = field(factory=dict)
    problems: tuple[DescriptorError, ...] = ()
    is_usable: bool = True


def read_descriptor(container: str, labels: Mapping[str, str], environment: Mapping[str, str]) -> Descriptor:
    """Sort what a container says by port and word; `container` names it in errors."""
    general: dict[str, Said] = {}
    by_port: dict[tuple[int, str], Said] = {}
    for label, value in [*environment.items(), *labels.items()]:
        found = _LABEL.fullmatch(label)
        if found is None:
            continue
        said = Said(label, value)
        if found["port"]:
            by_port[int(found["port"]), found["word"].lower()] = said
        else:
            general[found["word"].lower()] = said
    return Descriptor(container, general, by_port)


def describe_port(descriptor: Descriptor, port: int) -> PortDescriptor:
    """Return what is said about one port. An unusable name or id makes the port unusable; the rest falls back."""
    said = dict(descriptor.general) | {word: said for (at, word), said in descriptor.by_port.items() if at == port}
    reading = _Reading(descriptor.container, said)
    name, instance_id = reading.name("name"), reading.name("id")
    return PortDescriptor(
        name=name,
        name_is_for_port=(port, "name") in descriptor.by_port and bool(name),
        id=instance_id,
        # Any value but the empty one, `false` too: registrator's rule since its version 7.
        ignored_by=said["ignore"].label if "ignore" in said and said["ignore"].value else "",
        tags=split_tags(said["tags"].value) if "tags" in said else (),
        weight=reading.weight(),
        publish=reading.publish(),
        attributes={word: one.value for word, one in sorted(said.items()) if _is_attribute(word)},
        checks={
            word.removeprefix(_CHECK_PREFIX): one.value
            for word, one in sorted(said.items())
            if word.startswith(_CHECK_PREFIX)
        },
        problems=tuple(reading.problems),
        is_usable=reading.is_usable,
    )


def split_tags(text: str) -> tuple[str, ...]:
    r"""Split at commas but not at `\,`, which stands for a comma; empty items are dropped."""
    items = (item.replace("\\,", ",").strip() for item in re.split(r"(?<!\\),", text))
    return tuple(item for item in items if item)


def _is_attribute(word: str) -> bool:
    return word not in _WORDS and not word.startswith((_CHECK_PREFIX, _HTTP_PREFIX))


class _Reading:
    """Reads the words of one port, and collects what is wrong with them."""

    def __init__(self, container: str, said: Mapping[str, Said]) -> None:
        self._container = container
        self._said = said
        self.problems: list[DescriptorError] = []
        self.is_usable = True

    def _problem(self, said: Said, reason: str) -> None:
        shown = said.value if len(said.value) <= _SHOWN_CHARACTERS else said.value[:_SHOWN_CHARACTERS] + "…"
        self.problems.append(DescriptorError(f"{self._container}: {said.label}={shown!r}", reason))

    def name(self, word: str) -> str:
        said = self._said.get(word)
        if said is None or not said.value:
            return ""
        try:
            return check_name(said.label, said.value)
        except DescriptorError as error:
            self._problem(said, error.reason)
            self.is_usable = False
            return ""

    def weight(self) -> int:
        said = self._said.get("weight")
        if said is None or not said.value:
            return DEFAULT_WEIGHT
        if _WEIGHT.fullmatch(said.value):
            return int(said.value)
        self._problem(said, f"expected a whole number within 0–999999; counted as {DEFAULT_WEIGHT}")
        return DEFAULT_WEIGHT

    def publish(self) -> int | None:
        said = self._said.get("publish")
        if said is None or not said.value:
            return None
        try:
            return parse_port(said.value)
        except ValueError as error:
            self._problem(said, str(error))
            return None
