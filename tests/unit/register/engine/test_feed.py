"""From an engine to observations, on the twin of one."""

import time
from collections.abc import Callable, Iterator

import pytest
from attrs import evolve

from mooring.threads import start
from mooring_register.addresses.reach import Policy
from mooring_register.containers import Inspected
from mooring_register.engine.feed import DockerFeed
from mooring_register.engine.hints import Connected, superseded_left_out
from mooring_register.engine.listing import list_once
from mooring_register.engine.memory_engine import MemoryEngine
from mooring_register.engine.seam import DockerEvent
from mooring_register.observations import Died, Gone, Listed, Lost, Observation, Signalled
from mooring_register.registrar import Registrar, apply
from tests.waiting import wait_until

DEADLINE_SECONDS = 10.0


class Watcher:
    """Runs a feed and folds what it tells, as the owner does."""

    def __init__(
        self, engine: MemoryEngine, resync_seconds: float = 3600.0, clock: Callable[[], float] = time.time
    ) -> None:
        self.engine = engine
        self.told: list[Observation] = []
        self.state = Registrar(policy=Policy(host="h", ip="10.0.0.1"))
        self.feed = DockerFeed(engine, self._observe, resync_seconds=resync_seconds, clock=clock)
        self.threads = [start("events", self.feed.follow), start("inspector", self.feed.inspect)]

    def _observe(self, observation: Observation) -> None:
        self.told.append(observation)
        self.state = apply(self.state, [observation], time.time())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on what was told; fail with what was told instead."""
        wait_until(condition, lambda: f"what is not here: {self.state}, {self.told}", DEADLINE_SECONDS)

    def names(self) -> set[str]:
        """Return the names of the containers that are published."""
        return {one.name for one in self.state.instances.values()}


@pytest.fixture
def engine() -> MemoryEngine:
    """Give an engine on which nothing runs."""
    return MemoryEngine(time.time)


@pytest.fixture
def watcher(engine: MemoryEngine) -> Iterator[Watcher]:
    """Give a feed that has listed an engine."""
    one = Watcher(engine)
    one.wait_until(lambda: one.state.listed_at is not None)
    yield one
    one.feed.stop()
    for thread in one.threads:
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive()


def test_what_ran_before(engine: MemoryEngine) -> None:
    """What runs already is listed, and nothing else is told by one look but about whom there is no answer."""
    engine.run("web.1", ports=("80/tcp",))
    silent = engine.run("web.2", ports=("80/tcp",))
    engine.stall(silent)
    looked = list_once(engine, 5.0)
    assert [container.name for container in looked.listed.inspected] == ["/web.1"]
    assert looked.unanswered == {"web.2": f"no answer about {silent}"}


def test_start_and_stop(watcher: Watcher) -> None:
    """A container that starts is published, one that is stopped drains first and is withdrawn."""
    container = watcher.engine.run("web.1", ports=("80/tcp",))
    watcher.wait_until(lambda: watcher.names() == {"/web.1"})
    watcher.engine.stop(container)
    watcher.wait_until(lambda: not watcher.names())
    told = [type(one) for one in watcher.told]
    assert told.index(Signalled) < told.index(Died)


class WatchfulEngine(MemoryEngine):
    """Notes who is asked about, and who does not run then: a real engine would let them wait."""

    def __init__(self) -> None:
        super().__init__(time.time)
        self.asked_about: list[str] = []
        self.waited_for: list[str] = []

    def inspect(self, container_id: str) -> Inspected | None:
        """See `Engine.inspect`."""
        self.asked_about.append(container_id)
        found = super().inspect(container_id)
        if found is None or not found["State"]["Running"]:
            self.waited_for.append(container_id)
        return found


def test_nobody_waits_for_a_container_that_starts_or_ends() -> None:
    """A container is asked about when it has started, and its death is believed: the news of others do not wait."""
    engine = WatchfulEngine()
    one = Watcher(engine)
    one.wait_until(lambda: one.state.listed_at is not None)
    container = engine.run("web.1", ports=("80/tcp",))
    one.wait_until(lambda: one.names() == {"/web.1"})
    engine.stop(container)
    engine.run("web.2", ports=("80/tcp",))
    one.wait_until(lambda: one.names() == {"/web.2"})
    one.feed.stop()
    assert engine.waited_for == []


def test_restart(watcher: Watcher) -> None:
    """A container that is restarted is published on its new port."""
    container = watcher.engine.run("web.1", ports=("80/tcp",))
    watcher.wait_until(lambda: watcher.names() == {"/web.1"})
    before = next(iter(watcher.state.instances.values())).address
    watcher.engine.stop(container)
    watcher.engine.start(container)
    watcher.wait_until(lambda: [one.address for one in watcher.state.instances.values()] not in ([], [before]))


def test_engine_away(watcher: Watcher) -> None:
    """While the engine is away nothing is withdrawn; what happened meanwhile, without an event, is found afterwards."""
    stays = watcher.engine.run("stays", ports=("80/tcp",))
    dies = watcher.engine.run("dies", ports=("80/tcp",))
    watcher.wait_until(lambda: watcher.names() == {"/stays", "/dies"})
    watcher.engine.fail()
    watcher.wait_until(lambda: watcher.state.lost_since is not None)
    assert watcher.names() == {"/stays", "/dies"}
    watcher.engine.kill(dies)
    watcher.engine.run("new", ports=("80/tcp",))
    watcher.engine.rename(stays, "stayed")
    watcher.engine.recover()
    watcher.wait_until(lambda: watcher.names() == {"/stayed", "/new"})
    assert watcher.state.lost_since is None
    # Why it ended is asked, although it had never been listed.
    inspected = [container for one in watcher.told if isinstance(one, Listed) for container in one.inspected]
    assert [container.exit_code for container in inspected if container.id == dies] == [137]


def test_pending_ports(watcher: Watcher) -> None:
    """A port that Docker has not filled in is looked at again, and never published wrongly meanwhile."""
    container = watcher.engine.run("web.1", ports=("80/tcp",))
    watcher.wait_until(lambda: watcher.names() == {"/web.1"})
    watcher.engine.publish(container, pending=True)
    watcher.engine.become(container, "healthy")
    watcher.wait_until(lambda: not watcher.names())
    watcher.engine.publish(container, pending=False)
    watcher.wait_until(lambda: watcher.names() == {"/web.1"})


def test_reconcile(engine: MemoryEngine) -> None:
    """What changed without an event is found by the next comparison."""
    container = engine.run("web.1", ports=("80/tcp",))
    one = Watcher(engine, resync_seconds=0.05)
    one.wait_until(lambda: one.names() == {"/web.1"})
    before = next(iter(one.state.instances.values())).address
    engine.publish(container, pending=False)
    one.wait_until(lambda: [found.address for found in one.state.instances.values()] not in ([], [before]))
    one.feed.stop()


def test_a_burst(watcher: Watcher) -> None:
    """Of five hundred containers that start and of which half end at once, exactly the living are published."""
    living = set()
    for number in range(500):
        container = watcher.engine.run(f"c{number}", ports=("80/tcp",))
        if number % 2:
            watcher.engine.kill(container)
        else:
            living.add(f"/c{number}")
    watcher.wait_until(lambda: watcher.names() == living)


def test_superseded() -> None:
    """Of several events that ask for the same inspection the last one stays; signals, deaths and starts all do."""
    connect, start_event = DockerEvent("connect", "c1", 1), DockerEvent("start", "c1", 2)
    rename = DockerEvent("rename", "c1", 5)
    kill, die = DockerEvent("kill", "c1", 3), DockerEvent("die", "c1", 4)
    other = evolve(connect, container_id="c2")
    lost = Lost("away", 5.0)
    assert superseded_left_out([connect, rename, other]) == [rename, other]
    assert superseded_left_out([connect, kill, die, start_event, connect]) == [kill, die, start_event, connect]
    assert superseded_left_out([connect, lost, rename]) == [connect, lost, rename]


def test_a_listing_is_told_before_later_events(engine: MemoryEngine) -> None:
    """The first thing that is told is the listing; events that were replayed come after it."""
    engine.run("web.1", ports=("80/tcp",))
    one = Watcher(engine)
    one.wait_until(lambda: len(one.told) > 1)
    assert isinstance(one.told[0], Listed)
    one.feed.stop()


class Bystander(Watcher):
    """A watcher whose time can be put forward; counts what the engine is asked."""

    def __init__(self, engine: MemoryEngine) -> None:
        self.later_seconds = 0.0
        super().__init__(engine, clock=lambda: time.time() + self.later_seconds)
        self.wait_until(lambda: self.state.listed_at is not None)

    def listings(self) -> int:
        """Return how often was listed, which is once for each subscription."""
        return sum(isinstance(one, Listed) for one in self.told)

    def await_listing(self, cut: Callable[[], None]) -> None:
        """Cut the subscription after a while, and wait until the next one stands."""
        known = self.listings()
        self.later_seconds += 5
        cut()
        self.wait_until(lambda: self.listings() > known)

    def losses(self) -> int:
        """Return how often the engine was told to be lost."""
        return sum(isinstance(one, Lost) for one in self.told)


@pytest.fixture
def bystander() -> Iterator[Bystander]:
    """Give one that has listed an engine on which nothing runs."""
    one = Bystander(WatchfulEngine())
    yield one
    one.feed.stop()


def test_an_idle_subscription_is_cut(bystander: Bystander) -> None:
    """That a subscription ends after a while is routine: it is made anew, nothing is lost, and nobody is alarmed."""
    engine = bystander.engine
    assert isinstance(engine, WatchfulEngine)
    first, *others = [engine.run(f"c{number}", ports=("80/tcp",)) for number in range(20)]
    bystander.wait_until(lambda: len(bystander.names()) == 20)
    asked = []
    for _ in range(4):
        bystander.await_listing(engine.cut)
        asked.append(len(engine.asked_about))
    # Nobody for the sake of a new subscription; in some seconds of ten minutes it is hardly anybody's turn.
    assert asked[-1] - asked[0] <= 2
    bystander.later_seconds += 5
    engine.cut()
    engine.kill(first)
    engine.run("new", ports=("80/tcp",))
    bystander.wait_until(lambda: {"/new"} == bystander.names() - {f"/c{number}" for number in range(1, 20)})
    assert len(bystander.names()) == 1 + len(others)
    assert bystander.losses() == 0


def test_everybody_is_inspected_within_ten_minutes(bystander: Bystander) -> None:
    """Without an event and without a comparison, what changed unheard is found, and nobody is asked about twice."""
    engine = bystander.engine
    assert isinstance(engine, WatchfulEngine)
    there = [engine.run(f"c{number}", ports=("80/tcp",)) for number in range(20)]
    bystander.wait_until(lambda: len(bystander.names()) == 20)
    listings, known = bystander.listings(), len(engine.asked_about)
    engine.publish(there[7], pending=False)
    addresses = {one.address for one in bystander.state.instances.values()}
    bystander.later_seconds += 590
    bystander.wait_until(lambda: len(engine.asked_about) >= known + 19)
    bystander.wait_until(lambda: {one.address for one in bystander.state.instances.values()} != addresses)
    asked = engine.asked_about[known:]
    assert len(set(asked)) == len(asked)
    assert bystander.listings() == listings


def test_a_subscription_that_ends_at_once(bystander: Bystander) -> None:
    """Subscriptions that do not stand are no routine: the engine is lost, and asked with a growing pause."""
    bystander.engine.cut()
    bystander.wait_until(lambda: bystander.losses() == 1)
    bystander.wait_until(lambda: bystander.state.lost_since is None)


def test_a_container_that_nothing_is_said_of(bystander: Bystander) -> None:
    """A container about which the engine is silent keeps nobody from being registered, and is asked about later."""
    silent = bystander.engine.run("silent", ports=("80/tcp",))
    bystander.wait_until(lambda: bystander.names() == {"/silent"})
    bystander.engine.stall(silent)
    bystander.engine.rename(silent, "renamed")
    bystander.engine.run("other", ports=("80/tcp",))
    bystander.wait_until(
        lambda: bystander.names() == {"/silent", "/other"} and set(bystander.feed.unanswered) == {silent}
    )
    bystander.engine.stall(silent, stalled=False)
    bystander.later_seconds += 10
    bystander.wait_until(lambda: bystander.names() == {"/renamed", "/other"})
    assert bystander.feed.unanswered == {}
    assert bystander.losses() == 0


def test_silent_from_the_beginning(engine: MemoryEngine) -> None:
    """What runs already is registered although the engine is silent about one of them; its death is believed."""
    silent = engine.run("silent", ports=("80/tcp",))
    engine.run("other", ports=("80/tcp",))
    engine.stall(silent)
    one = Bystander(engine)
    assert one.names() == {"/other"}
    assert set(one.feed.unanswered) == {silent}
    engine.kill(silent)
    one.wait_until(lambda: one.feed.unanswered == {})
    one.feed.stop()


def test_signals_of_the_past_come_with_the_first_listing(engine: MemoryEngine) -> None:
    """Whoever lists first and hears of them later would say in between that what drains is up."""
    container = engine.run("web", ports=("80/tcp",))
    engine.kill(container, "SIGTERM", survives=True)
    told: list[Observation] = []
    feed = DockerFeed(engine, told.append, resync_seconds=60.0, clock=time.time)
    threads = [start("events", feed.follow), start("inspector", feed.inspect)]
    wait_until(lambda: told, "a listing")
    feed.stop()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    assert isinstance(told[0], Listed)
    assert [(one.container_id, one.signal) for one in told[0].signals] == [(container, "15")]


def test_what_ran_out_of_memory_dies_of_it(engine: MemoryEngine) -> None:
    """Docker says so before the death, and not with it; of another life it says nothing."""
    told: list[Observation] = []
    feed = DockerFeed(engine, told.append, resync_seconds=60.0, clock=time.time)
    actions = ("oom", "die", "die")
    feed.turn([DockerEvent(action, "c1", number, {"exitCode": "137"}) for number, action in enumerate(actions)])
    assert told == [Died("c1", 137, 0.0 + 1e-9, ran_out_of_memory=True), Died("c1", 137, 2e-9)]


def test_the_removal_of_what_had_ended_is_told(engine: MemoryEngine) -> None:
    """Nobody asks about it any more, and yet somebody may have kept what it was."""
    told: list[Observation] = []
    DockerFeed(engine, told.append, resync_seconds=60.0, clock=time.time).turn([DockerEvent("destroy", "c1", 10**9)])
    assert told == [Gone("c1", 1.0)]


def test_a_clock_that_is_set_back_delays_no_comparison(engine: MemoryEngine) -> None:
    """Nobody waits until it shows again what it showed when everything was last compared."""
    told: list[Observation] = []
    now = [10_000.0]
    feed = DockerFeed(engine, told.append, resync_seconds=60.0, clock=lambda: now[0])
    feed.turn([Connected()])
    feed.turn([])
    assert len(told) == 1
    now[0] -= 7200.0
    feed.turn([])
    assert [type(one) for one in told] == [Listed, Listed]


@pytest.mark.parametrize("lists_exited", [True, False])
def test_what_ended_is_listed_if_it_is_asked_for(engine: MemoryEngine, lists_exited: bool) -> None:
    """With its exit code, however long ago it was; who does not need it does not ask."""
    container = engine.run("web", ports=("80/tcp",))
    engine.crash(container, 3)
    told: list[Observation] = []
    feed = DockerFeed(engine, told.append, resync_seconds=60.0, clock=time.time, lists_exited=lists_exited)
    feed.turn([Connected()])
    (listed,) = told
    assert isinstance(listed, Listed)
    assert listed.exited == ({container: 3} if lists_exited else {})
