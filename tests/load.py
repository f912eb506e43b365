"""A steady load through the proxies that forgives nothing: a new connection each, no retry, two seconds as a rule.

Requests are sent by the clock, not after the one before has ended, so a proxy that stalls is asked all the same. They
are sent by a process of their own (`tests/requesting.py`): what the test does meanwhile delays none of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import takewhile
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from mooring.model import Address
from tests.requesting import TIMEOUT_SECONDS, Outcome, outcome_in
from tests.waiting import wait_until

__all__ = ["Load", "Outcome"]

ROOT = Path(__file__).parents[1]
CLOCK_SECONDS = 1.0


class Load:
    """Requests at `rate` per second over the targets in turn, from `with` to its end."""

    def __init__(
        self, targets: Iterable[Address], rate: float, name: str = "load", timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        addresses = [(target.host, target.port) for target in targets]
        words = [json.dumps(addresses), str(rate), name, str(timeout_seconds)]
        self._command = [sys.executable, "-m", "tests.requesting", *words]
        self._outcomes: list[Outcome] = []
        self._thread = Thread(target=self._read, name=name)

    def __enter__(self) -> Self:
        """Begin."""
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        """End, and wait for what is on its way."""
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            self._thread.join()
        assert process.returncode == 0, f"the load ended with status {process.returncode}"

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """All requests that have ended so far."""
        return tuple(self._outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """Those that nobody answered."""
        return tuple(outcome for outcome in self.outcomes if outcome.error)

    def since(self, moment: float) -> tuple[Outcome, ...]:
        """Return what was sent after a moment (epoch seconds) and has ended."""
        # Noted in the order in which they ended: before the newest that had ended by then, none was sent later.
        newest = takewhile(lambda one: one.at + one.seconds >= moment - CLOCK_SECONDS, reversed(self._outcomes))
        return tuple(outcome for outcome in newest if outcome.at >= moment)[::-1]

    def await_answers(self, wanted: Callable[[Counter[tuple[Address, str]]], bool], seconds: float = 15) -> float:
        """Wait until the answers sent from now on, counted by (target, instance), are as wanted; return how long."""
        began = time.time()

        def seen() -> str:
            counted = Counter((str(one.target), one.instance or one.error) for one in self.since(began))
            return f"the answers that were wanted, of these: {counted}"

        return wait_until(
            lambda: wanted(Counter((one.target, one.instance) for one in self.since(began) if one.instance)),
            seen,
            seconds,
        )

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._outcomes.append(outcome_in(line))
