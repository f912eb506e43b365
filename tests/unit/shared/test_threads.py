"""Threads that never die quietly, and attempts that never end."""

from __future__ import annotations

import subprocess
import sys
from threading import Event

import pytest

from mooring.backoff import Backoff
from mooring.errors import Unavailable, WorldError
from mooring.threads import EXIT_OUR_BUG, keep_trying

QUICK = Backoff(first_seconds=0.0001, most_seconds=0.0001)


def test_a_failing_world_is_tried_again_until_it_answers() -> None:
    """Each failure is reported, and the next attempt follows."""
    stopping, failures, answers = Event(), list[WorldError](), iter([Unavailable("no"), Unavailable("no"), None])

    def attempt() -> None:
        error = next(answers)
        if error is not None:
            raise error
        stopping.set()

    keep_trying(attempt, stopping=stopping, backoff=QUICK, failed=failures.append)
    assert [str(error) for error in failures] == ["no", "no"]


def test_a_bug_is_not_tried_again() -> None:
    """Anything but a failing world passes through at the first time."""
    attempts = []

    def attempt() -> None:
        attempts.append(1)
        raise KeyError("bug")

    with pytest.raises(KeyError):
        keep_trying(attempt, stopping=Event(), backoff=QUICK, failed=lambda _: None)
    assert len(attempts) == 1


def test_a_stop_ends_the_wait_at_once() -> None:
    """Nobody waits out a backoff of an hour to stop."""
    stopping = Event()

    def attempt() -> None:
        raise Unavailable("no")

    keep_trying(attempt, stopping=stopping, backoff=Backoff(3600, 3600), failed=lambda _: stopping.set())
    assert stopping.is_set()


def test_a_thread_that_dies_of_a_bug_ends_the_process() -> None:
    """The process ends with its own status and the stack on stderr, although the main thread would have gone on."""
    program = "import threading, mooring.threads as t; t.start('reader', lambda: 1 / 0); threading.Event().wait(30)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == EXIT_OUR_BUG
    assert "ZeroDivisionError" in ended.stderr + ended.stdout
    assert "reader" in ended.stderr + ended.stdout


def test_a_loop_that_stands_still_is_ended_with_its_stacks() -> None:
    """A watched loop that makes no further turn within its limit ends the process, and shows where it stood."""
    program = "import threading, mooring.threads as t; t.watchdog(0.2); threading.Event().wait(30)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode != 0
    assert "Timeout" in ended.stderr
    assert "in wait" in ended.stderr
