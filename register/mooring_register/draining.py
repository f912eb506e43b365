"""What announces a container's end, and for how long that announcement is believed. Pure.

`mooring stop` announces an end before it stops anything, and says it again as long as it waits: whatever becomes of
that command, what it said last runs out.

Docker emits `kill` after the signal was sent, so draining by it is best effort. HUP, WINCH and USR1 never drain, not
even a container that declares one of them as its stop signal: they are what people send to reload, and draining a
container that only reloads costs more than missing the last moments of one that ends.
"""

from __future__ import annotations

import re
import signal
from typing import Final

from attrs import evolve, frozen

DEFAULT_STOP_SIGNAL: Final = "SIGTERM"
# Docker's own default of `docker stop --time`.
DEFAULT_STOP_TIMEOUT_SECONDS: Final = 10.0
# Docker never kills a container that it is told to wait for without end; draining ends some time all the same.
MOST_STOP_TIMEOUT_SECONDS: Final = 24 * 3600.0
# Docker kills at StopTimeout; removal and its event take a moment more.
DRAIN_MARGIN_SECONDS: Final = 5.0

# What Docker calls RTMIN and RTMAX on Linux, whatever this process's C library reserves for itself.
_RTMIN: Final = 34
_RTMAX: Final = 64
SURVIVED: Final = "survived its stop signal"
NOT_STOPPED: Final = "was not stopped after all"

_RELOADS: Final = frozenset({signal.SIGHUP, signal.SIGWINCH, signal.SIGUSR1})
_REALTIME = re.compile(r"RTM(?P<end>IN|AX)(?P<offset>[+-]\d+)?")


def signal_number(text: str) -> int | None:
    """Return the number of a signal given as `15`, `TERM`, `SIGTERM`, `RTMIN+3` or `SIGRTMAX-2`; None for no signal."""
    word = text.strip().upper()
    if word.isascii() and word.isdigit():
        number = int(word)
        return number if 0 < number <= _RTMAX else None
    word = word.removeprefix("SIG")
    if realtime := _REALTIME.fullmatch(word):
        number = (_RTMIN if realtime["end"] == "IN" else _RTMAX) + int(realtime["offset"] or 0)
        return number if _RTMIN <= number <= _RTMAX else None
    named = signal.Signals.__members__.get(f"SIG{word}")
    return None if named is None else int(named)


def announces_end(sent: str, stop_signal: str) -> bool:
    """Whether this signal, sent to a container with that stop signal, says that the container is about to end."""
    number = signal_number(sent)
    return number is not None and number not in _RELOADS and number == signal_number(stop_signal)


@frozen
class Drain:
    """An end that was announced: until when that is believed (epoch seconds), and the cause of being up again then."""

    until: float
    otherwise: str


def after_signal(earlier: Drain | None, signalled_at: float, stop_timeout_seconds: float) -> Drain:
    """Return the drain of a container that was sent its stop signal; still running at its end, it is up again."""
    return _longer(earlier, Drain(signalled_at + stop_timeout_seconds + DRAIN_MARGIN_SECONDS, SURVIVED))


def after_announcement(earlier: Drain | None, until: float) -> Drain:
    """Return the drain of a container of which somebody said that he will stop it, and before when."""
    return _longer(earlier, Drain(until, NOT_STOPPED))


def _longer(earlier: Drain | None, drain: Drain) -> Drain:
    return drain if earlier is None or earlier.until <= drain.until else evolve(drain, until=earlier.until)
