"""A proxy's follower, struck at each of its calls to Redis: its table is always a true one, at the end the same."""

import itertools
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from mooring.catalog import Catalog, catalog_of, fold
from mooring.facts import (
    BindingAdded,
    BindingRemoved,
    EpochBegan,
    Fact,
    InstanceAdded,
    InstanceChanged,
    InstanceRemoved,
)
from mooring.keys import RedisNames
from mooring.redis.client import RedisStream
from mooring.redis.stream import Appended, Head
from mooring_proxy import state_dir
from mooring_proxy.following import Known, Position
from mooring_proxy.stored_table import encode_known
from tests.chaos.commands import load_scripts
from tests.chaos.crashing import (
    Call,
    Crash,
    Fate,
    Moment,
    Story,
    Trap,
    killed_at_every,
    tried_at_every_call,
    tried_twice,
)
from tests.chaos.killed import (
    KILLED,
    PROXY,
    Mortal,
    run_proxy,
    save_and_die_at_byte,
    save_and_die_at_line,
)
from tests.chaos.seams import READER
from tests.chaos.sites import binding, fleet, instance
from tests.chaos.stations import Ending, Station
from tests.servers import RedisServer
from tests.streams import batch_of, begun

IN_PROCESS = (Fate.OUTAGE, Fate.DEATH)
PAIRS = 12
KILLED_AT = [
    Moment(1, "HGETALL"),
    Moment(1, "HSCAN"),
    Moment(1, "XREAD"),
    Moment(1, "XREAD", 2),
    Moment(1, "DEL HSET EXPIRE"),
    Moment(1, "DEL HSET EXPIRE", 2),
]
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


def test_killed(redis_server: RedisServer, namespace: str, tmp_path: Path, measured: Callable[[str], None]) -> None:
    """A proxy killed at any kind of call has stored a true table or none, and its successor has the stream's again."""
    load_scripts(redis_server.port)
    numbers = itertools.count(1)

    def play(crash: Crash, process: int) -> int:
        name = f"{namespace}-{next(numbers)}"
        directory = tmp_path / name
        directory.mkdir()
        stream = RedisStream.from_url(redis_server.url, RedisNames(name))
        proxy = Mortal(tmp_path / f"{name}.log", crash, process)
        try:
            _live(stream, (run_proxy, redis_server.url, name, directory), directory, proxy)
        finally:
            proxy.kill()
            stream.close()
        return proxy.deaths

    measured(f"proxy: {killed_at_every(KILLED_AT, play)} runs with a real kill -9")


def _live(stream: RedisStream, begin: tuple[Any, ...], directory: Path, proxy: Mortal) -> None:
    """Let a stream grow under a proxy until it has announced and stored what came last."""
    truth: dict[int, Catalog] = {}

    def stored() -> int:
        known = state_dir.load(directory)
        assert known is None or known.catalog == truth[known.position.sequence], "what is stored was never true"
        said = stream.announced().get(PROXY, {}).get("sequence")
        return known.position.sequence if known and said == str(known.position.sequence) else 0

    def grow(*facts: Fact, head: Head) -> Head:
        sequence = head.sequence + len(facts)
        truth[sequence] = fold(stream.catalog(), facts)
        assert stream.append(batch_of(head, *facts, complete=True)) == Appended(sequence)
        return evolve(head, sequence=sequence)

    stream.lead("writer", expiry_seconds=600)
    head = grow(EpochBegan("d"), InstanceAdded(STEADY), InstanceAdded(OTHER), head=begun(stream))
    proxy.start(*begin)
    proxy.until(lambda: stored() == head.sequence, "the first table to be stored")
    last = grow(InstanceRemoved(OTHER), InstanceAdded(NEW), head=head)
    proxy.until(lambda: stored() == last.sequence, "the last table to be stored")
    proxy.was_killed()
    proxy.until(lambda: stored() == last.sequence, "the successor to know the last table")


def test_killed_while_storing(tmp_path: Path, measured: Callable[[str], None]) -> None:
    """Killed before whichever step of storing a table, or amid its bytes, a proxy leaves the old one or the new one."""
    old, new = (Known(Position("life", number), catalog_of(fleet(number)), {}) for number in (1, 50))
    text = encode_known(new)
    state_dir.save(tmp_path, old)
    lines = 0
    while (status := save_and_die_at_line(tmp_path, text, lines + 1)) == KILLED:
        lines += 1
        assert state_dir.load(tmp_path) in (old, new)
    assert (status, state_dir.load(tmp_path)) == (0, new)
    state_dir.save(tmp_path, old)
    for most_bytes in range(0, len(text), len(text) // 5):
        assert save_and_die_at_byte(tmp_path, text, most_bytes) == -signal.SIGXFSZ
        assert state_dir.load(tmp_path) == old
    measured(f"proxy: storing a table in {lines} steps, killed at each, and at 5 of its bytes")
    assert lines > 3
