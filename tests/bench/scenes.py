"""What is done to a crowd of containers, and what that cost its register.

Each scene asserts what must be right on any machine, and returns what it measured. Bars are somebody else's.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Final, TypeAlias

from tests.bench.crowd import BINDINGS_ARE_ONE_IN, EVENTS_OF_A_RESTART, LONG_SECONDS, Crowd
from tests.key_history import KeyHistory
from tests.waiting import wait_until

Figures: TypeAlias = dict[str, float]

_LOOK_SECONDS: Final = 0.2
_TOOK: Final = "reconcile_seconds_sum"


def register_all(crowd: Crowd, count: int, *options: str) -> Figures:
    """Run containers, and then a register that knows nothing yet: each is written once."""
    crowd.fill(count)
    before = crowd.revision()
    began = time.monotonic()
    crowd.register(*options)
    keys = count + count // BINDINGS_ARE_ONE_IN
    wait_until(lambda: crowd.metric("puts_total") >= keys, "all to be written", LONG_SECONDS, _LOOK_SECONDS)
    seconds = time.monotonic() - began
    cpu_seconds = crowd.cpu_seconds()
    crowd.part.ready()
    crowd.settle()
    assert crowd.metric("puts_total") == keys
    # The engine tells of the last moments too, before it tells what is new.
    crowd.told = int(crowd.heard())
    return {
        "containers": count,
        "seconds": seconds,
        "CPU seconds": cpu_seconds,
        "transactions": crowd.revision() - before,
        "MB": crowd.memory_bytes() / 1e6,
    }


def reconcile(crowd: Crowd, times: int) -> Figures:
    """Do nothing, while the register compares everything a few times: nothing is written."""
    _await_reconcile(crowd)
    revision, cpu_seconds, seconds = crowd.revision(), crowd.cpu_seconds(), crowd.metric(_TOOK)
    for _ in range(times):
        _await_reconcile(crowd)
    assert crowd.revision() == revision, "what did not change cost a write"
    return {
        "reconciles": times,
        "seconds each": (crowd.metric(_TOOK) - seconds) / times,
        "CPU seconds each, with all else": (crowd.cpu_seconds() - cpu_seconds) / times,
        "writes": crowd.revision() - revision,
    }


def _await_reconcile(crowd: Crowd) -> None:
    name = "last_reconcile_timestamp_seconds"
    before = crowd.metric(name)
    wait_until(lambda: crowd.metric(name) > before, "a reconcile", LONG_SECONDS, _LOOK_SECONDS)


def change_one(crowd: Crowd, times: int) -> Figures:
    """Replace one container at a time: each is written when it comes, and only it."""
    took: list[float] = []
    cpu_seconds = crowd.cpu_seconds()
    with KeyHistory(crowd.store, crowd.prefix) as history:
        for _ in range(times):
            before = set(crowd.names)
            began = time.monotonic()
            crowd.churn(1, are_new=True)
            (new,) = set(crowd.names) - before
            wait_until(partial(history.has_written, new), "it to be written")
            took.append(time.monotonic() - began)
        crowd.settle()
        assert not (faults := history.faults()), faults
        # It comes; the other one drains, goes down, is deleted. Some of that may be left out.
        assert history.writes <= 4 * times
    return {
        "changes": times,
        "milliseconds, median": 1000 * statistics.median(took),
        "milliseconds, slowest": 1000 * max(took),
        "CPU milliseconds each": 1000 * (crowd.cpu_seconds() - cpu_seconds) / times,
    }


def churn(crowd: Crowd, events: int, at_once: int) -> Figures:
    """End and start containers for long, half of them new ones: it ends right, and memory stops growing."""
    memory: list[int] = []
    began, cpu_seconds = time.monotonic(), crowd.cpu_seconds()
    first = crowd.told
    while crowd.told < first + events:
        crowd.churn(at_once, are_new=len(memory) % 2 == 0)
        wait_until(crowd.seems_settled, "all events to be acted upon", LONG_SECONDS, _LOOK_SECONDS)
        memory.append(crowd.memory_bytes())
    seconds = time.monotonic() - began
    crowd.settle()
    half, tenth = len(memory) // 2, max(1, len(memory) // 10)
    middle, end = statistics.median(memory[half : half + tenth]), statistics.median(memory[-tenth:])
    return {
        "events": crowd.told - first,
        "seconds": seconds,
        "CPU milliseconds an event": 1000 * (crowd.cpu_seconds() - cpu_seconds) / (crowd.told - first),
        "MB at first": memory[0] / 1e6,
        "MB in the middle": middle / 1e6,
        "MB at the end": end / 1e6,
        "growth over the last half, percent": 100 * (end / middle - 1),
    }


def burst(crowd: Crowd, restarts: int) -> Figures:
    """End and start many at once, with a registry that is slow: nothing is lost, and nothing is written twice."""
    with KeyHistory(crowd.store, crowd.prefix) as history:
        began = time.monotonic()
        for are_new in (False, True):
            crowd.churn(restarts // 2, are_new=are_new)
        crowd.settle()
        seconds = time.monotonic() - began
        assert not (faults := history.faults()), faults
        assert {one.container for one in history.now().values()} <= crowd.names.keys()
        # Of each: draining, down, deleted, up.
        assert history.writes <= 4 * restarts
        return {"events": restarts * EVENTS_OF_A_RESTART, "seconds": seconds, "writes": history.writes}
