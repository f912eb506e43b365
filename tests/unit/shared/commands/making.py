"""What the tests of the commands are made of."""

from __future__ import annotations

from mooring.entries import Entry, encode_entry
from mooring.facts import Fact
from mooring.redis.stream import RawEntry


def raw_of(fact: Fact) -> RawEntry:
    """Return a fact as it stands in a stream."""
    entry = Entry(sequence=7, incarnation="life", epoch=1, at=1.0, fact=fact, source="etcd://h:1/s", seen_stream=2.0)
    return RawEntry(7, encode_entry(entry))
