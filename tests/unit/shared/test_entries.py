"""The wire form of the stream: what is written is read, what is unknown is passed over, what is broken is named."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.catalog import Catalog, fold
from mooring.entries import Entry, decode_entry, encode_entry
from mooring.errors import EntryError, NewerVersion
from mooring.facts import FACT_TYPES, BindingAdded, InstanceAdded, InstanceChanged, SettingChanged, SourceLost
from mooring.model import Address, Binding, Instance
from tests.strategies import catalogs, entries

GOLDEN = Path(__file__).parents[2] / "golden" / "v1"
INSTANCE = Instance(service="web", id="h:web:80", address=Address("10.0.0.5", 80), cause="started", seen_docker=1.5)


def fields_of(fact: InstanceAdded | InstanceChanged | BindingAdded | SettingChanged | SourceLost) -> dict[str, str]:
    """Return the fields of an entry about a fact."""
    return encode_entry(Entry(sequence=7, incarnation="life", epoch=1, at=2.0, fact=fact, seen_stream=2.25))


@given(entries())
def test_entry_is_read_as_it_was_written(entry: Entry) -> None:
    """decode(encode(x)) == x, for facts of every type."""
    assert decode_entry(entry.sequence, encode_entry(entry)) == entry


@given(entries())
def test_entry_is_flat_text(entry: Entry) -> None:
    """Every field is text that Redis can hold, and none but a setting's value is empty."""
    fields = encode_entry(entry)
    assert all(value.encode() for name, value in fields.items() if name != "value")
    assert list(fields)[:5] == ["v", "incarnation", "epoch", "at", "type"]


@given(catalogs(), entries())
def test_decoded_fact_does_what_the_fact_does(catalog: Catalog, entry: Entry) -> None:
    """A proxy that reads the stream comes to the same catalog as the discover that wrote it."""
    decoded = decode_entry(entry.sequence, encode_entry(entry))
    assert decoded is not None
    assert fold(catalog, [decoded.fact]) == fold(catalog, [entry.fact])


@pytest.mark.parametrize("kind", sorted(FACT_TYPES))
def test_entry_of_version_1_never_changes(kind: str) -> None:
    """The golden file of each type is read, and written again byte for byte."""
    golden = (GOLDEN / f"{kind}.txt").read_text()
    fields = dict(line.split(" ", 1) for line in golden.splitlines())
    assert fields["type"] == kind
    entry = decode_entry(12, fields)
    assert entry is not None
    assert isinstance(entry.fact, FACT_TYPES[kind])
    assert "".join(f"{name} {value}\n" for name, value in encode_entry(entry).items()) == golden


def test_every_golden_file_is_of_a_known_type() -> None:
    """No golden file is left over, and none is missing."""
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(FACT_TYPES)


def test_entry_reads_like_a_log() -> None:
    """What a person looks for stands in fields of its own, without opening the document."""
    fields = fields_of(InstanceAdded(INSTANCE))
    shown = {name: fields[name] for name in ("type", "key", "service", "address", "state", "cause", "seen_docker")}
    assert shown == {
        "type": "instance-added",
        "key": "web|h:web:80",
        "service": "web",
        "address": "10.0.0.5:80",
        "state": "up",
        "cause": "started",
        "seen_docker": "1.500000",
    }
    assert fields_of(SourceLost("etcd://registry", "no answer"))["cause"] == "no answer"


def test_unknown_type_is_passed_over() -> None:
    """A type that this version does not know, with whatever fields, is None: to be counted, not to be stopped by."""
    assert decode_entry(7, {"v": "1", "type": "moon-landed"}) is None


def test_unknown_field_is_passed_over() -> None:
    """A field that this version does not know changes nothing."""
    fields = fields_of(InstanceAdded(INSTANCE))
    assert decode_entry(7, fields | {"colour": "blue"}) == decode_entry(7, fields)


@pytest.mark.parametrize("kind", ["instance-added", "moon-landed"])
def test_newer_version_is_not_guessed_at(kind: str) -> None:
    """An entry of a later format is refused before anything else of it is looked at."""
    with pytest.raises(NewerVersion, match="entry 7-0: format 2"):
        decode_entry(7, {"v": "2", "type": kind})


def _without(name: str) -> dict[str, str]:
    return {field: value for field, value in fields_of(InstanceChanged(INSTANCE, INSTANCE)).items() if field != name}


@pytest.mark.parametrize("name", ["v", "incarnation", "epoch", "at", "type", "value", "before", "seen_stream"])
def test_missing_field_is_named(name: str) -> None:
    """An entry without a field that it needs says which one."""
    with pytest.raises(EntryError, match=f"entry 7-0: {name} is missing"):
        decode_entry(7, _without(name))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("v", "one", "v: expected a whole number"),
        ("v", "0", "v: there is no format 0"),
        ("epoch", "1.5", "epoch: expected a whole number"),
        ("at", "now", "at: expected epoch seconds"),
        ("at", "nan", "at: expected epoch seconds"),
        ("seen_stream", "inf", "seen_stream: expected epoch seconds"),
        ("value", "{", "value: not JSON"),
        ("value", '{"v":1,"port":"80"}', "value: service: is empty"),
        ("before", "{}", "before: neither host_port nor port"),
    ],
)
def test_broken_field_is_named(name: str, value: str, reason: str) -> None:
    """An entry with a field that cannot be read says which entry, which field and what was expected."""
    with pytest.raises(EntryError, match=reason) as broken:
        decode_entry(7, fields_of(InstanceChanged(INSTANCE, INSTANCE)) | {name: value})
    assert broken.value.where == "entry 7-0"
    assert not isinstance(broken.value, NewerVersion)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"value": None}, "value is missing"),
        ({"before": "{"}, "before is not JSON"),
        ({"before": "7"}, "before: expected a JSON string"),
        ({"before": "[" * 100_000}, "before is not JSON"),
        ({"key": None}, "key is missing"),
    ],
)
def test_broken_setting_is_named(fields: dict[str, str | None], reason: str) -> None:
    """A setting's own fields are looked at as closely."""
    entry: dict[str, str | None] = {**fields_of(SettingChanged("a", "b", "c")), **fields}
    with pytest.raises(EntryError, match=reason):
        decode_entry(7, {name: value for name, value in entry.items() if value is not None})


def test_empty_setting_is_no_missing_setting() -> None:
    """An empty value, an empty value before, and no value before are three things."""
    for fact in (SettingChanged("a", ""), SettingChanged("a", "", ""), SettingChanged("a", "x", None)):
        decoded = decode_entry(7, fields_of(fact))
        assert decoded is not None
        assert decoded.fact == fact


@given(st.dictionaries(st.sampled_from([*fields_of(InstanceChanged(INSTANCE, INSTANCE)), "x"]), st.text()), st.data())
def test_no_entry_is_a_bug_of_ours(changes: dict[str, str], data: st.DataObject) -> None:
    """Whatever the fields, reading an entry gives an entry, None or an `EntryError`."""
    kind = data.draw(st.sampled_from([*sorted(FACT_TYPES), "moon-landed"]))
    fields = fields_of(InstanceChanged(INSTANCE, INSTANCE)) | {"type": kind} | changes
    try:
        entry = decode_entry(7, fields)
    except EntryError:
        return
    assert entry is None or decode_entry(7, encode_entry(entry)) == entry


def test_binding_is_found_by_its_key() -> None:
    """A binding's key is a field of the entry, not of its document."""
    binding = Binding(key="h/c/BACKEND_DB", service="db", port=5432)
    fields = fields_of(BindingAdded(binding))
    assert "key" not in json.loads(fields["value"])
    decoded = decode_entry(7, fields)
    assert decoded is not None
    assert decoded.fact == BindingAdded(binding)
