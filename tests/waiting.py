"""Waiting for what is to come about, and watching that something stays as it is; tests sleep nowhere else.

Knows conditions and clocks, nothing of what is waited for. Whoever is woken by what he waits for (a Condition, a
Future) needs none of this.
"""

import time
from collections.abc import Callable

DEADLINE_SECONDS = 15.0
LOOK_SECONDS = 0.005  # between two looks at a condition
WATCH_SECONDS = 0.2  # between two looks at what should not change


def wait_until(
    condition: Callable[[], object],
    what: str | Callable[[], object],
    seconds: float = DEADLINE_SECONDS,
    look_seconds: float = LOOK_SECONDS,
) -> float:
    """Wait for a condition and return how long that took, in seconds; fail when it takes longer than `seconds`.

    `what` is what was waited for, and may be a function that also tells what was there instead when it failed. Looking
    every `look_seconds` is for those whom a look costs something.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"waited {seconds} s in vain for {what if isinstance(what, str) else what()}")
        time.sleep(look_seconds)
    return time.monotonic() - began


def holds_for(seconds: float, condition: Callable[[], object], what: str | Callable[[], object]) -> None:
    """Watch that a condition holds all the time; for promises that something does *not* happen.

    `what` is what was promised, and may be a function that also tells what was there instead when it failed.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"no longer true: {what if isinstance(what, str) else what()}"
        time.sleep(WATCH_SECONDS)
