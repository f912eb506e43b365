"""Who asks an engine about containers, one or many."""

from __future__ import annotations

import time

import pytest

from mooring.errors import Unavailable
from mooring_register.containers import Inspected
from mooring_register.engine.inspector import Inspector
from mooring_register.engine.memory_engine import MemoryEngine
from mooring_register.engine.seam import Unanswered

MANY = 200


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


@pytest.mark.parametrize("count", [1, 31, 32, MANY])
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
    engine.fatal = {sorted(there)[3]}
    with pytest.raises(Unavailable):
        list(inspector.ask_all(there))
    assert len(engine.asked) < count
    engine.fatal = set()
    engine.recover()
    assert len(list(inspector.ask_all(there))) == count


def test_all_are_seen_again_in_ten_minutes(engine: Engine, inspector: Inspector) -> None:
    """Those who were asked about longest ago come first, as many as the time that passed asks for."""
    there = [engine.run(str(number)) for number in range(10)]
    assert inspector.longest_unseen(there, 0.0) == set()
    list(inspector.ask_all(there[:8]))
    assert inspector.longest_unseen(there, 120.0) == set(there[8:])
    assert inspector.longest_unseen(there, 6000.0) == set(there)
    inspector.keep_only(there[:2])
    assert inspector.running == set(there[:2])
