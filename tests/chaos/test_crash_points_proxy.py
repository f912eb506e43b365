"""A proxy's follower, struck at each of its calls to Redis: its table is always a true one, at the end the same."""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import evolve

from mooring.facts import (
    BindingAdded,
    BindingRemoved,
    EpochBegan,
    InstanceAdded,
    InstanceChanged,
    InstanceRemoved,
)
from tests.chaos.commands import load_scripts
from tests.chaos.crashing import Call, Fate, Story, Trap, tried_at_every_call, tried_twice
from tests.chaos.seams import READER
from tests.chaos.sites import binding, instance
from tests.chaos.stations import Ending, Station
from tests.servers import RedisServer

IN_PROCESS = (Fate.OUTAGE, Fate.DEATH)
PAIRS = 12
NAMES = ("follows", "trimmed", "emptied")
STEADY, OTHER, NEW = instance("steady", port=8001), instance("other", port=8002), instance("new", service="api")
WEB, BOTH = {"8001/tcp": "web"}, {"8001/tcp": "web", "8000/tcp": "api"}


class Stories:
    """What may happen to a stream that a proxy follows, each in a namespace of its own."""

    def __init__(self, server: RedisServer, namespace: str, directory: Path) -> None:
        self.server = server
        self.asked: list[Call] = []
        self._namespace = namespace
        self._directory = directory
        self._numbers = itertools.count(1)

    def story(self, name: str) -> Story:
        """Return the story of this name."""
        return Story(name, getattr(self, name))

    def commands(self, name: str) -> Sequence[Call]:
        """Return the commands of a story that nothing disturbs."""
        trap = Trap()
        self.story(name).play(trap)
        return trap.calls

    @contextmanager
    def _begun(self, trap: Trap) -> Iterator[Station]:
        number = next(self._numbers)
        station = Station(self.server, f"{self._namespace}-{number}", self._directory / str(number), trap, STEADY)
        try:
            station.begin(EpochBegan("d"), InstanceAdded(STEADY), InstanceAdded(OTHER), ports=WEB)
            yield station
        finally:
            self.asked += station.asked.calls
            station.close()

    def follows(self, trap: Trap) -> Ending:
        """Instances and bindings come, change and go."""
        with self._begun(trap) as station:
            heavier = evolve(OTHER, weight=50)
            station.write(InstanceAdded(NEW), InstanceChanged(heavier, OTHER), ports=BOTH)
            station.write(BindingAdded(binding("DB")), ports=BOTH)
            station.write(InstanceRemoved(heavier), BindingRemoved(binding("DB")), ports=BOTH)
            station.write(ports=WEB)
            return station.ending()

    def trimmed(self, trap: Trap) -> Ending:
        """The stream is cut past the proxy's cursor."""
        with self._begun(trap) as station:
            heavier, heavy = evolve(OTHER, weight=50), evolve(OTHER, weight=70)
            station.trim_unseen(InstanceChanged(heavier, OTHER), InstanceChanged(heavy, heavier), ports=WEB)
            station.write(InstanceAdded(NEW), ports=BOTH)
            return station.ending()

    def emptied(self, trap: Trap) -> Ending:
        """Redis forgets everything, and discover begins another incarnation, elsewhere than the first ended."""
        with self._begun(trap) as station:
            station.empty()
            station.begin(EpochBegan("d"), InstanceAdded(NEW), InstanceAdded(STEADY), ports=BOTH)
            station.write(InstanceRemoved(NEW), ports=WEB)
            return station.ending()


@pytest.fixture
def stories(redis_server: RedisServer, namespace: str, tmp_path: Path) -> Stories:
    """Give the stories at a real Redis, each proxy with a state directory of its own."""
    load_scripts(redis_server.port)
    return Stories(redis_server, namespace, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_struck_once(stories: Stories, name: str, measured: Callable[[str], None]) -> None:
    """Whether Redis fails or the proxy dies, at whichever call: no table that it had or stored was ever untrue."""
    tried = tried_at_every_call(stories.story(name), *IN_PROCESS, dies_reading=True)
    measured(f"proxy, {name}: {len(tried.calls)} commands, {tried.runs} runs with one crash")


@pytest.mark.parametrize("name", NAMES)
def test_struck_again_while_it_recovers(stories: Stories, name: str, measured: Callable[[str], None]) -> None:
    """A second failure soon after the first changes nothing."""
    both = tried_twice(stories.story(name), IN_PROCESS, PAIRS, random.Random(name))
    measured(f"proxy, {name}: {both} runs with two crashes")
    assert both > PAIRS / 2


def test_every_kind_of_call_is_struck(stories: Stories) -> None:
    """The stories use all that a proxy asks of a stream, and the one thing that it writes goes there in one piece."""
    commands = [call for name in NAMES for call in stories.commands(name)]
    assert {call.purpose for call in commands if call.writes} == {"DEL HSET EXPIRE"}
    for_people = {"announced", "leader", "tail"}
    assert {call.method for call in stories.asked} == READER.methods - for_people
