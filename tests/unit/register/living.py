"""One process of register without its threads: it takes its turns when a test tells it to, and dies when told to."""

from __future__ import annotations

from typing import Any, Final, Protocol, cast

from mooring.errors import Unavailable, WorldError
from mooring.etcd.memory import MemoryStore
from mooring.etcd.store import Committed, Condition, KeyValue, Operation, Refused, Store
from mooring_register.addresses.reach import Policy
from mooring_register.engine.feed import DockerFeed
from mooring_register.engine.hints import Connected, Hint
from mooring_register.engine.memory_engine import MemoryEngine
from mooring_register.engine.seam import DockerEvent, Engine
from mooring_register.layouts.native import Native
from mooring_register.owner import Owner
from mooring_register.ownership import Claim
from mooring_register.registrar import Registrar
from mooring_register.writers.etcd import EtcdWriter
from mooring_register.writers.writer import Terms
from tests.fates import Fated, Killed

HOST: Final = "h"
HOST_KEY: Final = f"/mooring/hosts/{HOST}"
PREFIX: Final = "/services"
RESYNC_SECONDS: Final = 60.0
REPLAYED_SECONDS: Final = 30.0


class Surroundings(Protocol):
    """What a register lives in: an engine, a store, time, and somebody who examines each write."""

    now: float
    engine: MemoryEngine
    store: MemoryStore

    def time(self) -> float:
        """Return the present time."""

    def happen(self, what: str) -> None:
        """Let something happen."""

    def examine(
        self, register: Register, operation: Operation, before: KeyValue | None, owner: KeyValue | None
    ) -> None:
        """Look at a write that was carried out; what the key and the host's key held before it."""


class Witness:
    """Stands between a register and the store, and has each write examined."""

    def __init__(self, machine: Surroundings, register: Register) -> None:
        self._machine = machine
        self._register = register

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the store has under that name
        """Return what the store has."""
        return getattr(self._machine.store, name)

    def commit(self, conditions: tuple[Condition, ...], operations: tuple[Operation, ...]) -> Committed | Refused:
        """See `Store`."""
        store = self._machine.store
        owner = store.get(HOST_KEY)
        before = {operation.key: store.get(operation.key) for operation in operations}
        answer = store.commit(conditions, operations)
        if isinstance(answer, Committed):
            for operation in operations:
                self._machine.examine(self._register, operation, before[operation.key], owner)
        return answer

    def revoke(self, lease: int) -> None:
        """See `Store`."""
        found = self._machine.store.lease(lease)
        assert found is None or set(found.keys) <= {HOST_KEY}, "a lease was revoked that holds instances"
        self._machine.store.revoke(lease)


class Register:
    """One process of register: its threads take their turns when they are told to, and all die together."""

    def __init__(self, name: str, machine: Surroundings) -> None:
        self.name = name
        self.is_running = False
        self.inbox: list[DockerEvent] = []
        self.tokens: set[str] = set()
        self.engine = Fated(machine.engine)
        self.store = Fated(Witness(machine, self), machine.happen)
        self.ttl_seconds = 15
        self._machine = machine
        self._lives = 0

    def start(self, ttl_seconds: int) -> None:
        """Be killed if alive, and start knowing nothing but the events of a while, which Docker replays."""
        machine = self._machine
        self._lives += 1
        self.is_running, self.ttl_seconds, self.tokens = True, ttl_seconds, set()
        terms = Terms(
            claim=Claim(host=HOST, engine="E", ttl_seconds=ttl_seconds, version="1", started=""),
            resync_seconds=RESYNC_SECONDS,
            clock=machine.time,
            tokens=self._next_token,
            owner_idle_seconds=lambda: 0.0,
        )
        self.owner = Owner(Registrar(policy=Policy(host=HOST)), machine.time, machine.time)
        self.feed = DockerFeed(
            cast("Engine", self.engine), self.owner.observe, resync_seconds=RESYNC_SECONDS, clock=machine.time
        )
        self.writer = EtcdWriter(cast("Store", self.store), "etcd://memory", Native(PREFIX), terms)
        self.owner.begin(Policy(host=HOST, ip="10.0.0.1"), (self.writer.mailbox,))
        self._heard_nano = int((machine.now - REPLAYED_SECONDS) * 1e9)
        self.connect()

    def _next_token(self) -> str:
        token = f"{self.name}-{self._lives}-{len(self.tokens)}"
        self.tokens.add(token)
        return token

    def connect(self) -> None:
        """Subscribe to events, from the last one heard on, and list."""
        self.inbox = list(self._machine.engine.happened(self._heard_nano))
        self.is_connected = True
        self._feed([Connected()])

    def hear(self, of: str, most: int, *, twice: bool) -> None:
        """Hear events: the next ones, or the next ones of one container before those of others."""
        heard = [event for event in self.inbox if of in ("", event.container_id)][:most]
        self.inbox = [event for event in self.inbox if event not in heard]
        self._heard_nano = max([self._heard_nano, *(event.time_nano for event in heard)])
        self._feed([*heard, *(heard if twice else ())])

    def _feed(self, hints: list[Hint]) -> None:
        try:
            self.feed.turn(hints)
        except Unavailable as error:
            self.feed.failed(error)
            self.is_connected = False
        self.engine.fates.clear()
        self.owner.end()
        self.owner.run()

    def turn(self, fates: list[str]) -> None:
        """Let the writer take a turn, and the keep-alive beat."""
        self.store.fates.extend(fates)
        try:
            self.writer.turn()
            self.writer.keep_alive.beat()
        except WorldError as error:
            self.writer.failed(error)
        except Killed:
            self.is_running = False
        self.store.fates.clear()
