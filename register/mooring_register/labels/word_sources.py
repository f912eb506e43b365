"""Where each word that a port is registered with comes from: a label, a variable, an option, or a rule. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

from mooring.model import Instance
from mooring_register.addresses.reach import Place, Policy
from mooring_register.known_containers import Known
from mooring_register.labels.naming import NameFrom
from mooring_register.labels.wording import tells_ports_apart, unsaid_words, view
from mooring_register.labels.words import Said, problem, split_list

# Told apart from the rest: what these decide is shown as such.
_TOLD_ELSEWHERE: Final = frozenset({"name", "id", "tags"})


@frozen
class Word:
    """One thing that a port is registered with, and where it comes from."""

    word: str
    value: str
    source: str


@frozen
class Placed:
    """An instance, the place at which it is reached, and what is said of that, by word."""

    instance: Instance
    place: Place
    said: Mapping[str, Said]


def registered_words(known: Known, policy: Policy, placed: Placed) -> Iterator[Word]:
    """Yield what an instance is registered with; what nobody said stands there only if something follows from it."""
    one, said = placed.instance, placed.said
    yield Word("service", one.service, _source_of_name(one, said, policy))
    yield Word("id", one.id, said["id"].source if _is_said(said, "id") else "the host, the container and the port")
    yield Word("address", str(one.address), placed.place.rule)
    if one.tags:
        yield Word("tags", ",".join(tag.replace(",", r"\,") for tag in one.tags), _source_of_tags(one, said))
    seen = view(known.container, policy.host, placed.place)
    seen = {**seen, "service": one.service, "is_named": _is_said(said, "name")}
    yield from said_words(known, {**unsaid_words(policy.wording, seen, []), **said})


def said_words(known: Known, said: Mapping[str, Said]) -> Iterator[Word]:
    """Yield what else is said of a port, and was understood."""
    wrong, name = {one.where for one in known.problems}, known.container.name.removeprefix("/")
    for word, one in sorted(said.items()):
        if word not in _TOLD_ELSEWHERE and one.value and problem(name, one, "").where not in wrong:
            yield Word(word, one.value, one.source)


def _is_said(said: Mapping[str, Said], word: str) -> bool:
    return word in said and bool(said[word].value)


def _source_of_name(one: Instance, said: Mapping[str, Said], policy: Policy) -> str:
    if _is_said(said, "name"):
        name, source = said["name"].value, said["name"].source
    elif policy.name_from is NameFrom.IMAGE:
        name, source = "", f"image {one.image}"
    else:
        name, source = "", f"--name-from {policy.name_from}"
    if (template := policy.wording.name) is not None:
        source = f"{template.option}, of {source}"
        if tells_ports_apart(template):
            return source
    is_numbered = one.service.endswith(f"-{one.port}") and not name.endswith(f"-{one.port}")
    return f"{source}, with the port: several share the name" if is_numbered else source


def _source_of_tags(one: Instance, said: Mapping[str, Said]) -> str:
    own = split_list(said["tags"].value) if "tags" in said else ()
    of_proto = () if one.address.proto == "tcp" else (one.address.proto,)
    sources = {
        said["tags"].source if own else "": own,
        "--tags": set(one.tags) - {*own, *of_proto},
        "its protocol": set(of_proto) - set(own),
    }
    return ", ".join(source for source, tags in sources.items() if tags)
