"""An entry as a row and as a JSON object: what it says, and also when it cannot be read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from mooring.commands.choosing import Choice
from mooring.commands.entry_forms import TITLES, Notice, Unreadable, document, json_line, lines_of, read, row, text
from mooring.documents import encode_instance
from mooring.entries import Entry, encode_entry
from mooring.facts import EpochBegan, Fact, InstanceAdded, SettingChanged, SettingRemoved
from mooring.model import Address, Instance, Json
from mooring.redis.stream import RawEntry
from mooring.selector import parse_selector
from mooring.tables import Columns, harmless
from tests.strategies import entries
from tests.unit.shared.commands.making import raw_of

GOLDEN = Path(__file__).parents[3] / "golden/v1"
WEB = Instance(service="web/v1", id="h:web.1:80", address=Address("10.0.0.5", 80))


def golden(name: str) -> RawEntry:
    """Return an entry whose wire form is frozen."""
    lines = (GOLDEN / f"{name}.txt").read_text().splitlines()
    return RawEntry(7, dict(line.split(" ", 1) for line in lines))


TIME, SOURCE = "2025-11-20 10:20:00.750", "etcd://10.0.0.9:2379/services"
ROWS = [
    (
        "instance-changed",
        f"{TIME}|instance-changed|hello/größe|host1:web.1:80|10.0.0.5:32768|draining|stopping|{SOURCE}|627 ms",
    ),
    ("epoch-began", f"{TIME}|epoch-began||host1-4711||||{SOURCE}|"),
    ("source-lost", f"{TIME}|source-lost|||||10.0.0.9:2379: deadline exceeded|{SOURCE}|"),
]


@pytest.mark.parametrize(("name", "cells"), ROWS)
def test_an_entry_is_a_row(name: str, cells: str) -> None:
    """Each column has what its title says; what an entry does not have is empty."""
    found = read(golden(name))
    assert isinstance(found, tuple)
    assert "|".join(row(found, UTC)) == f"7|{cells}"
    assert len(row(found, UTC)) == len(TITLES)


def test_an_entry_as_json_has_every_field_decoded() -> None:
    """Numbers are numbers, documents are objects, and what the table works out is there too."""
    raw = golden("instance-changed")
    said: dict[str, Any] = json.loads(json_line(document(read(raw))))
    assert said.keys() == {"sequence", "id", "delay_ms", *raw.fields}
    assert (said["sequence"], said["v"], said["epoch"], said["at"]) == (7, 1, 3, 1763634000.5)
    assert (said["id"], said["delay_ms"]) == ("host1:web.1:80", 627.0)
    assert said["value"]["state"] == "draining"
    assert said["before"]["state"] == "up"


@pytest.mark.parametrize(
    ("fact", "value", "before"),
    [
        (SettingChanged("a", "7", "[]"), "7", "[]"),
        (SettingChanged("a", "{", None), "{", None),
        (SettingRemoved("a", ""), "", None),
    ],
)
def test_the_value_of_a_setting_is_text(fact: Fact, value: str, before: str | None) -> None:
    """A setting whose text happens to be JSON stays the text that it is."""
    said = document(read(raw_of(fact)))
    assert (said["value"], said.get("before")) == (value, before)


@given(entries())
def test_every_legal_entry_is_a_row_and_a_line(entry: Entry) -> None:
    """Whatever discover may write is one row and one line of JSON."""
    found = read(RawEntry(entry.sequence, encode_entry(entry)))
    assert isinstance(found, tuple)
    assert len(Columns(TITLES).lines([row(found, UTC)])) == 2
    line = json_line(document(found))
    assert "\n" not in line
    assert json.loads(line)["sequence"] == entry.sequence


UNREADABLE = [
    ({"hello": "there"}, "v is missing"),
    ({**raw_of(EpochBegan("a")).fields, "v": "2"}, "format 2, this Mooring reads 1"),
    ({**raw_of(EpochBegan("a")).fields, "type": "moon-rose"}, "there is no type 'moon-rose' here"),
    ({**raw_of(InstanceAdded(WEB)).fields, "value": "{"}, "not JSON"),
]


@pytest.mark.parametrize(("fields", "reason"), UNREADABLE)
def test_what_cannot_be_read_is_shown_as_it_is(fields: Mapping[str, str], reason: str) -> None:
    """With the reason and all its fields; as JSON likewise; and no filter hides it."""
    raw = RawEntry(7, fields)
    found = read(raw)
    assert isinstance(found, Unreadable)
    assert reason in found.reason
    assert all(f"{name}={harmless(value)}" in text(found) for name, value in fields.items())
    assert document(found) == {"sequence": 7, "unreadable": found.reason, "fields": dict(fields)}
    assert Choice(types=frozenset({"instance-added"}), selector=parse_selector("db")).wants(raw)


def test_a_field_that_nobody_needs_may_hold_anything() -> None:
    """What decoding passes over is passed on as text, and spoils no line."""
    fields = {**raw_of(InstanceAdded(WEB)).fields, "before": "{", "seen_docker": "nan", "note": "7"}
    said = document(read(RawEntry(7, fields)))
    assert (said["before"], said["seen_docker"], said["note"]) == ("{", "nan", "7")


def test_rows_and_other_lines_keep_their_order() -> None:
    """Titles come once; a notice stands where it belongs, and later rows below the columns of the earlier."""
    columns = Columns(TITLES)
    one, unreadable = read(raw_of(SettingChanged("a", "b"))), read(RawEntry(8, {}))
    first = lines_of(columns, [Notice("x"), one, unreadable, one], UTC)
    assert [line.split(" ")[0] for line in first] == ["sequence", "--", "7", "--", "7"]
    (later,) = lines_of(columns, [read(raw_of(EpochBegan("somebody with a long name")))], UTC)
    assert later.index("epoch-began") == first[0].index("type")
    assert lines_of(columns, [], UTC) == []


def test_a_document_is_ascii() -> None:
    """No terminal, pipe or locale can spoil it."""
    line = json_line({"a": "größe", "value": encode_instance(WEB)})
    assert line.isascii()
    said: dict[str, Json] = json.loads(line)
    assert said["a"] == "größe"
