"""Two discovers, a Redis that forgets, and proxies that follow it: whatever happens, all come to know the same.

The model is what stood at each position of the stream: a plain dictionary, folded entry by entry as they are written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mooring.entries import Entry, decode_entry, encode_entry
from mooring.facts import EpochBegan
from mooring.model import Address, Instance, State
from mooring.redis.history import Model, model_of, transition_of
from mooring.redis.memory import MemoryStream
from mooring.redis.stream import RawEntry
from mooring_discover.observations import Gone, Listed, Observation, Seen, Withdrawn
from mooring_proxy.following import Position
from mooring_proxy.stored_table import decode_known
from tests.checker import check
from tests.fates import DEATHS, FAILURES, FINE, KILLED, LOST
from tests.unit.living import LEAD_SECONDS, SOURCE, Discover, Proxy

NAMES = st.sampled_from("abcdef")
DISCOVERS = st.sampled_from(["first", "second"])
PROXIES = st.sampled_from(["left", "right"])
RARELY = st.sampled_from([False, False, False, True])
ACCIDENTS: Final = ("trimmed", "flushed", "wiped", "deleted", "scribbled", "failed over", "read by a later version")
# What may befall each of the next calls: nothing, a failure, death, or something that happens just before it.
DISCOVER_FATES = st.lists(
    st.sampled_from([FINE, *FAILURES, *DEATHS, "trimmed", "flushed", "failed over", "the other leads"]), max_size=6
)
PROXY_FATES = st.lists(
    st.sampled_from([FINE, FINE, LOST, KILLED, "trimmed", "flushed and mended", "failed over", *["much changes"] * 3]),
    max_size=5,
)


class Streams(RuleBasedStateMachine):
    """One registry, two discovers of which one leads, one Redis, two proxies.

    A discover that is paused is one whose turn does not come. A crash may come at each single call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.redis = MemoryStream(self.time)
        self.replicas = deque([self.redis.replicate()], maxlen=3)
        self.held: dict[str, Instance] = {}
        self.incarnations = 0
        self.changes = 0
        self.entries: dict[Position, RawEntry] = {}
        self.past: dict[Position, Model] = {}
        self.discovers = {name: Discover(name, self) for name in ("first", "second")}
        self.proxies = {name: Proxy(self) for name in ("left", "right")}
        self.turning = ""

    def time(self) -> float:
        """Return the present time, the same for all."""
        return self.now

    def new_incarnation(self) -> str:
        """Return a name that no incarnation had."""
        self.incarnations += 1
        return f"life-{self.incarnations}"

    # What the registry says

    def listing(self) -> Listed:
        """Return all that the registry holds."""
        instances = tuple(self.held.values())
        return Listed(
            source=SOURCE, revision="1", at=self.now, instances=instances, bindings=(), hosts=frozenset(["h"])
        )

    def tell(self, observation: Observation) -> None:
        """Let both discovers hear something, each in its next turn."""
        for discover in self.discovers.values():
            discover.inbox.append(observation)

    @initialize(names=st.sets(NAMES), turns=st.booleans())
    def begin(self, names: set[str], turns: bool) -> None:
        """Begin with some instances, mostly with a stream that stands already."""
        for name in sorted(names):
            self.see(name, 0)
        if turns:
            self.take_turns()
            self.proxies["left"].follow(4, [])

    @rule(name=NAMES, version=st.integers(0, 2))
    def see(self, name: str, version: int) -> None:
        """An instance is there, or is not as it was."""
        address = Address("10.0.0.1", 1000 + 10 * ord(name) + version)
        self.held[name] = Instance(
            service=f"web/{ord(name) % 2}", id=name, address=address, host="h", port=8000 + version
        )
        self.tell(Seen(SOURCE, "2", self.now, self.held[name]))

    @rule(name=NAMES, is_told=st.booleans())
    def lose(self, name: str, is_told: bool) -> None:
        """An instance goes, with a word or deleted by somebody."""
        if (gone := self.held.pop(name, None)) is not None:
            withdrawn = Withdrawn(SOURCE, "3", self.now, gone.key, "stopped")
            self.tell(withdrawn if is_told else Gone(SOURCE, "3", self.now, gone.key, expired=False))

    # What the programs do

    @rule(name=DISCOVERS, is_restarted=RARELY, fates=DISCOVER_FATES)
    def turn(self, name: str, is_restarted: bool, fates: list[str]) -> None:
        """A discover takes a turn, whether it leads or only believes so; perhaps the first after it was killed."""
        self.turning = name
        if is_restarted:
            self.discovers[name].restart()
        self.discovers[name].turn(fates)

    @rule(name=DISCOVERS, fates=st.lists(st.sampled_from([FINE, *FAILURES]), max_size=1))
    def strive(self, name: str, fates: list[str]) -> None:
        """A discover asks for the lead."""
        self.discovers[name].strive(fates)

    @rule()
    def take_turns(self) -> None:
        """Nothing goes wrong for a moment."""
        for discover in self.discovers.values():
            discover.strive([])
            discover.turn([])

    @rule(name=PROXIES, is_restarted=RARELY, keeps_table=st.booleans(), turns=st.integers(1, 8), fates=PROXY_FATES)
    def follow(self, name: str, is_restarted: bool, keeps_table: bool, turns: int, fates: list[str]) -> None:
        """A proxy looks at the stream, perhaps after it was killed, and things happen while it does."""
        self.turning = ""
        if is_restarted:
            self.proxies[name].restart(keeps_table=keeps_table)
        self.proxies[name].follow(turns, fates)

    # What happens to Redis, and time

    @rule(what=st.sampled_from(ACCIDENTS))
    def happen(self, what: str) -> None:
        """Something happens to Redis, or to whoever else is there."""
        match what:
            case "trimmed":
                head = self.redis.head()
                self.redis.trim(head.sequence if head else 0)
            case "flushed":
                self.redis.wipe(is_restarted=False)
            case "wiped":
                self.redis.wipe()
            case "deleted":
                self.redis.delete_stream()
            case "scribbled":
                self.redis.scribble({"by": "hand"})
            case "failed over":
                self.redis.fail_over(self.replicas[0])
            case "read by a later version":
                self._write_as_a_later_version()
            case "much changes":
                self._change_much()
            case "the other leads":
                self.now += LEAD_SECONDS + 1
                for name in self.discovers.keys() - {self.turning}:
                    self.discovers[name].strive([])
                    self.discovers[name].turn([])
            case "flushed and mended":
                self.have_an_accident_mended("flushed", ["a", "b", "c", "d", "e"])

    def _change_much(self) -> None:
        """Change three instances, and have that written."""
        self.changes += 1
        for name in "abc":
            self.see(name, self.changes % 3)
        self.take_turns()

    def _write_as_a_later_version(self) -> None:
        """Lead for a moment as a later Mooring, and say what this one passes over."""
        head = self.redis.head()
        newest = [entry.sequence for entry in self.redis.tail(1)]
        if head is None or head.run_id != self.redis.run_id() or newest != [head.sequence]:
            return  # it would begin anew
        epoch = self.redis.lead("later version", expiry_seconds=LEAD_SECONDS)
        if epoch is not None:
            opening = Entry(
                sequence=head.sequence + 1,
                incarnation=head.incarnation,
                epoch=epoch,
                at=self.now,
                fact=EpochBegan("later version"),
            )
            self.redis.intrude(encode_entry(opening))
            self.redis.intrude({**encode_entry(opening), "type": "tide-turned"})
            self.redis.resign("later version")
            self.record()

    @rule(what=st.sampled_from(ACCIDENTS), names=st.lists(NAMES, max_size=5))
    def have_an_accident_mended(self, what: str, names: list[str]) -> None:
        """Something happens to Redis, and before any proxy looks, discover has noticed and gone on."""
        self.happen(what)
        self.now += 1.5
        self.take_turns()
        for name in names:
            self.lose(name, is_told=True) if name in self.held else self.see(name, 0)
        self.take_turns()

    @rule(is_away=st.booleans())
    def cut(self, is_away: bool) -> None:
        """Redis is out of everybody's reach, or is back."""
        discovers, proxies = self.discovers.values(), self.proxies.values()
        for connection in (*(one.connection for one in discovers), *(one.connection for one in proxies)):
            connection.is_away = is_away

    @rule(seconds=st.sampled_from([0.3, 1.5, 6.0, 61.0]))
    def wait(self, seconds: float) -> None:
        """Time passes; a lead that was not renewed expires."""
        self.now += seconds

    # What must hold

    def record(self) -> None:
        """Note what stands at each position, right after it was written; a position is never written twice."""
        head = self.redis.head()
        if head is None:
            return
        self.past.setdefault(Position(head.incarnation, 0), {})
        for raw in self.redis.read(0, block_seconds=0):
            here = Position(head.incarnation, raw.sequence)
            if raw.sequence <= head.sequence and self.entries.setdefault(here, raw) != raw:
                raise AssertionError(f"two entries at {here.incarnation} {here}: {self.entries[here]}, {raw}")
            if raw.sequence <= head.sequence and here not in self.past:
                self.replicas.append(self.redis.replicate())
                self.past[here] = _folded(self.past[Position(head.incarnation, raw.sequence - 1)], raw)

    @invariant()
    def no_proxy_skips_an_entry_or_applies_one_twice(self) -> None:
        """Whatever a proxy was told as complete is what stood at that position; what it stored is the same."""
        for name, proxy in self.proxies.items():
            assert proxy.frozen is None, name
            for update in proxy.updates:
                assert model_of(update.known.catalog) == self.past[update.known.position], name
            proxy.updates.clear()
            if proxy.table is not None:
                assert decode_known(proxy.stored) == proxy.table

    @invariant()
    def what_stands_beside_the_stream_is_its_fold(self) -> None:
        """The catalog in Redis is the fold of the entries, at every moment."""
        head = self.redis.head()
        if head is not None:
            assert model_of(self.redis.catalog()) == self.past[Position(head.incarnation, head.sequence)]

    @rule()
    def come_to_rest(self) -> None:
        """Nothing more happens for a while: all proxies, the stream and the registry say the same."""
        self.cut(is_away=False)
        for _ in range(10):
            self.now += 2.0
            self.take_turns()
        for proxy in self.proxies.values():
            proxy.follow(30, [])
        self.no_proxy_skips_an_entry_or_applies_one_twice()
        self._check_rest()

    def _check_rest(self) -> None:
        check(self.redis)
        head, catalog = self.redis.head(), self.redis.catalog()
        assert head is not None
        assert head.complete
        doubtless = {one.id: one.address for one in catalog.instances() if one.state is not State.SUSPECT}
        assert doubtless == {name: one.address for name, one in self.held.items()}
        for name, proxy in self.proxies.items():
            assert proxy.table is not None, name
            assert proxy.table.position == Position(head.incarnation, head.sequence), name
            assert proxy.table.catalog == catalog, name
            assert proxy.table.ports == self.redis.ports(), name

    def teardown(self) -> None:
        """Every history ends at rest."""
        self.come_to_rest()


def _folded(before: Mapping[str, Any], raw: RawEntry) -> Model:
    """Return the model after an entry, which must follow from what was there and must change something."""
    entry = decode_entry(raw.sequence, raw.fields)
    step = transition_of(entry.fact) if entry is not None else None
    if step is None:
        return dict(before)
    assert before.get(step.key) == step.before, f"entry {raw.sequence}-0 does not follow from what was there"
    assert step.before != step.after, f"entry {raw.sequence}-0 changes nothing"
    rest = {key: value for key, value in before.items() if key != step.key}
    return rest if step.after is None else {**rest, step.key: step.after}


Streams.TestCase.settings = settings(stateful_step_count=30)
TestStreams = Streams.TestCase
