"""Following a stream for a person: what is new, and what is to be told when the stream is not what it was. Pure.

Not the proxy's follower: nobody's table hangs on this one. It shows whatever stands in the stream, also what no
discover wrote, and goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from attrs import evolve, frozen

from mooring.commands.entry_forms import Notice
from mooring.redis.stream import Head, RawEntry

NO_STREAM: Final = "there is no stream here, or no head beside it"

Told: TypeAlias = "RawEntry | Notice"


@frozen(kw_only=True)
class Cursor:
    """Up to where the stream was shown.

    `incarnation` is empty before there was a stream. `newest` are the entries that bear this very sequence: one,
    unless somebody wrote `<sequence>-1` by hand, which every reading after this sequence then begins with.
    """

    incarnation: str = ""
    sequence: int = 0
    newest: tuple[RawEntry, ...] = ()
    is_gone: bool = False


@frozen
class Advance:
    """The cursor after a reading, and what to tell in order."""

    cursor: Cursor
    told: tuple[Told, ...]


def advance(cursor: Cursor, page: Sequence[RawEntry], head: Head | None) -> Advance:
    """Return what a page says that was read after the cursor, together with the head that was read after the page."""
    if head is None:
        shown = _show(cursor, page, first=0)
        told = shown.told if cursor.is_gone else (*shown.told, Notice(NO_STREAM))
        return Advance(evolve(shown.cursor, is_gone=True), told)
    cursor = evolve(cursor, is_gone=False)
    if head.incarnation == cursor.incarnation:
        return _show(cursor, page, head.first)
    # Entries of the new life may stand on this page already. They are read again: those before them are missing here.
    shown = _show(cursor, [raw for raw in page if raw.fields.get("incarnation") == cursor.incarnation], first=0)
    begins = "the stream begins anew" if cursor.incarnation else "the stream begins"
    begun = Cursor(incarnation=head.incarnation, sequence=head.first - 1)
    return Advance(begun, (*shown.told, Notice(f"{begins}: incarnation {head.incarnation}")))


def _show(cursor: Cursor, page: Sequence[RawEntry], first: int) -> Advance:
    """Return the entries that are new, with the gaps between them; `first` is the oldest that the stream keeps."""
    told: list[Told] = []
    for raw in page:
        if raw.sequence == cursor.sequence:
            if raw not in cursor.newest:
                told.append(raw)
                cursor = evolve(cursor, newest=(*cursor.newest, raw))
            continue
        if cursor.sequence + 1 < raw.sequence:
            told.append(_gap(cursor.sequence + 1, raw.sequence - 1, first))
        told.append(raw)
        cursor = evolve(cursor, sequence=raw.sequence, newest=(raw,))
    return Advance(cursor, tuple(told))


def _gap(begins: int, ends: int, first: int) -> Notice:
    span = f"entry {begins} is" if begins == ends else f"entries {begins}–{ends} are"
    return Notice(f"{span} missing" + (": trimmed away before they could be read" if ends < first else ""))
