"""Who asks an engine about containers, one or many."""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Barrier, BrokenBarrierError, Event

import pytest

from mooring.errors import Unavailable
from mooring_register.containers import Inspected
from mooring_register.engine.inspector import Inspector
from mooring_register.engine.memory_engine import MemoryEngine
from mooring_register.engine.seam import Unanswered

MANY = 200
DEADLINE_SECONDS = 20.0


class Engine(MemoryEngine):
    """A twin that gives no answer about some containers, and goes away when it is asked about others."""

    def __init__(self) -> None:
        super().__init__(time.time)
        self.silent: set[str] = set()
        self.fatal: set[str] = set()
        self.asked: list[str] = []

    def inspect(self, container_id: str) -> Inspected | None:
        """See `Engine.inspect`."""
        self.asked.append(container_id)
        if container_id in self.silent:
            raise Unanswered("it says nothing")
        if container_id in self.fatal:
            self.fail()
        return super().inspect(container_id)


@pytest.fixture
def engine() -> Engine:
    """Give an engine."""
    return Engine()


@pytest.fixture
def inspector(engine: Engine) -> Inspector:
    """Give who asks it."""
    return Inspector(engine, time.time, "BACKEND_")


@pytest.mark.parametrize("count", [1, 2, 5, MANY])
def test_all_are_asked_about_once(engine: Engine, inspector: Inspector, count: int) -> None:
    """However many they are, each is asked about once, and those that are there are told."""
    there = {engine.run(str(number)) for number in range(count)}
    asked = {*there, "0" * 64}
    assert {one.id for one in inspector.ask_all(asked)} == there
    assert sorted(engine.asked) == sorted(asked)
    assert inspector.running == there


@pytest.mark.parametrize("count", [8, MANY])
def test_one_without_an_answer_keeps_nobody(engine: Engine, inspector: Inspector, count: int) -> None:
    """About whom there is no answer is left out, told, and not asked about again at once."""
    there = [engine.run(str(number)) for number in range(count)]
    engine.silent = {there[3]}
    assert {one.id for one in inspector.ask_all(there)} == {*there} - {there[3]}
    assert inspector.unanswered == {there[3]: "it says nothing"}
    engine.asked.clear()
    assert len(list(inspector.ask_all(there))) == count - 1
    assert there[3] not in engine.asked


@pytest.mark.parametrize("count", [8, MANY])
def test_an_engine_that_goes_away(engine: Engine, inspector: Inspector, count: int) -> None:
    """When the engine goes away it is not asked about all the others, and can be asked when it is back."""
    there = [engine.run(str(number)) for number in range(count)]
    engine.fatal = set(sorted(there)[3:])
    with pytest.raises(Unavailable):
        list(inspector.ask_all(there))
    assert len(engine.asked) < count
    engine.fatal = set()
    engine.recover()
    assert len(list(inspector.ask_all(there))) == count


def test_all_are_seen_again_in_ten_minutes(engine: Engine) -> None:
    """Those who were asked about longest ago come first, but for those about whom there is no answer."""
    now = 0.0
    inspector = Inspector(engine, lambda: now, "BACKEND_")
    there = [engine.run(str(number)) for number in range(10)]
    for one in there:
        inspector.ask(one)
    assert inspector.next_in_turn() == ()
    engine.silent = {there[0]}
    list(inspector.ask_all(engine.silent))
    inspector.has_ended(there[1])
    inspector.keep_only(there[:8])
    now = 6000.0
    assert inspector.next_in_turn() == tuple(there[2:8])
    assert inspector.running == {there[0], *there[2:8]}


class SilentEngine(Engine):
    """Gives no answer about some until it was heard of all others, or all the silent were asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.all_heard = Event()
        self.gave_up = False

    def inspect(self, container_id: str) -> Inspected | None:
        """See `Engine.inspect`."""
        if container_id in self.silent and not self.all_heard.wait(DEADLINE_SECONDS):
            self.gave_up = True
        return super().inspect(container_id)


@pytest.mark.parametrize(("silent", "count"), [(3, 10), (12, 40)])
def test_nobody_waits_behind_the_silent(silent: int, count: int) -> None:
    """However many the engine is silent about, all others are told before anybody's patience is at its end."""
    engine = SilentEngine()
    there = sorted(engine.run(str(number)) for number in range(count))
    engine.silent = set(there[:silent])
    inspector = Inspector(engine, time.time, "BACKEND_")
    answers = inspector.ask_all(there)
    assert {next(answers).id for _ in range(count - silent)} == set(there[silent:])
    engine.all_heard.set()
    assert list(answers) == []
    assert not engine.gave_up
    assert set(inspector.unanswered) == engine.silent


def test_the_silent_are_waited_for_together() -> None:
    """All of them are asked about at the same time: each ends its wait when the last one began."""
    engine = BarredEngine(9)
    engine.silent = {engine.run(str(number)) for number in range(9)}
    inspector = Inspector(engine, time.time, "BACKEND_")
    assert list(inspector.ask_all(engine.silent)) == []
    assert not engine.barrier.broken


class BarredEngine(Engine):
    """Is silent until so many were asked about at the same time."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.barrier = Barrier(count)

    def inspect(self, container_id: str) -> Inspected | None:
        """See `Engine.inspect`."""
        with suppress(BrokenBarrierError):
            self.barrier.wait(DEADLINE_SECONDS)
        return super().inspect(container_id)
