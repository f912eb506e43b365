"""Reading a stream for a person: where to begin, and waiting for what comes. What to tell of it is tailing.py's."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from mooring.commands.choosing import Ago, Choice, FromSequence, Since
from mooring.commands.entry_forms import Notice, read
from mooring.commands.tailing import NO_STREAM, Cursor, Told, advance
from mooring.redis.stream import Head, RawEntry, StreamReader
from mooring.redis.whole import pages

# How soon it shows that a stream was replaced: nobody else tells whoever waits in a read.
BLOCK_SECONDS: Final = 1.0


def begin(stream: StreamReader, choice: Choice) -> tuple[Cursor, list[Told]]:
    """Return what is there of what is wanted, and the cursor after all that was read for it.

    Raises:
        Unavailable: Redis does not answer.
        InvalidInput: the head cannot be read.
    """
    head = stream.head()
    after, there = first_pages(stream, head, choice)
    cursor = Cursor(incarnation=head.incarnation if head else "", sequence=after, is_gone=head is None)
    wanted: deque[Told] = deque(maxlen=choice.count)
    for page in there:
        step = advance(cursor, page, head)
        cursor = step.cursor
        wanted.extend(_wanted(step.told, choice))
    return cursor, [*wanted] if head else [Notice(NO_STREAM), *wanted]


def first_pages(stream: StreamReader, head: Head | None, choice: Choice) -> tuple[int, Iterable[tuple[RawEntry, ...]]]:
    """Return the entries among which those wanted are, and the sequence that they come after."""
    if choice.since is not None and head is not None:
        after = start_of(stream, head, choice.since) - 1
    elif choice.is_narrow or choice.count is None:
        after = head.first - 1 if head else 0
    else:
        newest = stream.tail(choice.count) if choice.count else ()
        end = head.sequence if head else 0
        return (newest[0].sequence - 1, [newest]) if newest else (end, [])
    return after, pages(stream, after)


def start_of(stream: StreamReader, head: Head, since: Since) -> int:
    """Return the sequence of the first entry since then."""
    match since:
        case FromSequence(sequence):
            return max(1, sequence)
        case Ago(seconds):
            kept = range(head.first, head.sequence + 1)
            return head.first + bisect_left(kept, time.time() - seconds, key=lambda at: appended_at(stream, at))


def appended_at(stream: StreamReader, sequence: int) -> float:
    """Return when the entry of that sequence, or the next that is there, was appended (epoch seconds).

    It is 0 where nobody knows: there is no such entry, or it cannot be read.

    Raises:
        Unavailable: Redis does not answer.
    """
    found = stream.read(sequence - 1, block_seconds=0, most=1)
    readable = read(found[0]) if found else None
    return readable[1].seen_stream if isinstance(readable, tuple) else 0.0


def go_on(stream: StreamReader, cursor: Cursor, choice: Choice) -> tuple[Cursor, list[Told]]:
    """Wait a moment for what comes after the cursor, and return what is wanted of it.

    Raises:
        Unavailable: Redis does not answer.
        InvalidInput: the head cannot be read.
    """
    page = stream.read(cursor.sequence, block_seconds=BLOCK_SECONDS)
    step = advance(cursor, page, stream.head())
    if page and not step.told:
        time.sleep(BLOCK_SECONDS)  # what a stranger wrote stands first on every page: reading does not wait here
    return step.cursor, [*_wanted(step.told, choice)]


def _wanted(told: Iterable[Told], choice: Choice) -> Iterator[Told]:
    """Iterate over what is to be shown; a notice always is."""
    return (one for one in told if isinstance(one, Notice) or choice.wants(one))
