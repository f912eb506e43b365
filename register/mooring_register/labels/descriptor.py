r"""What a container says about its ports: `SERVICE_*` in its labels and environment. Pure.

A label speaks of all ports (`SERVICE_NAME`), of one (`SERVICE_80_NAME`), of one in one protocol (`SERVICE_53_udp_NAME`)
or of a range (`SERVICE_8000-8099_NAME`); a word of ours may be said for one version of IP (`SERVICE_NAME_IPV6`). The
narrower wins, wherever it was said; of two that speak of the same, the label wins over the variable. Every problem of
a container is found, not only the first. What the words mean is read in `words`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Final

from attrs import field, frozen

from mooring.errors import DescriptorError
from mooring.model import parse_port
from mooring_register.labels.words import PortDescriptor, Said, check_spelling, describe, is_ours, problem

_LABEL = re.compile(
    r"SERVICE_(?:(?P<first>[0-9]+)(?:-(?P<last>[0-9]+))?_(?:(?P<proto>(?i:tcp|udp))_)?)?(?P<word>.+)", re.DOTALL
)
# Far more than anybody says, and far less than an etcd or a Consul takes at once.
LABEL_MOST_BYTES: Final = 16_384
LABELS_MOST_BYTES: Final = 65_536

# What these are worth does not end up in a document as it is, and leaving one out would register what should not be.
_DECIDING: Final = frozenset({"name", "id", "ignore"})
_IP_VERSIONS: Final = {"_ipv4": 4, "_ipv6": 6}


class Breadth(IntEnum):
    """How many ports a label speaks of; the lower wins."""

    PORT = 0
    RANGE = 1
    ALL = 2


@frozen
class Spot:
    """What can be spoken of: a container's port, in a protocol, and the version of IP (4 or 6) of its address."""

    port: int
    proto: str = "tcp"
    ip_version: int = 4


# What is said of all ports covers it, and nothing else does.
NO_PORT: Final = Spot(0)


@frozen
class Scope:
    """The spots that a label speaks of. Without a protocol or a version of IP, those of every one."""

    breadth: Breadth
    first: int = 0
    last: int = 0
    proto: str = ""
    ip_version: int = 0

    def covers(self, spot: Spot) -> bool:
        """Whether a spot is spoken of."""
        return (
            (self.breadth is Breadth.ALL or self.first <= spot.port <= self.last)
            and self.proto in ("", spot.proto)
            and self.ip_version in (0, spot.ip_version)
        )

    @property
    def rank(self) -> tuple[int, int, bool, bool, int]:
        """Order scopes: the port, then narrow and wide ranges, then all; in each the more exact; the lower range."""
        return self.breadth, self.last - self.first, not self.proto, not self.ip_version, self.first


@frozen
class Descriptor:
    """Everything that a container says, by scope and word (in lower case), and what cannot be understood at all."""

    container: str
    sayings: Mapping[tuple[Scope, str], Said] = field(factory=dict)
    problems: tuple[DescriptorError, ...] = ()


def read_descriptor(container: str, labels: Mapping[str, str], environment: Mapping[str, str]) -> Descriptor:
    """Sort what a container says by scope and word; `container` names it in errors."""
    problems: list[DescriptorError] = []
    variables = [Said(name, value, is_variable=True) for name, value in sorted(environment.items())]
    sayings = _sort(container, variables, problems)
    sayings |= _sort(container, [Said(name, value) for name, value in sorted(labels.items())], problems)
    return Descriptor(container, _within_bounds(container, sayings, problems), tuple(problems))


def _within_bounds(
    container: str, sayings: Mapping[tuple[Scope, str], Said], problems: list[DescriptorError]
) -> dict[tuple[Scope, str], Said]:
    """Leave out what is too much: no registry takes documents of any size. What decides who is registered stays."""
    kept, more = {}, LABELS_MOST_BYTES
    for (scope, word), said in sorted(sayings.items(), key=lambda one: (not is_ours(one[0][1]), one[1].label)):
        size = 0 if word in _DECIDING else _bytes_of(said)
        if size > LABEL_MOST_BYTES:
            problems.append(problem(container, said, f"it is over {LABEL_MOST_BYTES} bytes long"))
        elif size > more:
            problems.append(problem(container, said, f"with it, all that is said is over {LABELS_MOST_BYTES} bytes"))
        else:
            kept[scope, word] = said
            more -= size
    return kept


def _bytes_of(said: Said) -> int:
    return len((said.label + said.value).encode())


def describe_port(descriptor: Descriptor, spot: Spot, unsaid: Mapping[str, Said] | None = None) -> PortDescriptor:
    """Return what is said about one spot. Without a usable name or id it cannot be used; the rest falls back.

    `unsaid` are words that count unless the container says them.
    """
    covering = _covering(descriptor, spot)
    named_by = {word: scope for scope, word in covering}.get("name")
    return describe(
        descriptor.container,
        {**(unsaid or {}), **said_about(descriptor, spot)},
        name_is_for_port=named_by is not None and named_by.breadth is Breadth.PORT,
        is_tcp=spot.proto == "tcp",
    )


def said_about(descriptor: Descriptor, spot: Spot) -> dict[str, Said]:
    """Return, by word, what counts of all that is said about one spot."""
    return {word: descriptor.sayings[scope, word] for scope, word in _covering(descriptor, spot)}


def _covering(descriptor: Descriptor, spot: Spot) -> list[tuple[Scope, str]]:
    """Return what speaks of a spot, the narrowest last."""
    covering = [(scope, word) for scope, word in descriptor.sayings if scope.covers(spot)]
    return sorted(covering, key=lambda one: one[0].rank, reverse=True)


def spoken_of_in_vain(descriptor: Descriptor, ports: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Yield each port that is spoken of by its number and is none of `ports`, with a label that does."""
    known = set(ports)
    vain: dict[int, str] = {}
    for (scope, _), said in descriptor.sayings.items():
        if scope.breadth is Breadth.PORT and scope.first not in known:
            vain.setdefault(scope.first, said.label)
    yield from sorted(vain.items())


def _sort(container: str, all_said: Iterable[Said], problems: list[DescriptorError]) -> dict[tuple[Scope, str], Said]:
    """Sort what was said, given in the order of its names: of two spellings of one word the first one counts."""
    sayings: dict[tuple[Scope, str], Said] = {}
    for said in all_said:
        found = _LABEL.fullmatch(said.label)
        if found is None:
            continue
        try:
            _check_text(said)
            place = _place(found)
            check_spelling(said.label, place[1])
        except ValueError as error:
            problems.append(problem(container, said, str(error)))
            continue
        if (held := sayings.setdefault(place, said)) is not said:
            problems.append(problem(container, said, f"{held.label} says the same word and counts"))
    return sayings


def _check_text(said: Said) -> None:
    try:
        (said.label + said.value).encode()
    except UnicodeEncodeError:
        raise ValueError("it has half a character") from None


def _place(found: re.Match[str]) -> tuple[Scope, str]:
    """Return of what a label speaks and its word; raises `ValueError` with the reason."""
    word, ip_version = _without_ip_version(found["word"].lower())
    proto = (found["proto"] or "").lower()
    if not found["first"]:
        return Scope(Breadth.ALL, ip_version=ip_version), word
    first = parse_port(found["first"])
    if not found["last"]:
        return Scope(Breadth.PORT, first, first, proto, ip_version), word
    last = parse_port(found["last"])
    if last < first:
        message = f"the range {first}-{last} ends before it begins"
        raise ValueError(message)
    return Scope(Breadth.RANGE, first, last, proto, ip_version), word


def _without_ip_version(word: str) -> tuple[str, int]:
    """Cut `_ipv4` or `_ipv6` off a word of ours; an attribute's name stays whole, it may end as it likes."""
    for ending, ip_version in _IP_VERSIONS.items():
        if word.endswith(ending) and is_ours(word.removesuffix(ending)):
            return word.removesuffix(ending), ip_version
    return word, 0
