"""News in batches, and what is written once they are appended."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.catalog import catalog_of
from mooring.facts import InstanceAdded
from mooring_discover.batches import MOST_ENTRIES, Wanted, Written, advanced, batches, trimmed_to
from mooring_discover.differences import News
from tests.unit.discover.making import instance

WRITTEN = Written(incarnation="i", epoch=3, sequence=10, sources={"s:state": "following"})
WANTED = Wanted(ports={}, sources={"s:state": "following", "s:revision": "9"}, complete=False)


def added(count: int) -> list[News]:
    """Return that many additions."""
    return [News(InstanceAdded(instance(name=str(number), port=number + 1)), 1.0) for number in range(count)]


@given(st.integers(0, 2 * MOST_ENTRIES + 1))
def test_batches_continue_each_other_and_add_up(count: int) -> None:
    """Contiguous from what is written, none too long, together all the news; what is advanced is their fold."""
    made = list(batches(WRITTEN, added(count), evolve(WANTED, complete=True), 5.0))
    written = WRITTEN
    for batch in made:
        assert (batch.incarnation, batch.epoch, batch.after) == ("i", 3, written.sequence)
        assert len(batch.entries) <= MOST_ENTRIES
        written = advanced(written, batch)
    assert [entry.sequence for batch in made for entry in batch.entries] == list(range(11, 11 + count))
    assert written.catalog == catalog_of(
        news.fact.instance for news in added(count) if isinstance(news.fact, InstanceAdded)
    )
    assert written.complete
    assert [batch.complete for batch in made] == [False] * (len(made) - 1) + [True]


def test_only_the_last_batch_says_what_the_head_is_to_say() -> None:
    """If we crash in between, the head claims no revision, and no port, that is not written yet."""
    first, last = batches(WRITTEN, added(MOST_ENTRIES + 1), evolve(WANTED, ports={"80/tcp": "web"}), 5.0)
    assert (first.ports, first.sources) == ({}, {})
    assert (last.ports, last.sources) == ({"80/tcp": "web"}, WANTED.sources)


@pytest.mark.parametrize(
    ("wanted", "needed"),
    [
        (WANTED, False),
        (evolve(WANTED, sources={"s:state": "lost since"}), True),
        (evolve(WANTED, ports={"80/tcp": "web"}), True),
        (evolve(WANTED, complete=True), True),
    ],
)
def test_batch_without_entries_is_made_only_when_the_head_or_the_ports_change(wanted: Wanted, needed: bool) -> None:
    """A revision that moves on by itself is not worth a write."""
    made = list(batches(WRITTEN, [], wanted, 5.0))
    assert len(made) == needed
    assert all(not batch.entries for batch in made)


def test_completeness_is_never_taken_back() -> None:
    """Once every source was listed and written in an incarnation, it stays complete."""
    written = evolve(WRITTEN, complete=True)
    assert list(batches(written, [], WANTED, 5.0)) == []
    (batch,) = batches(written, added(1), WANTED, 5.0)
    assert batch.complete


@pytest.mark.parametrize(("sequence", "first", "trimmed"), [(1100, 1, None), (1101, 1, 102), (5000, 4000, None)])
def test_stream_is_trimmed_when_a_tenth_too_long(sequence: int, first: int, trimmed: int | None) -> None:
    """Not at each entry: a tenth more than asked for, then back to what was asked for."""
    assert trimmed_to(evolve(WRITTEN, sequence=sequence, first=first), 1000) == trimmed
