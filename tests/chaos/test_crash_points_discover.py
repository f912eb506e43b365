"""Discover, struck before and after each of its calls to Redis: the stream has no gap and ends as if nothing was."""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import evolve

from mooring.etcd.address import parse_etcd_address
from mooring.ports import KEPT_SECONDS
from mooring.redis.stream import StreamWriter
from mooring_discover.observations import Answering, Silent
from tests.chaos.commands import load_scripts
from tests.chaos.crashing import (
    Call,
    Crash,
    Fate,
    Moment,
    Side,
    Story,
    Trap,
    killed_at_every,
    tried_at_every_call,
    tried_twice,
)
from tests.chaos.killed import Mortal, run_discover
from tests.chaos.sites import SOURCE, Ending, Site, binding, empty, fleet, instance, never_removed
from tests.chaos.tables import Proxy
from tests.checker import check
from tests.integration import discovers as integration
from tests.integration.discovers import open_site
from tests.servers import EtcdServer, RedisServer

IN_PROCESS = (Fate.OUTAGE, Fate.DEATH)
PAIRS = 12
NAMES = ("large", "changes", "trims", "silence", "emptied", "handover", "overtaken", "ports")
PURPOSES = {"lead", "resign", "begin", "append epoch", "append facts", "append head alone", "trim"}
STREAM_LENGTH = 5
# What the whole discover writes to Redis in the life below; its second process finds a stream that is there.
KILLED_AT = [
    Moment(1, "lead.lua"),
    *(Moment(1, "begin.lua", number) for number in (1, 2)),
    *(Moment(1, "append.lua", number) for number in (1, 2)),
    Moment(1, "trim.lua"),
    Moment(1, "resign.lua"),
    Moment(2, "lead.lua"),
    Moment(2, "append.lua"),
]
WRITING_COMMANDS = {"append.lua", "begin.lua", "lead.lua", "resign.lua", "trim.lua"}
STEADY, OTHER = instance("steady", port=8001), instance("other", port=8002)


class Stories:
    """What may happen to a registry and a Redis, each in a namespace of its own at one Redis."""

    def __init__(self, server: RedisServer, namespace: str) -> None:
        self.server = server
        self._namespace = namespace
        self._numbers = itertools.count(1)
        self.asked: list[Call] = []

    def story(self, name: str) -> Story:
        """Return the story of this name."""
        return Story(name, getattr(self, name))

    def commands(self, name: str) -> Sequence[Call]:
        """Return the commands of a story that nothing disturbs."""
        trap = Trap()
        self.story(name).play(trap)
        return trap.calls

    @contextmanager
    def _site(self, trap: Trap, *, stream_length: int = 1000) -> Iterator[Site]:
        site = Site(self.server, f"{self._namespace}-{next(self._numbers)}", trap, stream_length=stream_length)
        site.held = {one.key: one for one in (STEADY, OTHER, binding("DB"))}
        site.proxy.table.always = frozenset({STEADY.key})
        try:
            yield site
        finally:
            self.asked += site.asked.calls
            site.close()

    def large(self, trap: Trap) -> Ending:
        """More is listed than one batch takes."""
        with self._site(trap) as site:
            site.held.update({one.key: one for one in fleet(230)})
            site.proxy.table.always = frozenset(key for key in site.held if not isinstance(key, str))
            site.tell(site.listing())
            return self._ended(site)

    def changes(self, trap: Trap) -> Ending:
        """Instances and bindings come, change and go, while one of them just stays."""
        with self._site(trap) as site:
            site.tell(site.listing())
            site.hold(instance("new"), evolve(OTHER, weight=50))
            site.hold(binding("CACHE"))
            site.withdraw(OTHER)
            site.withdraw(binding("DB"))
            return self._ended(site)

    def trims(self, trap: Trap) -> Ending:
        """The stream grows longer than it is to be, again and again."""
        with self._site(trap, stream_length=4) as site:
            site.tell(site.listing())
            for weight in range(1, 6):
                site.hold(evolve(OTHER, weight=weight))
            return self._ended(site)

    def silence(self, trap: Trap) -> Ending:
        """The registry falls silent and answers again."""
        with self._site(trap) as site:
            site.tell(site.listing())
            site.tell(Silent(SOURCE, site.clock(), "gone fishing"))
            site.tell(Answering(SOURCE, site.clock()))
            site.hold(instance("new"))
            return self._ended(site)

    def emptied(self, trap: Trap) -> Ending:
        """Redis forgets everything."""
        with self._site(trap) as site:
            site.tell(site.listing())
            site.empty()
            site.settle()
            site.hold(instance("new"))
            return self._ended(site)

    def handover(self, trap: Trap) -> Ending:
        """One discover ends in order, another takes up."""
        with self._site(trap) as site:
            site.tell(site.listing())
            site.discover.resign()
            site.succeed()
            site.hold(instance("new"))
            return self._ended(site)

    def overtaken(self, trap: Trap) -> Ending:
        """One discover was frozen until another led, and writes on when it wakes."""
        with self._site(trap) as site:
            site.tell(site.listing())
            frozen = site.discover
            site.lead_expires()
            site.succeed()
            site.hold(instance("new"))
            frozen.owner.turn([site.listing()])
            site.withdraw(OTHER)
            frozen.turn(site.listing())
            site.hold(evolve(OTHER, weight=7))
            return self._ended(site)

    def ports(self, trap: Trap) -> Ending:
        """A service comes and goes; the port that it held is free again when nobody missed it for ten minutes."""
        with self._site(trap) as site:
            site.tell(site.listing())
            api = instance("api", port=8100, service="api")
            site.hold(api)
            site.withdraw(api)
            for _ in range(3):  # a successor does not know since when, and waits as long again
                site.let_pass(2 * KEPT_SECONDS)
            return self._ended(site)

    def _ended(self, site: Site) -> Ending:
        never_removed(site.stream, STEADY)
        return site.ending()


@pytest.fixture
def stories(redis_server: RedisServer, namespace: str) -> Stories:
    """Give the stories at a real Redis."""
    load_scripts(redis_server.port)
    return Stories(redis_server, namespace)


@pytest.mark.parametrize("name", NAMES)
def test_struck_once(stories: Stories, name: str, measured: Callable[[str], None]) -> None:
    """Whether Redis fails or discover dies, at whichever call: the stream is gapless and its fold is what is held."""
    tried = tried_at_every_call(stories.story(name), *IN_PROCESS)
    measured(f"discover, {name}: {len(tried.calls)} commands, {tried.runs} runs with one crash")


@pytest.mark.parametrize("name", NAMES)
def test_struck_again_while_it_recovers(stories: Stories, name: str, measured: Callable[[str], None]) -> None:
    """A second failure soon after the first changes nothing."""
    both = tried_twice(stories.story(name), IN_PROCESS, PAIRS, random.Random(name))
    measured(f"discover, {name}: {both} runs with two crashes")
    assert both > PAIRS / 2


def test_every_kind_of_write_is_struck(stories: Stories) -> None:
    """The stories use all that a discover may write, each by one script: nothing new escapes, and nothing takes two."""
    commands = [call for name in NAMES for call in stories.commands(name)]
    assert {call.purpose for call in commands if call.writes} == WRITING_COMMANDS
    assert {call.method for call in stories.asked} >= {name for name in vars(StreamWriter) if not name.startswith("_")}
    assert {call.purpose for call in stories.asked if call.writes} == PURPOSES


def test_killed(
    own_etcd_server: EtcdServer,
    redis_server: RedisServer,
    namespace: str,
    tmp_path: Path,
    measured: Callable[[str], None],
) -> None:
    """The whole discover, killed at each kind of write to Redis: the next one appends what is missing, and no more."""
    load_scripts(redis_server.port)
    numbers = itertools.count(1)

    def play(crash: Crash, process: int) -> int:
        name = f"{namespace}-{next(numbers)}"
        directory = tmp_path / name
        directory.mkdir()
        discover = Mortal(directory / "log", crash, process)
        with open_site(own_etcd_server, redis_server, directory, name) as site:
            try:
                _live(site, redis_server, discover)
            finally:
                discover.kill()
        return discover.deaths

    measured(f"discover: {killed_at_every(KILLED_AT, play)} runs with a real kill -9")


@pytest.mark.parametrize("side", Side)
def test_killed_over_the_identity_of_a_store(
    own_etcd_server: EtcdServer, redis_server: RedisServer, namespace: str, tmp_path: Path, side: Side
) -> None:
    """Killed at the one thing that it writes to etcd, who the store is, it is followed by one that goes on with it."""
    discover = Mortal(tmp_path / "log", Crash(1, side, Fate.SIGKILL, "put store"))
    with open_site(own_etcd_server, redis_server, tmp_path, namespace) as site:
        try:
            _live(site, redis_server, discover)
        finally:
            discover.kill()
    assert discover.deaths == 1


def _live(site: integration.Site, server: RedisServer, discover: Mortal) -> None:
    """Let instances come, change and go, Redis be emptied, and discover end in order and be followed by another."""
    steady, changing, going = (integration.instance(name) for name in ("a", "b", "c"))
    begin = (run_discover, parse_etcd_address(site.source), server.url, site.namespace, STREAM_LENGTH)
    proxy = Proxy(site.stream)
    proxy.table.always = frozenset({steady.key})

    def written(**weights: int) -> None:
        discover.until(lambda: _follows(proxy, site) == weights, f"the catalog to be {weights}")
        never_removed(site.stream, steady)

    site.host("h1", steady, changing, going)
    discover.start(*begin)
    written(a=100, b=100, c=100)
    for weight in range(1, STREAM_LENGTH):
        site.put(evolve(changing, weight=weight))
        written(a=100, b=weight, c=100)
    site.withdraw(going)
    written(a=100, b=STREAM_LENGTH - 1)
    empty(server, site.namespace)
    written(a=100, b=STREAM_LENGTH - 1)
    discover.end()
    site.put(changing)
    discover.start(*begin)
    written(a=100, b=100)
    discover.end()
    _agree(proxy, site)


def _agree(proxy: Proxy, site: integration.Site) -> None:
    proxy.catches_up(site.stream)
    assert proxy.catalog == site.stream.catalog()
    assert not proxy.table.problems, proxy.table.problems
    check(site.stream)


def _follows(proxy: Proxy, site: integration.Site) -> Mapping[str, int]:
    """Let the proxy look, and return the weights in a catalog that is complete."""
    proxy.looks()
    return {one.id: one.weight for one in site.stream.catalog().instances()} if site.complete() else {}
