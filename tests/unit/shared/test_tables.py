"""Text for people: what stands below what, and what strangers may not do to a terminal."""

from __future__ import annotations

from datetime import UTC

import pytest

from mooring.tables import Columns, duration, harmless, moment


def test_columns_only_get_wider() -> None:
    """Each piece of a table is laid out for the widest cells so far."""
    columns = Columns(("a", "b"))
    assert columns.lines([("1", "2")]) == ["a  b", "1  2"]
    assert columns.lines([("long", "2")]) == ["long  2"]
    assert columns.lines([("1", "2")]) == ["1     2"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (0.9, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172800, "2 days")],
)
def test_a_duration_is_said_in_the_unit_that_one_would_say(seconds: float, words: str) -> None:
    """Two of the larger unit at least."""
    assert duration(seconds) == words


def test_a_moment_that_no_calendar_has_is_shown_as_it_is() -> None:
    """A stranger's number ends no command."""
    assert moment(1763634000.75, UTC) == "2025-11-20 10:20:00.750"
    assert moment(1e30, UTC) == "1e+30"


@pytest.mark.parametrize("evil", ["\x1b[31m", "a\nb", "\u202e", "\x9b", "\x00"])
def test_what_would_move_a_cursor_is_made_visible(evil: str) -> None:
    """Control characters, line ends and marks that turn the direction are spelled out."""
    assert harmless(evil).isprintable()
    assert harmless("größe – 1") == "größe – 1"
