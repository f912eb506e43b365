"""The follower's machine: what each state makes of what it is shown."""

from __future__ import annotations

import pytest
from attrs import evolve

from mooring.catalog import Catalog, catalog_of
from mooring.entries import Entry, encode_entry
from mooring.facts import EpochBegan, Fact, InstanceAdded, InstanceChanged, InstanceRemoved
from mooring.model import Address, Instance, State
from mooring.redis.stream import Head, RawEntry
from mooring_proxy.follower import step
from mooring_proxy.following import (
    Behind,
    CatalogScanned,
    CatchingUp,
    CheckDue,
    Checked,
    Crashed,
    Doubting,
    EntriesRead,
    Following,
    Froze,
    Frozen,
    HeadRead,
    Known,
    Position,
    RedisLost,
    Scanning,
    Skipped,
    StartedOver,
    Starting,
    Updated,
    Waiting,
)

ONE = Instance(service="web", id="one", address=Address("10.0.0.1", 80), port=80)
TWO = Instance(service="web", id="two", address=Address("10.0.0.2", 80), port=80)
PORTS = {"80/tcp": "web"}
HERE = "this life of Redis"
HEAD = Head(incarnation="life", epoch=1, sequence=5, complete=True, run_id=HERE)


def known(sequence: int, *instances: Instance) -> Known:
    """Return what is known at a sequence."""
    return Known(Position("life", sequence), catalog_of(instances), PORTS)


def raw(sequence: int, fact: Fact, incarnation: str = "life", **fields: str) -> RawEntry:
    """Return an entry as it is read; `fields` replace some of its own."""
    entry = Entry(sequence=sequence, incarnation=incarnation, epoch=1, at=1.0, fact=fact)
    return RawEntry(sequence, {**encode_entry(entry), **fields})


@pytest.mark.parametrize("head", [None, evolve(HEAD, complete=False)])
def test_it_waits_for_a_complete_stream(head: Head | None) -> None:
    """Neither no stream nor one that is still being filled is begun with."""
    state, (told,) = step(Starting(), HeadRead(head, HERE, 0.0))
    assert state == Starting()
    assert isinstance(told, Waiting)


def test_a_stream_of_an_earlier_life_of_redis_is_not_begun_with_at_once() -> None:
    """What Redis kept over a restart is waited on until discover has begun anew, and taken when it does not."""
    old = HeadRead(HEAD, "another life of Redis", 100.0)
    waiting, (told,) = step(Starting(), old)
    assert isinstance(told, Waiting)
    assert step(waiting, evolve(old, now=102.9))[0] == waiting
    assert step(waiting, evolve(old, now=103.0)) == (Scanning(HEAD), ())
    begun_anew = evolve(HEAD, incarnation="next life", run_id=old.run_id)
    assert step(waiting, evolve(old, head=begun_anew, now=101.0)) == (Scanning(begun_anew), ())


def test_a_scan_that_nothing_moved_under_is_complete() -> None:
    """The catalog is told at once when the head did not move while it was read."""
    state, _ = step(Starting(), HeadRead(HEAD, HERE, 0.0))
    assert state == Scanning(HEAD)
    state, told = step(state, CatalogScanned(catalog_of([ONE]), PORTS, HEAD))
    assert state == Following(known(5, ONE))
    assert told == (Updated(known(5, ONE)),)


def test_a_scan_is_told_only_when_the_cursor_has_passed_the_head_after_it() -> None:
    """A catalog that may hold half of two entries is nobody's business until both are read."""
    scanned = catalog_of([ONE, TWO])
    state, told = step(Scanning(HEAD), CatalogScanned(scanned, PORTS, evolve(HEAD, sequence=7)))
    assert (state, told) == (CatchingUp(Known(Position("life", 5), scanned, PORTS), 7), ())
    state, told = step(state, EntriesRead((raw(6, InstanceAdded(TWO)),)))
    assert told == ()
    state, told = step(state, EntriesRead((raw(7, InstanceRemoved(ONE)),)))
    assert state == Doubting(known(7, TWO))
    assert [one.known for one in told if isinstance(one, Updated)] == [known(7, TWO)]


def test_entries_move_the_cursor_and_are_told() -> None:
    """A batch is folded as a whole, and handed on with its entries."""
    state, (told,) = step(Following(known(5, ONE)), EntriesRead((raw(6, EpochBegan("b")), raw(7, InstanceAdded(TWO)))))
    assert state == Doubting(known(7, ONE, TWO))
    assert isinstance(told, Updated)
    assert [entry.sequence for entry in told.entries] == [6, 7]


def test_a_change_of_state_alone_moves_no_port() -> None:
    """The ports are not asked for after what cannot have moved them."""
    draining = evolve(ONE, state=State.DRAINING)
    state, _ = step(Following(known(5, ONE)), EntriesRead((raw(6, InstanceChanged(draining, ONE)),)))
    assert state == Following(known(6, draining))


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([raw(6, InstanceAdded(TWO), "another")], "an entry of another incarnation"),
        ([raw(6, InstanceAdded(TWO), "another", v="9")], "an entry of another incarnation"),
        ([raw(8, InstanceAdded(TWO))], "entries are missing"),
        ([raw(5, InstanceAdded(TWO))], "entries are missing"),
    ],
)
def test_what_does_not_follow_the_cursor_starts_over(entries: list[RawEntry], reason: str) -> None:
    """Redis reports neither a trim nor a reset: the entries themselves give it away."""
    assert step(Following(known(5, ONE)), EntriesRead(tuple(entries))) == (Starting(), (StartedOver(reason),))


def test_what_came_before_the_break_is_still_told() -> None:
    """The good beginning of a batch counts, whatever its end is."""
    batch = (raw(6, InstanceAdded(TWO)), raw(7, InstanceAdded(ONE), "another"))
    state, told = step(Following(known(5, ONE)), EntriesRead(batch))
    assert state == Starting()
    assert [type(one) for one in told] == [Updated, StartedOver]


@pytest.mark.parametrize("fields", [{"v": "2"}, {"v": "x"}, {"type": ""}, {"value": "{"}, {"value": '{"v":2}'}])
def test_an_entry_that_cannot_be_understood_freezes(fields: dict[str, str]) -> None:
    """Neither a later format nor a broken entry is passed over; what came before it is told, what comes after never."""
    batch = (raw(6, InstanceAdded(TWO)), raw(7, InstanceAdded(TWO), **fields), raw(8, InstanceRemoved(ONE)))
    state, told = step(Following(known(5, ONE)), EntriesRead(batch))
    assert isinstance(state, Frozen)
    update, froze = told
    assert isinstance(update, Updated)
    assert isinstance(froze, Froze)
    assert (update.known.position, froze.position) == (Position("life", 6), Position("life", 6))
    assert "entry 7-0" in froze.reason
    assert step(state, HeadRead(HEAD, HERE, 0.0)) == (state, ())


def test_an_unknown_type_is_counted_and_passed_over() -> None:
    """A later Mooring may say more than we understand, as long as it keeps the format."""
    batch = (raw(6, EpochBegan("b"), type="moon-rose"), raw(7, InstanceAdded(TWO)))
    state, (skipped, update) = step(Following(known(5, ONE)), EntriesRead(batch))
    assert skipped == Skipped(1)
    assert isinstance(update, Updated)
    assert state == Doubting(known(7, ONE, TWO))


def test_a_wait_without_entries_raises_doubt() -> None:
    """A stream that is gone looks like one in which nothing happens: the head is asked for."""
    assert step(Following(known(5, ONE)), EntriesRead(())) == (Doubting(known(5, ONE)), ())
    assert step(Following(known(5, ONE)), CheckDue()) == (Doubting(known(5, ONE)), ())


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (None, "the stream is gone"),
        (evolve(HEAD, incarnation="another"), "another incarnation of the stream"),
        (evolve(HEAD, sequence=9, first=7), "the stream was trimmed past the cursor"),
    ],
)
def test_a_head_that_does_not_fit_the_cursor_starts_over(head: Head | None, reason: str) -> None:
    """Doubts that were right: nothing read together with such a head is believed."""
    assert step(Doubting(known(5, ONE)), Checked({}, head)) == (Starting(), (StartedOver(reason),))
    assert step(Scanning(HEAD), CatalogScanned(Catalog(), {}, head)) == (Starting(), (StartedOver(reason),))


def test_a_stream_that_lost_what_we_know_is_neither_believed_nor_followed() -> None:
    """A replica that lacked the last entries became the primary: until somebody writes there, we know more."""
    ends_before, reason = evolve(HEAD, sequence=4), "the stream ends before the cursor"
    behind = Behind(known(5, ONE), 4)
    assert step(Doubting(known(5, ONE)), Checked({}, ends_before)) == (behind, (Waiting(reason),))
    assert step(behind, Checked({}, ends_before)) == (behind, (Waiting(reason),))
    assert step(behind, Checked({}, evolve(ends_before, epoch=9))) == (behind, (Waiting(reason),))
    assert step(behind, RedisLost("")) == (behind, ())
    # Nothing to keep up with yet: what is there is the best there is.
    scanned = CatalogScanned(Catalog(), {}, ends_before)
    assert step(Scanning(HEAD), scanned) == (Starting(), (StartedOver(reason),))


@pytest.mark.parametrize("sequence", [3, 5, 6, 9])
def test_a_stream_that_lost_what_we_know_and_goes_on_is_read_anew(sequence: int) -> None:
    """Its numbers say nothing any more: also the very one that we stand at may be another entry."""
    for head in (evolve(HEAD, sequence=sequence), evolve(HEAD, incarnation="another", sequence=sequence), None):
        state, (told,) = step(Behind(known(5, ONE), 4), Checked(PORTS, head))
        assert state == Starting()
        assert isinstance(told, StartedOver)


def test_a_trim_up_to_the_cursor_is_none_of_our_business() -> None:
    """The next entry is still there."""
    assert step(Doubting(known(5, ONE)), Checked(PORTS, evolve(HEAD, first=6))) == (Following(known(5, ONE)), ())


def test_ports_are_news_only_when_they_differ() -> None:
    """A check that finds other ports tells the same catalog with them."""
    other = evolve(known(5, ONE), ports={"81/tcp": "web"})
    assert step(Doubting(known(5, ONE)), Checked(PORTS, HEAD)) == (Following(known(5, ONE)), ())
    assert step(Doubting(known(5, ONE)), Checked(other.ports, HEAD)) == (Following(other), (Updated(other),))


def test_redis_away_keeps_what_is_known() -> None:
    """A lost connection throws away what was begun, and keeps what is complete, in doubt."""
    assert step(Following(known(5, ONE)), RedisLost("")) == (Doubting(known(5, ONE)), ())
    assert step(Doubting(known(5, ONE)), RedisLost("")) == (Doubting(known(5, ONE)), ())
    for begun in (Starting(), Scanning(HEAD), CatchingUp(known(5, ONE), 9)):
        assert step(begun, RedisLost("")) == (Starting(), ())


def test_catching_up_with_what_is_not_there_starts_over() -> None:
    """The stream was replaced between the head and the read."""
    state, (told,) = step(CatchingUp(known(5, ONE), 9), EntriesRead(()))
    assert state == Starting()
    assert isinstance(told, StartedOver)


def test_our_own_bug_freezes() -> None:
    """It is told where the table stands, and nothing thaws it."""
    state, told = step(Following(known(5, ONE)), Crashed("KeyError()"))
    assert told == (Froze(Position("life", 5), "KeyError()"),)
    assert step(state, EntriesRead((raw(6, InstanceAdded(TWO)),))) == (state, ())


def test_what_a_state_did_not_ask_for_is_a_bug() -> None:
    """The edge cannot show entries to a follower that knows no cursor."""
    with pytest.raises(TypeError, match="EntriesRead"):
        step(Starting(), EntriesRead(()))
