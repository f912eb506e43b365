"""Threads that never die quietly, and attempts that never end."""

from __future__ import annotations

import subprocess
import sys
from threading import Barrier, Event

import pytest

from mooring.backoff import Backoff
from mooring.errors import Unavailable, WorldError
from mooring.threads import EXIT_OUR_BUG, keep_trying, spread, start, turned_seconds_ago

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


def test_how_long_ago_a_thread_turned_is_told() -> None:
    """A thread in the middle of an attempt shows when that began; one that has ended shows nothing."""
    stopping, under_way, go_on = Event(), Event(), Event()

    def attempt() -> None:
        under_way.set()
        go_on.wait(30)
        stopping.set()

    thread = start("slow", lambda: keep_trying(attempt, stopping=stopping, backoff=QUICK, failed=lambda _: None))
    under_way.wait(30)
    first = turned_seconds_ago()["slow"]
    assert 0 <= first < turned_seconds_ago()["slow"]
    go_on.set()
    thread.join()
    assert "slow" not in turned_seconds_ago()


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


def test_spread_over_several_threads() -> None:
    """Each item is done once, several at the same time, and all are done when it returns."""
    done, meeting = list[int](), Barrier(4)

    def meet(item: int) -> None:
        meeting.wait(10)
        done.append(item)

    spread(range(8), meet, 4)
    assert sorted(done) == list(range(8))
    spread([], meet, 4)


def test_spread_ends_at_the_first_failure() -> None:
    """When the world fails nothing further is begun: whoever asked is told once, and soon."""
    begun = list[int]()

    def fail(item: int) -> None:
        begun.append(item)
        raise Unavailable("no")

    with pytest.raises(Unavailable):
        spread(range(1000), fail, 4)
    assert len(begun) <= 4
    begun.clear()
    with pytest.raises(Unavailable):
        spread(range(1000), fail, 1)
    assert begun == [0]


def test_a_bug_among_several_ends_the_process() -> None:
    """An exception that is no failure of the world is a bug of ours, in whichever thread it happens."""
    program = (
        "import threading as h, mooring.threads as t\n"
        "t.spread(range(2), lambda _: h.Event().wait(30) if h.current_thread() is h.main_thread() else 1 / 0, 2)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == EXIT_OUR_BUG
