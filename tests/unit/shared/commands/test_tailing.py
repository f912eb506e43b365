"""Following a stream for a person: nothing is shown twice, nothing is left out without a word."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mooring.commands.entry_forms import Notice
from mooring.commands.tailing import NO_STREAM, Cursor, Told, advance
from mooring.redis.memory import MemoryStream
from mooring.redis.stream import Head, RawEntry
from tests.streams import batch_of, setting


def entries(begin: int, end: int, incarnation: str = "life") -> list[RawEntry]:
    """Return the entries from one sequence to another, of which only the incarnation matters."""
    return [RawEntry(sequence, {"incarnation": incarnation}) for sequence in range(begin, end + 1)]


def head(sequence: int, incarnation: str = "life", first: int = 1) -> Head:
    """Return the head of such a stream."""
    return Head(incarnation=incarnation, epoch=1, sequence=sequence, first=first)


def at(sequence: int, incarnation: str = "life") -> Cursor:
    """Return a cursor that follows such a stream."""
    return Cursor(incarnation=incarnation, sequence=sequence, newest=tuple(entries(sequence, sequence, incarnation)))


def texts(told: Sequence[Told]) -> list[str | int]:
    """Return notices as their texts, and entries as their sequences."""
    return [one.text if isinstance(one, Notice) else one.sequence for one in told]


def test_what_follows_is_shown() -> None:
    """Entries that follow the cursor are shown, and the cursor is after the last."""
    step = advance(at(3), entries(4, 6), head(6))
    assert texts(step.told) == [4, 5, 6]
    assert step.cursor == at(6)


def test_nothing_new_is_nothing_to_tell() -> None:
    """A reading that timed out says nothing."""
    assert advance(at(3), [], head(3)).told == ()


def test_a_gap_is_told() -> None:
    """Entries that are not there are named, and why when that is known: the stream does not keep them any more."""
    assert texts(advance(at(3), entries(6, 6), head(6)).told) == ["entries 4–5 are missing", 6]
    assert texts(advance(at(3), entries(5, 5), head(5)).told) == ["entry 4 is missing", 5]
    trimmed = advance(at(3), entries(6, 6), head(6, first=6))
    assert texts(trimmed.told) == ["entries 4–5 are missing: trimmed away before they could be read", 6]


def test_another_incarnation_is_told_and_shown_from_its_beginning() -> None:
    """What stands on the page of the new life is read again with what comes before it; of the old, nothing is lost."""
    page = [*entries(4, 4), *entries(5, 6, "next")]
    step = advance(at(3), page, head(6, "next"))
    assert texts(step.told) == [4, "the stream begins anew: incarnation next"]
    assert step.cursor == Cursor(incarnation="next", sequence=0)


def test_a_new_stream_that_was_trimmed_begins_at_what_it_keeps() -> None:
    """Nobody is told of a gap before the first entry that there is."""
    step = advance(at(3), [], head(9, "next", first=8))
    assert texts(advance(step.cursor, entries(8, 9, "next"), head(9, "next", first=8)).told) == [8, 9]


def test_an_entry_of_a_stranger_is_shown_and_begins_nothing() -> None:
    """Only the head says which life a stream is in."""
    stranger = RawEntry(5, {"incarnation": "made up"})
    step = advance(at(3), [*entries(4, 4), stranger, *entries(6, 6)], head(6))
    assert texts(step.told) == [4, 5, 6]
    assert step.cursor.incarnation == "life"


def test_no_stream_is_told_once() -> None:
    """While there is none there is one line of it, and the next stream is told."""
    step = advance(at(3), [], None)
    assert texts(step.told) == [NO_STREAM]
    again = advance(step.cursor, [], None)
    assert again.told == ()
    assert texts(advance(again.cursor, [], head(1, "next")).told) == ["the stream begins anew: incarnation next"]
    assert advance(again.cursor, entries(4, 4), head(4)).told == (*entries(4, 4),)


def test_the_first_stream_begins_and_not_anew() -> None:
    """Who waited for a stream from the start is told that it is there."""
    step = advance(Cursor(is_gone=True), [], head(2))
    assert texts(step.told) == ["the stream begins: incarnation life"]
    assert texts(advance(step.cursor, entries(1, 2), head(2)).told) == [1, 2]


def test_an_entry_under_a_number_that_is_taken_is_shown_once() -> None:
    """`XADD mooring:events 3-1` stands first on every later page; it is not hidden, and not repeated for ever."""
    first, second = RawEntry(3, {"x": "1"}), RawEntry(3, {"x": "2"})
    step = advance(at(3), [first, second], head(3))
    assert step.told == (first, second)
    again = advance(step.cursor, [first, second, *entries(4, 4)], head(4))
    assert texts(again.told) == [4]


class Onlooker:
    """Follows a stream, and keeps which entries of its present life were shown, or told as missing."""

    def __init__(self, stream: MemoryStream) -> None:
        self.stream = stream
        self.cursor = Cursor(is_gone=True)
        self.seen: set[int] = set()

    def look(self) -> None:
        """Read once, and hold what is told against what was told before."""
        before = self.cursor
        step = advance(before, self.stream.read(before.sequence, block_seconds=0, most=3), self.stream.head())
        self.cursor = step.cursor
        if before.incarnation != step.cursor.incarnation:
            self.seen.clear()
            return
        shown = {one.sequence for one in step.told if isinstance(one, RawEntry)}
        missing = {*range(before.sequence + 1, step.cursor.sequence + 1)} - shown
        assert not self.seen & shown
        assert bool(missing) == any("missing" in str(one) for one in texts(step.told))
        self.seen |= shown | missing


def act(stream: MemoryStream, name: str, number: int, life: str) -> None:
    """Do to a stream what may happen to it; `life` is a name that no incarnation had yet."""
    head = stream.head()
    if name == "begin":
        stream.begin(incarnation=life, epoch=1, run_id="")
    elif name == "wipe":
        stream.wipe()
    elif name == "trim" and head:
        stream.trim(head.sequence - number)
    elif head:
        stream.append(batch_of(head, *map(setting, range(number))))


ACTIONS = st.tuples(st.sampled_from(["append", "append", "trim", "begin", "wipe", "look"]), st.integers(1, 4))


@given(st.lists(ACTIONS, max_size=30))
def test_whatever_happens_each_entry_is_shown_once_or_told_as_missing(actions: list[tuple[str, int]]) -> None:
    """Looking now and then, one sees of the present life every entry from its first on, or that it is missing."""
    stream = MemoryStream()
    onlooker = Onlooker(stream)
    for index, (name, number) in enumerate(actions):
        if name == "look":
            onlooker.look()
        else:
            act(stream, name, number, f"life-{index}")
    head = stream.head()
    kept = range(head.first, head.sequence + 1) if head else range(0)
    for _ in range(len(kept) + 2):
        onlooker.look()
    assert onlooker.seen >= {*kept}
    assert head is None or onlooker.cursor.sequence == head.sequence
