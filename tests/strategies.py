"""What Hypothesis draws: legal values of everything that Mooring speaks of, and no illegal ones.

Legal means: could have come out of a registry or a stream. Names are drawn small and often equal, so that different
instances meet in one service and a catalog's keys collide; but any letter may turn up in them.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve
from hypothesis import strategies as st

from mooring.catalog import Catalog, catalog_of
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
from mooring.model import Address, Binding, Instance, Json, State

# Half characters (surrogates) are no text, and control characters are in no name.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_LETTERS = st.characters(exclude_categories=["Cs", "Cc"])
_SEGMENTS = st.text(st.one_of(st.sampled_from("ab%|[*]~ "), _LETTERS), min_size=1, max_size=6).map(
    lambda text: text.replace("/", "_")
)

PORTS = st.integers(1, 65535)
PROTOS = st.sampled_from(["tcp", "udp"])
HOSTS = st.one_of(
    st.sampled_from(["10.0.0.5", "localhost", "web-1.example", "a_b"]),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
)
SERVICES = st.one_of(
    st.sampled_from(["web", "db", "hello/v1"]), st.lists(_SEGMENTS, min_size=1, max_size=3).map("/".join)
)
IDS = st.one_of(st.sampled_from(["h:web.1:80", "h:web.1:80:udp", "consul:dc:node:x"]), SERVICES)
TAGS = st.lists(st.one_of(st.sampled_from(["rest", "eu"]), TEXTS), max_size=3).map(tuple)
STRINGS = st.dictionaries(TEXTS, TEXTS, max_size=3)
# Six decimals are what the wire forms keep.
MOMENTS = st.integers(0, 2**51).map(lambda microseconds: round(microseconds / 1e6, 6))

JSON: st.SearchStrategy[Json] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)


def addresses() -> st.SearchStrategy[Address]:
    """Draw addresses: names, IPv4 and IPv6, over TCP and UDP."""
    return st.builds(Address, HOSTS, PORTS, PROTOS)


def _extras() -> st.SearchStrategy[Mapping[str, Json]]:
    # No field of ours begins with `x-`, and a field that is too long would be dropped.
    return st.dictionaries(TEXTS.map(lambda text: "x-" + text), JSON, max_size=2)


def plain_instances() -> st.SearchStrategy[Instance]:
    """Draw instances that differ in little: quick to draw, for whatever treats an instance as a whole."""
    return st.builds(
        Instance,
        service=SERVICES,
        id=IDS,
        address=st.builds(Address, st.just("10.0.0.5"), PORTS),
        state=st.sampled_from(State),
        tags=st.sampled_from([(), ("rest",)]),
    )


def instances() -> st.SearchStrategy[Instance]:
    """Draw instances with every field in use."""
    return st.builds(
        Instance,
        service=SERVICES,
        id=IDS,
        address=addresses(),
        state=st.sampled_from(State),
        cause=st.one_of(st.sampled_from(["started", "reconciled"]), TEXTS),
        port=st.one_of(st.none(), PORTS),
        publish=st.one_of(st.none(), PORTS),
        container_address=st.one_of(st.just(""), addresses().map(str)),
        weight=st.integers(0, 1000),
        tags=TAGS,
        attributes=STRINGS,
        checks=STRINGS,
        http=st.dictionaries(TEXTS, JSON, max_size=2),
        kind=st.sampled_from(["", "proxy"]),
        zone=st.sampled_from(["", "eu-1"]),
        host=st.sampled_from(["", "host1", "host2"]),
        container=TEXTS,
        name=TEXTS,
        image=TEXTS,
        health=st.sampled_from(["", "healthy", "starting"]),
        started=st.sampled_from(["", "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"]),
        path=TEXTS,
        seen_docker=st.one_of(st.none(), MOMENTS),
        seen_registry=st.one_of(st.none(), MOMENTS),
        extra=_extras(),
    )


BINDING_KEYS = st.one_of(st.sampled_from(["host1/ab12/BACKEND_DB", "host2/cd34/BACKEND_DB"]), SERVICES)


def bindings() -> st.SearchStrategy[Binding]:
    """Draw bindings with every field in use."""
    return st.builds(
        Binding,
        key=BINDING_KEYS,
        service=SERVICES,
        port=PORTS,
        proto=PROTOS,
        tags=TAGS,
        options=STRINGS,
        addresses=st.lists(HOSTS, max_size=2).map(tuple),
        host=st.sampled_from(["", "host1"]),
        container=TEXTS,
    )


SETTING_KEYS = st.one_of(st.sampled_from(["service/haproxy/maxconn"]), TEXTS.filter(bool))


def settings() -> st.SearchStrategy[dict[str, str]]:
    """Draw the key-value settings of a catalog; a value may be empty."""
    return st.dictionaries(SETTING_KEYS, TEXTS, max_size=3)


def catalogs() -> st.SearchStrategy[Catalog]:
    """Draw catalogs of up to a handful of each kind of thing."""
    return st.builds(catalog_of, st.lists(plain_instances(), max_size=5), st.lists(bindings(), max_size=2), settings())


@st.composite
def _instance_changes(draw: st.DrawFn, instances: st.SearchStrategy[Instance]) -> InstanceChanged:
    before, after = draw(instances), draw(instances)
    return InstanceChanged(evolve(after, service=before.service, id=before.id), before)


@st.composite
def _binding_changes(draw: st.DrawFn) -> BindingChanged:
    before, after = draw(bindings()), draw(bindings())
    return BindingChanged(evolve(after, key=before.key), before)


def facts(instances: st.SearchStrategy[Instance]) -> st.SearchStrategy[Fact]:
    """Draw facts of every type, about these instances; each is possible, but they need not follow from one another."""
    return st.one_of(
        st.builds(EpochBegan, TEXTS.filter(bool)),
        st.builds(InstanceAdded, instances),
        _instance_changes(instances),
        st.builds(InstanceRemoved, instances, TEXTS, st.one_of(st.none(), MOMENTS), st.one_of(st.none(), MOMENTS)),
        st.builds(BindingAdded, bindings()),
        _binding_changes(),
        st.builds(BindingRemoved, bindings()),
        st.builds(SettingChanged, SETTING_KEYS, TEXTS, st.one_of(st.none(), TEXTS)),
        st.builds(SettingRemoved, SETTING_KEYS, TEXTS),
        st.builds(SourceLost, TEXTS.filter(bool), TEXTS),
        st.builds(SourceRecovered, TEXTS.filter(bool)),
    )


def entries() -> st.SearchStrategy[Entry]:
    """Draw entries of a stream, about facts of every type."""
    return st.builds(
        Entry,
        sequence=st.integers(1, 2**63),
        incarnation=TEXTS.filter(bool),
        epoch=st.integers(0, 2**63),
        at=MOMENTS,
        fact=facts(instances()),
        source=TEXTS,
        revision=st.one_of(st.just(""), st.integers(0).map(str)),
        seen_stream=MOMENTS,
    )
