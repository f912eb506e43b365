"""Threads that never die quietly, and loops that never give up. For register and discover, and the proxy's readers.

Three kinds of failure (mooring.errors) meet here: a `WorldError` is waited out, anything else ends the process, so
that whoever runs it starts it anew: Docker restarts what exits, never what merely stands still.
"""

from __future__ import annotations

import faulthandler
import os
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Event, Thread, current_thread
from threading import enumerate as enumerate_threads
from typing import TypeVar

from mooring.backoff import Backoff
from mooring.errors import WorldError
from mooring.telemetry import get_logger

EXIT_OUR_BUG = 70  # EX_SOFTWARE of sysexits.h

log = get_logger()

_turned_at: dict[str, float] = {}

T = TypeVar("T")


def start(name: str, run: Callable[[], None]) -> Thread:
    """Run something in a daemon thread; an exception that leaves it ends the whole process with status 70."""

    def guarded() -> None:
        try:
            run()
        except BaseException:
            log.exception("thread died of a bug, ending the process", thread=name)
            sys.stderr.flush()
            os._exit(EXIT_OUR_BUG)

    thread = Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread


def turned_seconds_ago() -> dict[str, float]:
    """Return for each living thread that keeps trying, by its name, how long ago its last attempt began."""
    now, living = time.monotonic(), {thread.name for thread in enumerate_threads()}
    return {name: now - at for name, at in _turned_at.copy().items() if name in living}


def keep_trying(
    attempt: Callable[[], None],
    *,
    stopping: Event,
    backoff: Backoff,
    failed: Callable[[WorldError], None],
) -> None:
    """Call `attempt` again and again until `stopping` is set; after a `WorldError` only when the backoff is over.

    An attempt that returns without one counts as contact and resets the backoff. Any other exception passes through.
    How long ago the last attempt began is told by `turned_seconds_ago`.
    """
    delay = backoff
    while not stopping.is_set():
        _turned_at[current_thread().name] = time.monotonic()
        try:
            attempt()
            delay = backoff
        except WorldError as error:
            if stopping.is_set():
                return
            failed(error)
            stopping.wait(delay.delay_seconds(random.random()))  # noqa: S311 -- jitter, not a secret
            delay = delay.next()


def spread(items: Iterable[T], do: Callable[[T], None], most_threads: int) -> None:
    """Do something with each of the items, several at a time, and return when nothing is under way any more.

    After the first `WorldError` no further item is begun, and it is raised at the end. Any other exception ends the
    process, as that of every thread we start; the caller's thread is one of the several, there it passes through.
    """
    waiting = deque(items)
    errors: list[WorldError] = []

    def work() -> None:
        while not errors:
            try:
                item = waiting.popleft()
            except IndexError:
                return
            try:
                do(item)
            except WorldError as error:
                errors.append(error)

    threads = [start("spread", work) for _ in range(min(most_threads, len(waiting)) - 1)]
    work()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def watchdog(limit_seconds: float) -> None:
    """Say that the calling loop made a turn: without another within the limit all stacks are dumped and we exit.

    One loop per process can be watched this way.
    """
    faulthandler.dump_traceback_later(limit_seconds, exit=True)


def end_watchdog() -> None:
    """Say that the loop ended on purpose."""
    faulthandler.cancel_dump_traceback_later()
