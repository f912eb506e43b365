"""The stored table: what is read is what was written, and nothing else is taken for it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import DocumentError
from mooring_proxy.following import Known, Position
from mooring_proxy.stored_table import decode_known, encode_known
from tests.histories import History, histories

PORTS = st.dictionaries(st.sampled_from(["80/tcp", "53/udp"]), st.sampled_from(["web", "dns/v1"]))


def text_of(history: History, ports: dict[str, str]) -> str:
    """Return a stored table."""
    return encode_known(Known(Position("life", history.head.sequence), history.catalog, ports))


@given(histories(), PORTS)
def test_what_is_read_is_what_was_written(history: History, ports: dict[str, str]) -> None:
    """Catalog, ports and cursor survive."""
    known = decode_known(text_of(history, ports))
    assert known == Known(Position("life", history.head.sequence), history.catalog, ports)


@given(histories(), st.data())
def test_a_text_that_was_cut_short_is_refused(history: History, data: st.DataObject) -> None:
    """Half a file is no table."""
    text = text_of(history, {})
    with pytest.raises(DocumentError):
        decode_known(text[: data.draw(st.integers(0, len(text) - 1))])


@pytest.mark.parametrize("text", ["[]", "null", "{}", '{"v":2}', '{"v":1,"ports":[]}', "\xff"])
def test_what_is_no_stored_table_is_refused(text: str) -> None:
    """With an error that says so, never with another exception."""
    with pytest.raises(DocumentError, match="the stored table"):
        decode_known(text)


@given(histories(), st.sampled_from(["incarnation", "sequence", "ports", "settings", "instances", "bindings"]))
def test_every_part_is_needed(history: History, part: str) -> None:
    """A table without its cursor or its ports is no table."""
    document = json.loads(text_of(history, {}))
    del document[part]
    with pytest.raises(DocumentError):
        decode_known(json.dumps(document))
