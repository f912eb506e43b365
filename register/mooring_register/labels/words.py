"""The words after `SERVICE_`, and what their values mean for one port. Pure.

A value that cannot be understood is reported with its label and the reason, and counts as not said; a port that is
called something impossible is not registered at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from attrs import field, frozen

from mooring.errors import DescriptorError
from mooring.keys import check_name
from mooring.model import DEFAULT_WEIGHT, PROXY_KIND, Json, check_host, parse_port

T = TypeVar("T")

REST_TAG: Final = "rest"

_CHECK_PREFIX: Final = "check_"
_HTTP_PREFIX: Final = "http_"
_KIND: Final = "kind"
# Said of a whole container, in this one spelling: `addresses.reach` reads them.
_WHOLE_CONTAINER: Final = {"network": "SERVICE_NETWORK", "port": "SERVICE_PORT"}
# Words with a meaning of their own, hence no attributes.
_WORDS: Final = frozenset({"name", "id", "tags", "ignore", "publish", "weight", "zone", "network", "port"})
_HTTP_WORDS: Final = frozenset({"path", "host", "strip", "ignore_case"})
_CHECK_DURATIONS: Final = frozenset({"interval", "timeout", "ttl", "deregister_after"})
_CHECK_WORDS: Final = _CHECK_DURATIONS | {
    *("http", "https", "tcp", "cmd", "script", "grpc", "http_method", "https_method", "initial_status"),
    *("grpc_use_tls", "tls_skip_verify"),
}

_WEIGHT = re.compile(r"[0-9]{1,6}")
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ns|us|µs|ms|s|m|h))+")
_PATH = re.compile(r"/[^\s?#\x00-\x1f\x7f]*")
_TRUTHS: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_SHOWN_CHARACTERS: Final = 60


@frozen
class Said:
    """One label or variable: its whole name, and its value."""

    label: str
    value: str
    is_variable: bool = False

    @property
    def source(self) -> str:
        """Where it was said, for people; an operator's option is told as it stands."""
        if self.label.startswith("--"):
            return self.label
        return f"{'variable' if self.is_variable else 'label'} {self.label}"


@frozen(kw_only=True)
class PortDescriptor:
    """What is said about one port. `names` and `id` are empty when nothing is said; `ignored_by` names the label.

    `http` holds `path`, `hosts`, `strip` and `ignore_case` as far as they were said; `is_rest` says that the rest of
    it follows from the service's name.
    """

    names: tuple[str, ...] = ()
    name_is_for_port: bool = False
    id: str = ""
    ignored_by: str = ""
    tags: tuple[str, ...] = ()
    weight: int = DEFAULT_WEIGHT
    publish: int | None = None
    zone: str = ""
    kind: str = ""
    attributes: Mapping[str, str] = field(factory=dict)
    checks: Mapping[str, str] = field(factory=dict)
    http: Mapping[str, Json] = field(factory=dict)
    is_rest: bool = False
    problems: tuple[DescriptorError, ...] = ()
    is_usable: bool = True


def known_words() -> frozenset[str]:
    """Return every word that means something of its own, in lower case."""
    families = {_CHECK_PREFIX: _CHECK_WORDS, _HTTP_PREFIX: _HTTP_WORDS}
    return _WORDS | {_KIND} | {prefix + word for prefix, words in families.items() for word in words}


def is_ours(word: str) -> bool:
    """Whether a word (in lower case) means something of its own; any other names an attribute."""
    return word in _WORDS or word.startswith((_CHECK_PREFIX, _HTTP_PREFIX))


def is_said_once(word: str) -> bool:
    """Whether a word (in lower case) tells a container apart from others, or from services, or says where it is."""
    return word == _KIND or word in _WORDS - {"publish", "weight", "zone"}


def check_spelling(label: str, word: str) -> None:
    """Look whether a label that says this word is read at all.

    Raises:
        ValueError: it is not, because it speaks of one port or one version of IP, or in another case.
    """
    if label != _WHOLE_CONTAINER.get(word, label):
        message = f"means nothing: only {_WHOLE_CONTAINER[word]} is read, for the whole container"
        raise ValueError(message)


def problem(container: str, said: Said, reason: str) -> DescriptorError:
    """Return the error that names the container, the label and as much of its value as is readable."""
    return DescriptorError(f"{container}: {_readable(said.label)}={_shortened(said.value)!r}", reason)


def describe(container: str, said: Mapping[str, Said], *, name_is_for_port: bool, is_tcp: bool) -> PortDescriptor:
    """Read everything that is said about one port. HTTP is spoken over TCP only."""
    reading = _Reading(container, said)
    names, instance_id = reading.names(), reading.value("id", _name, "")
    tags = split_list(said["tags"].value) if "tags" in said else ()
    is_rest = is_tcp and REST_TAG in tags
    kind = PROXY_KIND if _KIND in said and said[_KIND].value.lower() == PROXY_KIND else ""
    return PortDescriptor(
        names=names,
        name_is_for_port=name_is_for_port and bool(names),
        id=instance_id,
        # Any value but the empty one, `false` too: registrator's rule since its version 7.
        ignored_by=said["ignore"].label if "ignore" in said and said["ignore"].value else "",
        tags=tags,
        weight=reading.value("weight", _weight, DEFAULT_WEIGHT),
        publish=reading.value("publish", _port, None),
        zone=reading.value("zone", _zone, ""),
        kind=kind,
        attributes=_attributes(said, kind),
        checks=reading.checks(),
        http=reading.http(is_rest=is_rest) if is_tcp else {},
        is_rest=is_rest,
        problems=tuple(reading.problems),
        is_usable=reading.is_usable,
    )


def _attributes(said: Mapping[str, Said], kind: str) -> dict[str, str]:
    ours = {_KIND} if kind else set()
    return {word: one.value for word, one in sorted(said.items()) if word not in ours and not is_ours(word)}


def split_list(text: str) -> tuple[str, ...]:
    r"""Split at commas but not at `\,`, which stands for a comma; empty items are dropped."""
    items = (item.replace("\\,", ",").strip() for item in re.split(r"(?<!\\),", text))
    return tuple(item for item in items if item)


class _Reading:
    """Reads the words of one port, and collects what is wrong with them."""

    def __init__(self, container: str, said: Mapping[str, Said]) -> None:
        self._container = container
        self._said = said
        self.problems: list[DescriptorError] = []
        self.is_usable = True

    def _problem(self, said: Said, reason: str) -> None:
        self.problems.append(problem(self._container, said, reason))

    def names(self) -> tuple[str, ...]:
        """Return the names that are usable; without one, where some was given, the port is not."""
        said = self._said.get("name")
        if said is None or not said.value:
            return ()
        names: list[str] = []
        items = split_list(said.value)
        for item in items:
            try:
                names.append(_name(item))
            except ValueError as error:
                self._problem(said, str(error))
        if not items:
            self._problem(said, "there is no name between the commas")
        self.is_usable = self.is_usable and bool(names)
        return tuple(dict.fromkeys(names))

    def value(self, word: str, parse: Callable[[str], T], default: T) -> T:
        """Read one word by a function that raises `ValueError` with the reason."""
        said = self._said.get(word)
        if said is None or not said.value:
            return default
        try:
            return parse(said.value)
        except ValueError as error:
            self._problem(said, str(error))
            # An id that cannot be used must not become another one: somebody refers to it.
            self.is_usable = self.is_usable and word != "id"
            return default

    def checks(self) -> dict[str, str]:
        """Return what is said of checks; a word that nobody knows would be waited for in vain."""
        checks: dict[str, str] = {}
        for word, rest, said in self._family(_CHECK_PREFIX):
            if rest not in _CHECK_WORDS:
                self._problem(said, f"there is no such word; those of checks are {_listing(_CHECK_WORDS)}")
            elif value := self.value(word, _duration if rest in _CHECK_DURATIONS else str, ""):
                checks[rest] = value
        return checks

    def http(self, *, is_rest: bool) -> dict[str, Json]:
        """Return what is said of HTTP."""
        for _, rest, said in self._family(_HTTP_PREFIX):
            if rest not in _HTTP_WORDS:
                self._problem(said, f"there is no such word; those of HTTP are {_listing(_HTTP_WORDS)}")
        no_hosts: list[Json] = []
        http: dict[str, Json] = {"path": self.value("http_path", _path, "")}
        http["hosts"] = self.value("http_host", _hosts, no_hosts)
        http = {word: value for word, value in http.items() if value}
        for word in ("strip", "ignore_case"):
            truth = self.value(_HTTP_PREFIX + word, _truth, None)
            if truth is None:
                continue
            if truth and "path" not in http and not is_rest:
                self._problem(self._said[_HTTP_PREFIX + word], "means nothing without SERVICE_HTTP_PATH")
            else:
                http[word] = truth
        return http if http.keys() & {"path", "hosts"} or is_rest else {}

    def _family(self, prefix: str) -> list[tuple[str, str, Said]]:
        return [
            (word, word.removeprefix(prefix), said)
            for word, said in sorted(self._said.items())
            if word.startswith(prefix)
        ]


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _readable(label: str) -> str:
    shown = _shortened(label)
    return shown if shown.isprintable() else shown.encode("unicode_escape").decode()


def _listing(words: frozenset[str]) -> str:
    return ", ".join(sorted(word.upper() for word in words))


def _name(text: str) -> str:
    try:
        return check_name("", text)
    except DescriptorError as error:
        raise ValueError(error.reason) from None


def _weight(text: str) -> int:
    if _WEIGHT.fullmatch(text) is None:
        message = f"expected a whole number within 0–999999; counted as {DEFAULT_WEIGHT}"
        raise ValueError(message)
    return int(text)


def _port(text: str) -> int | None:
    return parse_port(text)


def _zone(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected the name of a zone, without control characters")
    return text


def _duration(text: str) -> str:
    if _DURATION.fullmatch(text) is None:
        raise ValueError("expected a duration such as 10s or 1m30s")
    return text


def _path(text: str) -> str:
    if _PATH.fullmatch(text) is None:
        raise ValueError("expected a path that begins with / and has no space, ? or #")
    return text


def _hosts(text: str) -> list[Json]:
    hosts = list(dict.fromkeys(host.lower() for host in split_list(text)))
    for host in hosts:
        check_host(host.removeprefix("*."))
    return [*hosts]


def _truth(text: str) -> bool | None:
    if text.lower() not in _TRUTHS:
        raise ValueError("expected true or false")
    return _TRUTHS[text.lower()]
