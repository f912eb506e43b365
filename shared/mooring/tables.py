"""Text for people: columns that stand below each other, durations in words, strangers' texts made harmless. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import Final

from tabulate import tabulate

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


def harmless(text: str) -> str:
    """Return a text that is one line and moves no terminal's cursor, whoever wrote it."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def duration(seconds: float) -> str:
    """Return a duration as one says it: `12 s`, `3 min`, `5 h`, `2 days`."""
    whole = max(0, int(seconds))
    for length, unit in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if whole >= 2 * length:
            return f"{whole // length} {unit}"
    return f"{whole} s"


def moment(seconds: float, zone: tzinfo | None, timespec: str = "milliseconds") -> str:
    """Return a moment (epoch seconds) as date and time in a zone; None is the local one."""
    try:
        return datetime.fromtimestamp(seconds, zone).replace(tzinfo=None).isoformat(" ", timespec)
    except (OverflowError, OSError, ValueError):
        return str(seconds)  # a stranger's number, of no year that there is


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table with its titles."""
    return Columns(titles).lines(rows)


class Columns:
    """A table that is printed in pieces, as its rows come; the first piece has the titles.

    A column only ever gets wider: each piece is laid out together with the widest cells so far.
    """

    def __init__(self, titles: Sequence[str]) -> None:
        self._widest = tuple(titles)
        self._is_titled = False

    def lines(self, rows: Iterable[Sequence[str]]) -> list[str]:
        """Return the lines of some more rows."""
        cells = [tuple(harmless(cell) for cell in row) for row in rows]
        titles = [] if self._is_titled else [self._widest]
        laid_out = tabulate([self._widest, *titles, *cells], tablefmt="plain", disable_numparse=True).splitlines()[1:]
        self._widest = tuple(max(column, key=len) for column in zip(self._widest, *cells, strict=True))
        self._is_titled = True
        return [line.rstrip() for line in laid_out]
