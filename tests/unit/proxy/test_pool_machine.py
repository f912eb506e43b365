"""The pool against plain dictionaries: whatever comes and goes, who gets a connection, and what is counted."""

from __future__ import annotations

from collections import Counter

from attrs import frozen
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from mooring.model import Address, State
from mooring_proxy.balancers.round_robin import RoundRobin
from mooring_proxy.pool import Pool
from mooring_proxy.routing import Backend, BackendKey

NAMES = st.sampled_from("abc")
STATES = st.sampled_from(State)
WEIGHTS = st.sampled_from([100, 1, 0])
# What a new connection prefers; a state that is not named here gets none.
BEST_FIRST = (State.UP, State.STARTING, State.SUSPECT)


def key(name: str) -> BackendKey:
    """Return the key of that backend."""
    return BackendKey("web", name)


@frozen
class Place:
    """A backend as the model knows it."""

    port: int
    state: State = State.UP
    weight: int = 100


@frozen
class Client:
    """A client that was connected to a backend, in one of the proxy's lives."""

    name: str
    life: int


class Pools(RuleBasedStateMachine):
    """One route of a proxy: instances come, go, move and drain; clients come, are served or not, and go.

    The model knows which backends there are, which connections are open, and nothing of tiers or turns but this: up
    before starting before suspect, and among equals everybody in turn.
    """

    clients: Bundle[Client] = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.lives = 0
        self.ports = 8000
        self.places: dict[str, Place] = {}
        self.open: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.restart()

    def restart(self) -> None:
        """Begin a life of the proxy with the backends that there are; it carries nothing yet."""
        self.lives += 1
        self.pool = Pool(RoundRobin(), self._backends())
        for counted in (self.open, self.totals, self.failures):
            counted.clear()

    # What happens to instances

    @rule(name=NAMES, state=STATES, weight=WEIGHTS)
    def add(self, name: str, state: State, weight: int) -> None:
        """An instance is there; one of that name that was there before moves to another address."""
        self.ports += 1
        self._change(name, Place(self.ports, state, weight))

    @rule(name=NAMES, state=STATES, weight=WEIGHTS)
    def change(self, name: str, state: State, weight: int) -> None:
        """An instance drains, is suspect, starts, is up again, or is given another weight; with 0 it gets nothing."""
        if name in self.places:
            self._change(name, Place(self.places[name].port, state, weight))

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        """An instance is gone."""
        self._change(name, None)

    # What clients do

    @rule(target=clients, count=st.integers(1, 3), refusing=st.sets(NAMES, max_size=2))
    def connect(self, count: int, refusing: set[str]) -> MultipleResults[Client]:
        """Clients come: each gets the best backend that does not refuse, every one being asked once; or nobody."""
        served = [self._served(refusing) for _ in range(count)]
        return multiple(*(Client(name, self.lives) for name in served if name))

    @rule(client=consumes(clients))
    def end(self, client: Client) -> None:
        """A client goes, be its backend still there or not."""
        if client.life == self.lives:
            self.pool.closed(key(client.name))
            self.open[client.name] -= 1
            self._forget_the_gone()

    @rule(client=consumes(clients))
    def break_in_the_middle(self, client: Client) -> None:
        """An attempt that had begun comes to nothing, whatever became of the pool meanwhile."""
        if client.life == self.lives:
            self.pool.failed(key(client.name))
            self.open[client.name] -= 1
            self.totals[client.name] -= 1
            self.failures[client.name] += 1
            self._forget_the_gone()

    @precondition(lambda self: self._best_first())
    @rule(times=st.integers(2, 12))
    def come_one_after_the_other(self, times: int) -> None:
        """While nothing changes, the equally good get equally many, within one of each other."""
        got = Counter(dict.fromkeys(self._best_first()[0], 0))
        for _ in range(times):
            chosen = self.pool.pick()
            assert chosen is not None
            got[chosen.key.id] += 1
        assert max(got.values()) - min(got.values()) <= 1, got

    @rule()
    def restart_the_proxy(self) -> None:
        """The proxy is killed, and its connections with it; its successor knows what the catalog says."""
        self.restart()

    # What must hold

    @invariant()
    def what_is_counted_is_what_happened(self) -> None:
        """Each count is the model's; whoever is gone and holds nothing is forgotten."""
        counts = self.pool.counts()
        assert {one.id for one in counts} == {*self.places, *(+self.open)}
        for one, count in counts.items():
            was = (self.open[one.id], self.totals[one.id], self.failures[one.id])
            assert (count.open, count.total, count.failed) == was, one

    def _served(self, refusing: set[str]) -> str:
        """Return the name of the backend that a new client got, or nothing."""
        best_first = self._best_first()
        asked: list[BackendKey] = []
        while best_first:
            chosen = self.pool.pick(asked)
            assert chosen is not None, f"nobody was picked, {best_first} are left"
            name = chosen.key.id
            assert name in best_first[0], f"{name} was picked before {best_first[0]}"
            assert chosen.address.port == self.places[name].port, "an address of before was picked"
            asked.append(chosen.key)
            best_first = self._best_first(without={one.id for one in asked})
            assert self.pool.has_another(asked) == bool(best_first)
            self.pool.opened(chosen.key)
            if name not in refusing:
                self.open[name] += 1
                self.totals[name] += 1
                return name
            self.pool.failed(chosen.key)
            self.failures[name] += 1
        assert self.pool.pick(asked) is None
        return ""

    def _best_first(self, without: set[str] | None = None) -> list[set[str]]:
        """Return the names that may get a connection, the equally good together, the best first."""
        may = {name: place for name, place in self.places.items() if place.weight and name not in (without or set())}
        tiers = [{name for name, place in may.items() if place.state is state} for state in BEST_FIRST]
        return [tier for tier in tiers if tier]

    def _change(self, name: str, place: Place | None) -> None:
        if place is None:
            self.places.pop(name, None)
        else:
            self.places[name] = place
        self.pool.update(self._backends())
        self._forget_the_gone()

    def _forget_the_gone(self) -> None:
        for name in {*self.totals, *self.failures} - {*self.places, *(+self.open)}:
            del self.totals[name], self.failures[name]

    def _backends(self) -> list[Backend]:
        return [
            Backend(key(name), Address("10.0.0.1", place.port), place.state, place.weight)
            for name, place in sorted(self.places.items())
        ]


Pools.TestCase.settings = settings(stateful_step_count=60)
TestPools = Pools.TestCase
