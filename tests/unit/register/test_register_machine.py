"""Whatever happens to containers, registers and the store: what is published is what runs, and nobody else is touched.

The model is a dictionary of containers by name, and one of what strangers wrote. It is compared with the store when
nothing has happened for a while; each single write is examined at the moment when it is made.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from mooring.errors import OwnershipLost
from mooring.etcd.memory import MemoryStore
from mooring.etcd.store import Delete, KeyValue, Operation, Put
from mooring.keys import BINDINGS_PREFIX
from mooring_register.engine.seam import DockerEvent
from mooring_register.layouts.native import Native
from mooring_register.ownership import Claim
from mooring_register.writers.etcd import EtcdWriter
from mooring_register.writers.writer import Terms
from tests.fates import DEATHS, FAILURES, FINE
from tests.unit.register.containers_machine import IMAGES, NAMES, Box, Containers, places_of
from tests.unit.register.living import HOST, HOST_KEY, PREFIX, RESYNC_SECONDS, Register

QUIET_TURNS: Final = 15
QUIET_SECONDS: Final = 5.0  # of each of those turns; together longer than a resync, a drain and any TTL

OF_WHOM = st.sampled_from(["", "", "a", "b"])
REGISTERS = st.sampled_from(["first", "second"])
TTLS = st.sampled_from([15, 15, 20])
# What may befall each of the next calls: nothing, a failure, death, or something that happens just before it.
HAPPENINGS: Final = ("the other takes a turn", "the lease expires", "a stranger writes", "a key is deleted")
RARER_HAPPENINGS: Final = ("strangers let go", "the store is replaced")
STORE_FATES = st.lists(st.sampled_from([FINE, FINE, *FAILURES, *DEATHS, *HAPPENINGS]), max_size=8)
ENGINE_FATES = st.lists(st.sampled_from([FINE, FINE, FINE, FAILURES[0]]), max_size=3)


class Hosts(Containers):
    """One host: an engine with its containers, a store, and a register or two, each killed and started at any moment.

    Events are late, doubled, lost, and overtake those of other containers, but never those of the same one: an engine
    has one stream, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore(self.time)
        self.strangers: dict[str, bytes] = {}
        self.registers = {name: Register(name, self) for name in ("first", "second")}
        self.turning = ""

    @initialize(name=NAMES, image=IMAGES)
    def begin(self, name: str, image: str) -> None:
        """Begin with a register and something that runs."""
        self.registers["first"].start(15)
        self.run(name, image, ("80/tcp",), has_healthcheck=False, is_pending=False)
        self.registers["first"].hear("", 9, twice=False)

    # What happens to registers

    def deliver(self, events: tuple[DockerEvent, ...]) -> None:
        """See `Containers`."""
        for register in self.registers.values():
            register.inbox += events if register.is_running and register.is_connected else ()

    @rule(register=REGISTERS, of=OF_WHOM, most=st.integers(0, 9), twice=st.booleans(), fates=ENGINE_FATES)
    def hear(self, register: str, of: str, most: int, twice: bool, fates: list[str]) -> None:
        """A register hears events, perhaps those of one container first, perhaps twice; the engine may not answer."""
        if self.registers[register].is_running and (not of or of in self.boxes):
            self.registers[register].engine.fates.extend(fates)
            self.registers[register].hear(self.boxes[of].id if of else "", most, twice=twice)

    @rule(register=REGISTERS)
    def lose_events(self, register: str) -> None:
        """Events are lost for ever, and nobody notices: until the next listing what runs may pass for gone."""
        self.registers[register].inbox.clear()
        for box in self.boxes.values():
            box.is_blameless = False

    @rule(register=REGISTERS)
    def reconnect(self, register: str) -> None:
        """The feed was cut; what happened meanwhile is replayed."""
        if self.registers[register].is_running:
            self.registers[register].connect()

    @rule(register=REGISTERS, fates=STORE_FATES)
    def turn(self, register: str, fates: list[str]) -> None:
        """The writer of a register takes a turn, and things happen while it does."""
        if self.registers[register].is_running:
            self.turning = register
            self.registers[register].turn(fates)

    @rule(register=REGISTERS, ttl_seconds=TTLS, comes_back=st.sampled_from([True, True, False]))
    def restart(self, register: str, ttl_seconds: int, comes_back: bool) -> None:
        """A register is killed, whatever it was doing, and mostly started anew."""
        self.registers[register].is_running = False
        if comes_back:
            self.registers[register].start(ttl_seconds)

    # What happens to the store, and time

    @rule(what=st.sampled_from([*HAPPENINGS[1:], HAPPENINGS[-1], *RARER_HAPPENINGS]))
    def happen(self, what: str) -> None:
        """Something happens to the store, or to whoever else is there."""
        match what:
            case "the other takes a turn":
                for name in self.registers.keys() - {self.turning}:
                    if self.registers[name].is_running:
                        self.registers[name].turn([])
            case "the lease expires":
                self.wait(31.0)
            case "a stranger writes":
                self.squat("a", "web", is_readable=True)
            case "a key is deleted":
                self._delete_a_key()
            case "strangers let go":
                self._let_strangers_go()
            case "the store is replaced":
                self.store.replace()
                self.strangers.clear()

    @rule(name=NAMES, image=IMAGES, is_readable=st.booleans())
    def squat(self, name: str, image: str, is_readable: bool) -> None:
        """Somebody else writes where one of our instances has its place, or would have it."""
        document = {
            "v": 1,
            "service": image,
            "id": f"{HOST}:{name}:80",
            "ipaddress": "10.9.9.9",
            "host_port": "80",
            "host": "h2",
        }
        key = f"{PREFIX}/{image}/{HOST}:{name}:80"
        self.strangers[key] = json.dumps(document).encode() if is_readable else b"{"
        self.store.commit((), (Put(key, self.strangers[key]),))

    def _let_strangers_go(self) -> None:
        for key in self.strangers:
            self.store.commit((), (Delete(key),))
        self.strangers.clear()

    def _delete_a_key(self) -> None:
        for prefix in (PREFIX, BINDINGS_PREFIX):
            ours = [item.key for item in self.store.list(prefix).items if item.key not in self.strangers]
            self.store.commit((), tuple(Delete(key) for key in ours[:1]))

    @rule(register=REGISTERS, is_away=st.booleans())
    def cut_off(self, register: str, is_away: bool) -> None:
        """The store is out of a register's reach, or within it again."""
        self.registers[register].store.is_away = is_away

    @rule(seconds=st.sampled_from([0.5, 4.0, 16.0, 61.0]))
    def wait(self, seconds: float) -> None:
        """Time passes; a lease that was not renewed expires."""
        self.now += seconds
        self.store.expire()

    @rule()
    def let_another_engine_try(self) -> None:
        """A register of another engine under our host's name is refused, and writes nothing."""
        if self.store.get(HOST_KEY) is None:
            return
        claim = Claim(host=HOST, engine="E2", ttl_seconds=15, version="1", started="")
        terms = Terms(
            claim=claim,
            resync_seconds=RESYNC_SECONDS,
            clock=self.time,
            tokens=lambda: "intruder",
            owner_idle_seconds=lambda: 0.0,
        )
        before = self.store.list("/").revision
        intruder = EtcdWriter(self.store, "etcd://memory", Native(PREFIX), terms)
        intruder.mailbox.deliver({}, {})
        with pytest.raises(OwnershipLost, match="held by engine E"):
            intruder.turn()
        assert self.store.list("/").revision == before

    # What must hold

    def examine(
        self, register: Register, operation: Operation, before: KeyValue | None, owner: KeyValue | None
    ) -> None:
        """Assert, of each write that was carried out, that it was the register's to make."""
        key = operation.key
        if key == HOST_KEY:
            return
        assert owner is not None, f"{register.name} wrote {key} without holding the host"
        record = json.loads(owner.value)
        assert record["token"] in register.tokens, f"{register.name} wrote {key} while {record['token']} held the host"
        assert key not in self.strangers, f"{register.name} wrote {key}, which is a stranger's"
        if isinstance(operation, Put):
            assert operation.lease == int(record["lease"], 16), f"{key} was not put under the host's lease"
            if not key.startswith(BINDINGS_PREFIX):
                self._examine_document(key, json.loads(operation.value))
            return
        assert before is not None, f"{key} was deleted, and was not there"
        if not key.startswith(BINDINGS_PREFIX):
            assert json.loads(before.value)["state"] == "down", f"{key} was deleted without a word"

    def _examine_document(self, key: str, document: dict[str, Any]) -> None:
        place = (document["container"], document["port"], document["host_port"])
        assert place in self.places, f"{key} names {place}, where no container of ours ever was"
        living = {box.id: box.started for box in self.boxes.values() if box.running and box.is_blameless}
        if document["state"] == "down":
            assert living.get(document["container"]) != document["started"], f"{key} was withdrawn without a reason"

    @invariant()
    def strangers_keep_what_is_theirs(self) -> None:
        """Whatever strangers wrote stands as they wrote it; everything else hangs on a lease."""
        found = {item.key: item for item in self.store.list("/").items}
        assert {key: found[key].value for key in self.strangers} == self.strangers
        assert all(item.lease for key, item in found.items() if key not in self.strangers)

    @rule()
    def come_to_rest(self) -> None:
        """Nothing more happens for a while: what is published is what runs, and that costs no further write."""
        if not any(register.is_running for register in self.registers.values()):
            self.registers["first"].start(15)
        for register in self.registers.values():
            register.store.is_away = False
            if register.is_running and not register.is_connected:
                register.connect()
        self._be_quiet()
        self._check_published()
        revision = self.store.list("/").revision
        self._be_quiet()
        assert self.store.list("/").revision == revision, "what did not change cost a write"
        self._check_adopted()

    def _be_quiet(self) -> None:
        for _ in range(QUIET_TURNS):
            self.wait(QUIET_SECONDS)
            for register in self.registers.values():
                if register.is_running:
                    register.hear("", 1000, twice=False)
                    register.turn([])

    def _check_adopted(self) -> None:
        """Assert that a successor takes the host over with one write, and none for what is published."""
        held = self.store.get(HOST_KEY)
        assert held is not None
        successor = self.registers["first"]
        successor.start(json.loads(held.value)["ttl"])
        revision = self.store.list("/").revision
        successor.turn([])
        written = [item.key for item in self.store.list("/").items if item.revision > revision]
        assert written == [HOST_KEY], "a successor wrote what did not change"

    def _check_published(self) -> None:
        expected: dict[str, tuple[str, ...]] = {}
        for name, box in self.boxes.items():
            if box.running and not box.paused and not box.pending and box.health != "unhealthy":
                expected |= self._instances(name, box)
        published = {
            item.key: _said(json.loads(item.value))
            for item in self.store.list(PREFIX).items
            if item.key not in self.strangers
        }
        assert published == {key: said for key, said in expected.items() if key not in self.strangers}
        bindings = self.store.list(BINDINGS_PREFIX).items
        bound = {item.key: json.loads(item.value)["addresses"] for item in bindings}
        assert bound == dict(_binding(box) for box in self.boxes.values() if box.running)

    def _instances(self, name: str, box: Box) -> dict[str, tuple[str, ...]]:
        """Return what a container is to be published as: key → what the document says."""
        state = "starting" if box.health == "starting" else "up"
        own = box.networks[min(box.networks)]
        instances: dict[str, tuple[str, ...]] = {}
        for _, port, host_port in places_of(self.inspected(box.id)):
            service = box.image if len(box.ports) == 1 else f"{box.image}-{port}"
            said = (box.id, f"/{name}", "10.0.0.1", host_port, f"{own}:{port}", state)
            instances[f"{PREFIX}/{service}/{HOST}:{name}:{port}"] = said
        return instances

    def teardown(self) -> None:
        """Every history ends at rest."""
        self.come_to_rest()


def _binding(box: Box) -> tuple[str, list[str]]:
    """Return the key of a container's binding, and the addresses that it is to name."""
    # The engine of this machine may give one address on two networks; it is named once.
    addresses = dict.fromkeys(address for _, address in sorted(box.networks.items()))
    return f"{BINDINGS_PREFIX}{HOST}/{box.id}/BACKEND_DB", list(addresses)


def _said(document: dict[str, str]) -> tuple[str, ...]:
    names = ("container", "name", "ipaddress", "host_port", "container_address", "state")
    return tuple(document[name] for name in names)


Hosts.TestCase.settings = settings(stateful_step_count=50)
TestHosts = Hosts.TestCase
