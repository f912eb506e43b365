"""The rules of a legal history: every good one passes, and every damage done to one is objected to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.catalog import catalog_of, fold
from mooring.entries import Entry
from mooring.facts import EpochBegan, Fact, InstanceAdded, InstanceChanged, SettingChanged, SourceLost
from mooring.redis.history import objections, port_objections, report_of, transition_of
from mooring.redis.memory import MemoryStream
from mooring.redis.stream import Batch, RawEntry
from tests.checker import check
from tests.histories import History, histories, history_of, instance


def trimmed(history: History, first: int) -> History:
    """Return a history without what is before that sequence."""
    return evolve(history, head=evolve(history.head, first=first), entries=history.entries[first - 1 :])


def renumbered(history: History, entries: tuple[Entry, ...]) -> History:
    """Return the history with these entries instead, contiguous again, so that only their sense is damaged."""
    numbered = tuple(evolve(entry, sequence=sequence) for sequence, entry in enumerate(entries, history.head.first))
    return evolve(history, entries=numbered, head=evolve(history.head, sequence=history.head.first + len(numbered) - 1))


def _with_facts_of_a_key(history: History) -> list[int]:
    return [index for index, entry in enumerate(history.entries) if transition_of(entry.fact) is not None]


Damage: TypeAlias = Callable[[History, st.DataObject], History]


def drop_and_leave_a_gap(history: History, data: st.DataObject) -> History:
    """Lose an entry."""
    index = data.draw(st.integers(0, len(history.entries) - 1))
    return evolve(history, entries=history.entries[:index] + history.entries[index + 1 :])


def drop_without_a_gap(history: History, data: st.DataObject) -> History:
    """Lose a fact before it got its number."""
    index = data.draw(st.sampled_from(_with_facts_of_a_key(history)))
    return renumbered(history, history.entries[:index] + history.entries[index + 1 :])


def repeat(history: History, data: st.DataObject) -> History:
    """Write an entry again, as a library that retries does."""
    index = data.draw(st.sampled_from(_with_facts_of_a_key(history)))
    return renumbered(history, history.entries[: index + 1] + history.entries[index:])


def swap(history: History, data: st.DataObject) -> History:
    """Let two neighbours change places, numbers and all."""
    index = data.draw(st.integers(0, len(history.entries) - 2))
    earlier, later = history.entries[index : index + 2]
    return evolve(history, entries=(*history.entries[:index], later, earlier, *history.entries[index + 2 :]))


def mix_incarnations(history: History, data: st.DataObject) -> History:
    """Let an entry be of another life of the stream."""
    index = data.draw(st.integers(0, len(history.entries) - 1))
    return _with_entry(history, index, evolve(history.entries[index], incarnation="another"))


def write_from_the_past(history: History, data: st.DataObject) -> History:
    """Let a leader that was overtaken write on."""
    fact = SourceLost("etcd://registry", "late")
    late = Entry(sequence=0, incarnation="life", epoch=history.head.epoch, at=1.0, fact=fact)
    opened = Entry(sequence=0, incarnation="life", epoch=history.head.epoch + 1, at=1.0, fact=EpochBegan("b"))
    longer = renumbered(history, (*history.entries, opened, late))
    return evolve(longer, head=evolve(longer.head, epoch=opened.epoch))


def open_no_epoch(history: History, data: st.DataObject) -> History:
    """Leave out how an epoch opens."""
    openings = [index for index, entry in enumerate(history.entries) if isinstance(entry.fact, EpochBegan)]
    index = data.draw(st.sampled_from(openings))
    return _with_entry(history, index, evolve(history.entries[index], fact=SourceLost("etcd://registry", "x")))


def open_an_epoch_twice(history: History, data: st.DataObject) -> History:
    """Open an epoch that is open."""
    again = Entry(sequence=0, incarnation="life", epoch=history.head.epoch, at=1.0, fact=EpochBegan("a"))
    return renumbered(history, (*history.entries, again))


def forget_the_end(history: History, data: st.DataObject) -> History:
    """Let the head be ahead of the stream."""
    return evolve(history, head=evolve(history.head, sequence=history.head.sequence + 1))


def forget_an_epoch(history: History, data: st.DataObject) -> History:
    """Let the head name an epoch before that of the entries."""
    return evolve(history, head=evolve(history.head, epoch=history.head.epoch - 1))


def trim_unnoted(history: History, data: st.DataObject) -> History:
    """Cut off one entry more than the head says."""
    return evolve(history, head=evolve(history.head, first=history.head.first - 1))


def say_what_changes_nothing(history: History, data: st.DataObject) -> History:
    """Write a fact that differs in nothing but its cause and times."""
    old = instance(9, 1)
    new = evolve(old, cause="audited", seen_docker=7.0)
    facts = (InstanceAdded(old), InstanceChanged(new, old))
    more = (Entry(sequence=0, incarnation="life", epoch=history.head.epoch, at=1.0, fact=fact) for fact in facts)
    longer = renumbered(history, (*history.entries, *more))
    return evolve(longer, catalog=fold(history.catalog, facts))


def misremember(history: History, data: st.DataObject) -> History:
    """Let a change say that something else was there before."""
    old, new, wrong = instance(9, 1), instance(9, 2), instance(9, 3)
    facts = (InstanceAdded(old), InstanceChanged(new, wrong))
    more = (Entry(sequence=0, incarnation="life", epoch=history.head.epoch, at=1.0, fact=fact) for fact in facts)
    longer = renumbered(history, (*history.entries, *more))
    return evolve(longer, catalog=fold(history.catalog, facts))


def lose_from_the_catalog(history: History, data: st.DataObject) -> History:
    """Let the catalog lack everything of one kind, or have one too many."""
    extra = catalog_of([instance(9, 1)])
    empty = evolve(history.catalog, services={}, bindings={}, settings={})
    damaged = data.draw(st.sampled_from([extra, empty]))
    return evolve(history, catalog=damaged if damaged != history.catalog else extra)


def change_the_catalog(history: History, data: st.DataObject) -> History:
    """Let the catalog hold something that no fact said."""
    services = {**history.catalog.services, "web/v1": {"h|9%:80": instance(9, 1)}}
    return evolve(history, catalog=evolve(history.catalog, services=services))


def _with_entry(history: History, index: int, entry: Entry) -> History:
    return evolve(history, entries=(*history.entries[:index], entry, *history.entries[index + 1 :]))


DAMAGES: list[Damage] = [
    drop_and_leave_a_gap,
    drop_without_a_gap,
    repeat,
    swap,
    mix_incarnations,
    write_from_the_past,
    open_no_epoch,
    open_an_epoch_twice,
    forget_the_end,
    forget_an_epoch,
    say_what_changes_nothing,
    misremember,
    lose_from_the_catalog,
    change_the_catalog,
]

# What shows although the beginning was trimmed away: damage to facts whose key says no more is no longer to be seen.
DAMAGES_OF_A_TAIL: list[Damage] = [
    repeat,
    mix_incarnations,
    write_from_the_past,
    open_an_epoch_twice,
    forget_the_end,
    forget_an_epoch,
    say_what_changes_nothing,
    misremember,
    trim_unnoted,
]


@given(histories())
def test_a_good_history_passes(history: History) -> None:
    """Nothing is objected to, and the report counts every entry once."""
    assert objections(history.head, history.raw(), history.catalog) == ()
    report = report_of(history.head, history.raw())
    assert sum(report.counts.values()) == len(history.entries)
    assert (report.incarnation, report.first, report.sequence) == ("life", 1, len(history.entries))


@given(histories(), st.data())
def test_a_trimmed_history_passes(history: History, data: st.DataObject) -> None:
    """A history whose beginning was cut off anywhere is checked backwards from the catalog, and is good."""
    first = data.draw(st.integers(1, len(history.entries)))
    short = trimmed(history, first)
    assert objections(short.head, short.raw(), short.catalog) == ()


@pytest.mark.parametrize("damage", DAMAGES)
@given(history=histories(), data=st.data())
def test_every_damage_is_objected_to(damage: Damage, history: History, data: st.DataObject) -> None:
    """No damage to a whole history goes unseen."""
    damaged = damage(history, data)
    assert objections(damaged.head, damaged.raw(), damaged.catalog)


@pytest.mark.parametrize("damage", DAMAGES_OF_A_TAIL)
@given(history=histories(), data=st.data())
def test_damage_to_a_trimmed_history_is_objected_to(damage: Damage, history: History, data: st.DataObject) -> None:
    """What contradicts the catalog, the numbering or the leadership shows without the beginning too."""
    # At least the first entry is cut off, and at least one fact of a key stays.
    first = data.draw(st.integers(2, _with_facts_of_a_key(history)[-1] + 1))
    damaged = damage(trimmed(history, first), data)
    assert objections(damaged.head, damaged.raw(), damaged.catalog)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"value": "{"}, "not JSON"),
        ({"v": "2"}, "format 2"),
        ({"epoch": "x"}, "epoch: expected a whole number"),
        ({"state": "down"}, "state says 'down'"),
        ({"service": "other"}, "service says 'other'"),
    ],
)
def test_an_entry_that_is_not_what_it_says_is_objected_to(fields: Mapping[str, str], reason: str) -> None:
    """An unreadable entry, and one whose fields for the eye differ from its value, are named with the reason."""
    history = history_of([EpochBegan("a"), InstanceAdded(instance(0, 1))], [1, 1])
    opening, added = history.raw()
    damaged = RawEntry(added.sequence, {**added.fields, **fields})
    assert any(reason in found for found in objections(history.head, (opening, damaged), history.catalog))


def test_a_stream_is_read_whole_and_checked() -> None:
    """The reader pages through a stream that is longer than one page."""
    stream = MemoryStream()
    stream.begin(incarnation="life", epoch=1, run_id=stream.run_id())
    facts: list[Fact] = [EpochBegan("a"), *(SettingChanged(f"key/{number}", "x") for number in range(1200))]
    history = history_of(facts, [1] * len(facts))
    for after in range(0, len(facts), 400):
        stream.append(Batch(incarnation="life", epoch=1, after=after, entries=history.entries[after : after + 400]))
    assert check(stream).counts == {"epoch-began": 1, "setting-changed": 1200}


def test_no_stream_is_not_a_good_history() -> None:
    """Where there is no stream, there is nothing to pass."""
    with pytest.raises(AssertionError, match="there is no stream"):
        check(MemoryStream())


PORTS = [
    ({"80/tcp": "web"}, ()),
    ({"80/tcp": "web", "81/tcp": "gone"}, ()),
    ({"80/tcp": "first come"}, ()),
    ({}, ("port 80/tcp is held by nobody, and web wants it",)),
    (
        {"81/tcp": "web"},
        ("port 81/tcp is held by web, which wants 80/tcp", "port 80/tcp is held by nobody, and web wants it"),
    ),
]


@pytest.mark.parametrize(("ports", "found"), PORTS)
def test_ports_that_do_not_follow_from_the_catalog_are_objected_to(
    ports: Mapping[str, str], found: tuple[str, ...]
) -> None:
    """A wish that nobody has, and a port held by who wants another; what a service left, or had first, is legal."""
    catalog = catalog_of([evolve(instance(0, 1), service="web", port=80)])
    assert port_objections(catalog, ports) == found


def test_an_instance_that_differs_is_shown_by_what_differs() -> None:
    """Whoever reads the objection sees the field, not two walls of text."""
    history = history_of([EpochBegan("a"), InstanceAdded(instance(0, 1))], [1, 1])
    heavy = catalog_of([evolve(instance(0, 1), weight=7)])
    (found,) = objections(history.head, history.raw(), heavy)
    assert found.startswith("instance web/v0|h%7C0%25:80: the catalog has up at 10.0.0.5:8001 weight=7, the entries")
    assert found.endswith("give up at 10.0.0.5:8001 weight=100")


def test_a_catalog_that_cannot_be_read_leaves_the_rest_to_be_judged() -> None:
    """Without a catalog to compare, a gap is a gap all the same."""
    history = history_of([EpochBegan("a"), InstanceAdded(instance(0, 1)), SettingChanged("a", "b")], [1, 1, 1])
    first, _, last = history.raw()
    assert objections(history.head, (first, last), None) == ("entry 1-0 is followed by 3-0",)
