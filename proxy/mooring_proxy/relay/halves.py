"""The two halves of a relayed connection as a machine of values: what an end or a loss on one side means for the other.

A connection is two streams of bytes that end independently. A side that says "I have sent everything" (FIN) may still
wait for the answer: its end is passed on, and only when both have ended is the connection over. A side that is lost
(RST, timeout) ends both: the other is reset after what it still has to get, for an end that looks clean would tell it
that it has everything.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class Side(Enum):
    """The client's side, and the backend's side."""

    DOWNSTREAM = auto()
    UPSTREAM = auto()

    @property
    def other(self) -> Side:
        """The side across."""
        return Side.UPSTREAM if self is Side.DOWNSTREAM else Side.DOWNSTREAM


class Halves(Enum):
    """Which side has still something to say."""

    BOTH_OPEN = auto()
    DOWNSTREAM_ENDED = auto()
    UPSTREAM_ENDED = auto()
    OVER = auto()


class Command(Enum):
    """What is to be done."""

    FINISH_OTHER = auto()  # what it still has to get, then FIN
    CLOSE_BOTH = auto()  # both have sent everything; what is buffered still goes out
    RESET_OTHER = auto()  # what it still has to get, then RST


_ENDED: Final = {Side.DOWNSTREAM: Halves.DOWNSTREAM_ENDED, Side.UPSTREAM: Halves.UPSTREAM_ENDED}


def ended(halves: Halves, side: Side) -> tuple[Halves, Command | None]:
    """Return what follows when a side has sent everything; hearing it twice changes nothing."""
    if halves in (Halves.OVER, _ENDED[side]):
        return halves, None
    if halves is Halves.BOTH_OPEN:
        return _ENDED[side], Command.FINISH_OTHER
    return Halves.OVER, Command.CLOSE_BOTH


def lost(halves: Halves) -> tuple[Halves, Command | None]:
    """Return what follows when a side is gone without having said everything."""
    if halves is Halves.OVER:
        return halves, None
    return Halves.OVER, Command.RESET_OTHER
