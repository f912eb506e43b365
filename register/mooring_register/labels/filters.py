"""Which containers count: `--filter`, in Docker's own words (`docker ps --filter`). Pure.

As with Docker, each `label` has to hold; of several filters by name, image or network one has to hold. A negated one
(`name!=…`) must never hold. Names and images are patterns: `*`, `?` and `[…]`, in which case matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from attrs import frozen

from mooring_register.containers import Container
from mooring_register.labels.naming import repository

EXPECTED: Final = "label=KEY[=VALUE], name=PATTERN, image=PATTERN or network=NAME, or with != for what must not be"


@frozen
class Filter:
    """One filter: which word, what it is compared with, and whether it says what must not be."""

    word: str
    wanted: str
    is_negated: bool = False

    def __str__(self) -> str:
        """Return it as it was given."""
        return f"{self.word}{'!=' if self.is_negated else '='}{self.wanted}"

    def matches(self, container: Container) -> bool:
        """Whether what is wanted is found in a container, negated or not."""
        return _MATCHES[self.word](container, self.wanted)


def parse_filter(text: str) -> Filter:
    """Read a filter.

    Raises:
        ValueError: it is none.
    """
    before, equals, wanted = text.partition("=")
    word = before.removesuffix("!")
    if not equals or not wanted or word not in _MATCHES:
        message = f"expected {EXPECTED}, got {text!r}"
        raise ValueError(message)
    return Filter(word, wanted, before != word)


def reason_against(filters: Iterable[Filter], container: Container) -> str:
    """Return why the filters leave a container out, or nothing."""
    alternatives: dict[str, list[Filter]] = {}
    for one in filters:
        if one.is_negated and one.matches(container):
            return f"--filter {one} leaves it out"
        if not one.is_negated:
            alternatives.setdefault(str(one) if one.word == "label" else one.word, []).append(one)
    for asked in alternatives.values():
        if not any(one.matches(container) for one in asked):
            return "it is not what --filter " + " or ".join(map(str, asked)) + " asks for"
    return ""


def _label(container: Container, wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    said = {**container.other_labels, **container.labels}
    return key in said and (not equals or said[key] == value)


def _name(container: Container, wanted: str) -> bool:
    return fnmatchcase(container.name.removeprefix("/"), wanted.removeprefix("/"))


def _image(container: Container, wanted: str) -> bool:
    return fnmatchcase(container.image, wanted) or fnmatchcase(repository(container.image), wanted)


def _network(container: Container, wanted: str) -> bool:
    return wanted == container.network_mode or any(network.name == wanted for network in container.networks)


_MATCHES: Final[Mapping[str, Callable[[Container, str], bool]]] = {
    "label": _label,
    "name": _name,
    "image": _image,
    "network": _network,
}
