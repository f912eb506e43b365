"""Waiting, for everything that takes a moment: until it is so, until a child dies, until it was long enough.

It knows conditions and deadlines, not what they are about.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Final

from mooring.errors import MooringError
from mooring_stack.supervisor import Supervisor

_PAUSE_SECONDS: Final = 0.005


class Failed(MooringError):
    """Something did not happen that should have, or happened that should not; says what."""


class Interrupted(MooringError):
    """The user wishes to end."""


class Patience:
    """Waits while it looks after the children and the wish to end, which is `stopping`."""

    def __init__(self, supervisor: Supervisor, stopping: Event) -> None:
        self._supervisor = supervisor
        self._stopping = stopping

    def until(self, condition: Callable[[], bool], *, what: str, seconds: float) -> float:
        """Return how many seconds it took until the condition held; `what` names it in the failure.

        Raises:
            Failed: a child ended by itself, or the time is over.
            Interrupted: the user wishes to end.
        """
        began = time.monotonic()
        while True:
            self.look()
            if condition():
                return time.monotonic() - began
            if time.monotonic() - began > seconds:
                raise Failed(f"{what}: not within {seconds:.0f} s")
            self._stopping.wait(_PAUSE_SECONDS)

    def look(self) -> None:
        """Raise what `until` would raise by now."""
        if self._stopping.is_set():
            raise Interrupted
        for death in self._supervisor.deaths():
            raise Failed(str(death))
