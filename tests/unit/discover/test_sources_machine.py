"""Three sources say anything, fall silent, come back: at every step, what is written is what a naive model says.

Here Redis always answers, and one discover leads; what befalls those is tried in test_owner_lives.py and in
tests/unit/test_stream_machine.py.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mooring.entries import decode_entry
from mooring.facts import SourceLost, SourceRecovered
from mooring.model import Instance, State
from mooring.redis.memory import MemoryStream
from mooring_discover.observations import Answering, HostGone, HostSeen, InstanceKey, Listed, Observation, Silent
from mooring_discover.suspects import Policy
from tests.checker import check
from tests.unit.discover.making import FIRST, SECOND, Desk, deleted, expired, instance, listed, seen, withdrawn
from tests.unit.discover.sources_model import Model, Records, SourceModel

THIRD = "etcd://third/services"
ORDER = (FIRST, SECOND, THIRD)
POLICY = Policy()

SOURCES = st.sampled_from(ORDER)
NAMES = st.sampled_from("abcdefgh")
VERSIONS = st.integers(0, 2)
HOSTS = st.sampled_from(["host0", "host1", "host2", "host3"])
PARTINGS = st.sampled_from([withdrawn, deleted, expired])


def make(name: str, version: int) -> Instance:
    """Return an instance of few services on few hosts; in some versions it has the address of another one."""
    number = ord(name)
    one = instance(f"service{number % 3}", name, host=f"host{number % 4}", port=8000 + (number // 3 + version) % 4)
    return evolve(one, weight=100 + version)


class Sources(RuleBasedStateMachine):
    """Three registries as discover sees them, from words to the catalog in Redis.

    `said` is what each source said last, by its own words and without any judgement.
    """

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(MemoryStream(lambda: 0.0), sources=ORDER, policy=POLICY)
        self.model = Model(POLICY, {name: SourceModel() for name in ORDER})
        self.said: dict[str, Records] = {name: {} for name in ORDER}
        self.listed_at: float | None = None
        self.was_complete = False

    def hear(self, *observations: Observation, after_seconds: float = 0.0) -> None:
        """Let discover and the model hear the same, then let them judge."""
        self.desk.lead()
        self.desk.turn(*observations, after_seconds=after_seconds)
        for observation in observations:
            self.model.hear(evolve(observation, at=self.desk.now))
        self.model.pass_time(self.desk.now)
        if self.listed_at is None and any(source.is_listed for source in self.model.sources.values()):
            self.listed_at = self.desk.now

    # What sources say

    @rule(source=SOURCES, name=NAMES, version=VERSIONS)
    def see(self, source: str, name: str, version: int) -> None:
        """An instance is there, or is not as it was."""
        one = make(name, version)
        self.said[source][one.key] = one
        self.hear(seen(one, source=source))

    @rule(source=SOURCES, names=st.sets(NAMES, min_size=1, max_size=4), how=PARTINGS)
    def lose(self, source: str, names: set[str], how: Callable[..., Observation]) -> None:
        """Instances go at once: with a word, deleted by somebody, or with their leases."""
        keys = [make(name, 0).key for name in sorted(names)]
        for key in keys:
            self.said[source].pop(key, None)
        self.hear(*(how(key, source=source) for key in keys))

    @rule(
        source=SOURCES, lacking=st.sets(NAMES), more=st.sets(NAMES, max_size=2), hosts=st.frozensets(HOSTS, max_size=2)
    )
    def list_anew(self, source: str, lacking: set[str], more: set[str], hosts: frozenset[str]) -> None:
        """A source starts over, and lacks some of what it had; perhaps all."""
        held = {key: one for key, one in self.said[source].items() if one.id not in lacking}
        self.said[source] = held | {make(name, 1).key: make(name, 1) for name in more}
        self.hear(self._listing(source, hosts))

    @rule()
    def list_all(self) -> None:
        """Every source says all that it holds, and lacks nothing."""
        self.hear(*(self._listing(source, frozenset()) for source in ORDER))

    def _listing(self, source: str, hosts: frozenset[str]) -> Listed:
        return evolve(listed(self.said[source].values(), source=source), hosts=hosts)

    @rule(source=SOURCES, host=HOSTS, is_there=st.booleans())
    def see_host(self, source: str, host: str, is_there: bool) -> None:
        """A host's register takes the host, or lets it go."""
        self.hear((HostSeen if is_there else HostGone)(source, 0.0, host))

    @rule(source=SOURCES, is_silent=st.booleans())
    def fall_silent_or_answer(self, source: str, is_silent: bool) -> None:
        """A source is away, or back."""
        self.hear(Silent(source, 0.0, "no answer") if is_silent else Answering(source, 0.0))

    @rule(source=SOURCES, host=HOSTS)
    def lose_host(self, source: str, host: str) -> None:
        """A host dies, and all that hung on its lease goes with it."""
        names = {one.id for one in self.said[source].values() if one.host == host}
        self.lose(source, names, expired)
        self.pass_time(1.0)

    @rule(source=SOURCES, names=st.sets(NAMES, min_size=1, max_size=3))
    def wake_up_and_expire(self, source: str, names: set[str]) -> None:
        """A registry was frozen: when it answers again, leases have run out."""
        self.hear(Silent(source, 0.0, "no answer"))
        self.hear(Answering(source, 0.0), after_seconds=20.0)
        self.lose(source, names, expired)
        self.pass_time(1.0)

    # Time, and lives of discover

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 31.0, 100.0]))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.hear(after_seconds=seconds)

    @rule(finds_all=st.booleans())
    def restart(self, finds_all: bool) -> None:
        """Discover is started anew and inherits what is written; perhaps all sources list at once what they had."""
        written = {one.key: one for one in self.desk.stream.catalog().instances()}
        said = self.said
        self.desk.restart()
        self._begin_anew(written)
        if finds_all:
            self.said = said
            self.list_all()

    @rule()
    def restart_with_nothing(self) -> None:
        """Discover is started anew, and so is Redis, which has lost everything."""
        self.check_history()
        self.desk.stream.wipe()
        self.desk.restart()
        self.was_complete = False
        self._begin_anew({})

    def _begin_anew(self, written: Records) -> None:
        self.said = {name: {} for name in ORDER}
        self.listed_at = None
        self.model.restart(written, self.desk.now)
        self.hear()

    # What must hold

    @invariant()
    def written_is_what_the_model_says(self) -> None:
        """The catalog in Redis is the model's, suspects and all; before enough is known there is none."""
        head = self.desk.stream.head()
        if head is None:
            assert not self._may_begin()
            return
        assert _essence(self._catalog()) == _essence(self.model.shown())
        self.was_complete = self.was_complete or self.model.is_listed
        assert head.complete == self.was_complete

    @invariant()
    def silence_removes_nothing(self) -> None:
        """Whatever some source said last to be there is there, without doubt, or another one at its address is."""
        if self.desk.stream.head() is None:
            return
        catalog = self._catalog()
        doubtless = [one for one in catalog.values() if one.state is not State.SUSPECT]
        places = {(one.service, one.address) for one in doubtless}
        in_order: Records = {}
        for source in reversed(ORDER):
            in_order |= self.said[source]
        for one in in_order.values():
            key_is_there = one.key in catalog and catalog[one.key].state is not State.SUSPECT
            assert key_is_there or (one.service, one.address) in places, one

    @rule()
    def come_to_rest(self) -> None:
        """Everything is listed without a lack, and time passes: nothing is left but what is there, and it stays so."""
        self.hear(*(Answering(source, 0.0) for source in ORDER))
        self.list_all()
        for _ in range(3):
            self.hear(after_seconds=POLICY.hold_seconds + 1)
            self.written_is_what_the_model_says()
        head = self.desk.stream.head()
        self.hear(after_seconds=POLICY.hold_seconds + 1)
        assert self.desk.stream.head() == head, "nothing happened, and something was written"

    def check_history(self) -> None:
        """Assert that the stream is legal: each fact follows from those before, and none changes nothing."""
        if self.desk.stream.head() is None:
            return
        check(self.desk.stream)
        lost: set[str] = set()
        for raw in self.desk.stream.tail(10_000):
            entry = decode_entry(raw.sequence, raw.fields)
            match entry.fact if entry else None:
                case SourceLost(address=address):
                    assert address not in lost, f"{address} is lost twice"
                    lost.add(address)
                case SourceRecovered(address=address):
                    assert address in lost, f"{address} is back and was never lost"
                    lost.remove(address)

    def teardown(self) -> None:
        """Every history is whole, and ends at rest."""
        self.come_to_rest()
        self.check_history()

    def _may_begin(self) -> bool:
        if self.listed_at is None:
            return False
        return bool(self.model.shown()) or self.desk.now - self.listed_at >= POLICY.hold_seconds

    def _catalog(self) -> Records:
        return {one.key: one for one in self.desk.stream.catalog().instances()}


def _essence(records: Records) -> dict[InstanceKey, tuple[object, ...]]:
    return {key: (one.address, one.state, one.weight, one.host) for key, one in records.items()}


Sources.TestCase.settings = settings(stateful_step_count=30)
TestSources = Sources.TestCase
