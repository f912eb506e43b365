"""Labels and variables that are probably misspelt, and what was probably meant. Pure: it guesses, and decides nothing.

Of a container's other labels only those are looked at whose names nearly are ours; their values never.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from mooring_register.containers import DESCRIPTOR_PREFIX, Container
from mooring_register.labels.descriptor import Breadth, Descriptor, spoken_of_in_vain
from mooring_register.labels.words import Said, is_ours, known_words

# Near enough for a letter that is missing, too many, wrong or swapped, and not for `node`, which is no `zone`.
_NEAR: Final = 0.8
_PORT_BEHIND = re.compile(r"(?P<word>.+?)_(?P<port>[0-9]{1,5})")
_SEPARATORS = re.compile(r"[-.\s]")


def guesses(container: Container, descriptor: Descriptor, ports: Iterable[int], binding_prefix: str) -> Iterator[str]:
    """Yield a sentence for each label that may be misspelt; `ports` are those that the container has."""
    yield from _of_words(descriptor)
    yield from _of_ports(descriptor, sorted(set(ports)))
    for label in sorted(container.other_labels):
        if not label.startswith(binding_prefix) and (meant := _meant(label, binding_prefix)):
            yield f"label {label} is not read; did you mean {meant}?"


def _of_words(descriptor: Descriptor) -> Iterator[str]:
    for (_, word), said in descriptor.sayings.items():
        if not is_ours(word) and (meant := _near_word(word)) and meant != word:
            yield f"{said.source} is taken for the attribute {word!r}; did you mean {_with_word(said, word, meant)}?"
        elif found := _PORT_BEHIND.fullmatch(word):
            right = f"{DESCRIPTOR_PREFIX}{found['port']}_{found['word'].upper()}"
            if found["word"] in known_words():
                yield f"{said.source} is taken for the attribute {word!r}; did you mean {right}?"


def _with_word(said: Said, word: str, meant: str) -> str:
    return said.label[: len(said.label) - len(word)] + meant.upper()


def _of_ports(descriptor: Descriptor, ports: list[int]) -> Iterator[str]:
    for port, label in spoken_of_in_vain(descriptor, ports):
        said = next(
            said
            for (scope, _), said in descriptor.sayings.items()
            if said.label == label and scope.breadth is Breadth.PORT
        )
        theirs = [label.replace(f"_{port}_", f"_{one}_", 1) for one in ports]
        if theirs:
            yield f"{said.source} speaks of port {port}, which it does not have; did you mean {' or '.join(theirs)}?"


def _near_word(word: str) -> str:
    return next(iter(get_close_matches(word, sorted(known_words()), n=1, cutoff=_NEAR)), "")


def _meant(label: str, binding_prefix: str) -> str:
    """Return which of our names a label that does not begin like one of ours nearly is, or nothing."""
    name = _SEPARATORS.sub("_", label.upper())
    head, _, rest = name.partition("_")
    if not rest:
        return ""
    word = rest.rpartition("_")[2] if rest[:1].isdigit() else rest
    if _is_near(head, DESCRIPTOR_PREFIX) and (meant := _near_word(word.lower())):
        return DESCRIPTOR_PREFIX + rest[: len(rest) - len(word)] + meant.upper()
    return binding_prefix + rest if _is_near(head, binding_prefix) else ""


def _is_near(head: str, prefix: str) -> bool:
    return bool(get_close_matches(head, [prefix.rstrip("_").upper()], n=1, cutoff=_NEAR))
