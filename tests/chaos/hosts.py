"""A host whose containers come and go, and the registers that write for it, life after life; no thread runs.

A register is the real one, from the owner of its state to its writer and its keep-alive, at a real etcd. It takes its
turns when it is told to, so that every run makes the same calls in the same order.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import suppress

from attrs import evolve, frozen

from mooring.documents import decode_binding, decode_instance
from mooring.errors import OwnershipLost, Unavailable, WorldError
from mooring.etcd.store import Change, Delete, KeyValue, Put, Removed, Store
from mooring.keys import BINDINGS_PREFIX, host_key, instance_key
from mooring.model import Binding, Instance, State
from mooring_register.addresses.reach import Policy
from mooring_register.containers import Container, PortMapping
from mooring_register.layouts.native import Native
from mooring_register.observations import Inspected, Listed, Observation
from mooring_register.owner import Owner
from mooring_register.ownership import Claim, HostRecord, decode_record
from mooring_register.registrar import Registrar
from mooring_register.writers.etcd import EtcdWriter
from mooring_register.writers.writer import Terms
from tests.chaos.crashing import Life, Trap
from tests.chaos.seams import STORE

NOW = 1000.0
MOST_TURNS = 25
WITHDRAWN = "withdrawn"

# Several stories are told at once, each in a thread: a counter can be asked by all, a generator cannot.
_tokens = itertools.count()


def container(name: str, *, weight: int = 100, number: int = 0) -> Container:
    """Return a running container with one published port; its id is its first name, which a rename leaves alone."""
    return Container(
        id=f"id-of-{name}",
        name=f"/{name}",
        labels={"SERVICE_NAME": "web", "SERVICE_WEIGHT": str(weight)},
        started_at=NOW - 100,
        ports=(PortMapping(80, "tcp", "0.0.0.0", 32768 + number),),
    )


class Register:
    """One life of a register, until its end or until a crash."""

    def __init__(self, store: Store, claim: Claim, prefix: str, trap: Trap) -> None:
        self.life = Life()
        terms = Terms(
            claim=claim,
            resync_seconds=60.0,
            clock=lambda: NOW,
            tokens=lambda: f"token-{next(_tokens)}",
            owner_idle_seconds=lambda: 0.0,
        )
        self._store = trap.guard(store, STORE, self.life)
        self.writer = EtcdWriter(self._store, "etcd", Native(prefix), terms)
        self._owner = Owner(Registrar(policy=Policy(host="")), lambda: NOW, lambda: NOW)
        self._owner.begin(Policy(host=claim.host, ip="10.0.0.1"), (self.writer.mailbox,))

    def hear(self, *observations: Observation) -> None:
        """Take observations in, in one turn of the owner."""
        for one in observations:
            self._owner.observe(one)
        self._owner.end()
        self._owner.run()

    def turn(self) -> bool:
        """Let the writer and the keep-alive take a turn each; tell whether both had nothing left to do."""
        try:
            self.writer.turn()
            self.writer.keep_alive.beat()
        except WorldError as error:
            self.writer.failed(error)
            return False
        return self.writer.ready() is None

    def stands_by(self) -> bool:
        """Take a turn that must end with another register holding the host; tell whether it did."""
        try:
            self.writer.keep_alive.beat()
            self.writer.turn()
        except WorldError as error:
            self.writer.failed(error)
            return isinstance(error, OwnershipLost)
        return False

    def retire(self) -> bool:
        """Withdraw everything and give the host up, as `--withdraw` does; tell whether that is done."""
        self.writer.mailbox.deliver({}, {}, WITHDRAWN)
        while not self.turn():
            if self.life.is_over:
                return False
        while not self.life.is_over:
            with suppress(Unavailable):
                self.writer.retire()
                return True
        return False


@frozen
class Ending:
    """What the registry holds of a host when all is quiet, without times, tokens and the numbers of leases."""

    instances: Mapping[str, Instance]
    bindings: Mapping[str, Binding]
    record: HostRecord | None


class Host:
    """One host, one engine, one prefix; `running` are its containers."""

    def __init__(self, store: Store, name: str, trap: Trap) -> None:
        self.name = name
        self.prefix = f"/{name}"
        self.running: dict[str, Container] = {}
        self.ttl_seconds = 60
        self._store = store
        self._bindings = f"{BINDINGS_PREFIX}{name}/"
        self._trap = trap
        self._before = store.list(f"{self.prefix}/").revision
        self.register = self.started()

    def started(self) -> Register:
        """Return a further register for this host, which has listed what runs."""
        claim = Claim(host=self.name, engine="E", ttl_seconds=self.ttl_seconds, version="1", started="")
        register = Register(self._store, claim, self.prefix, self._trap)
        register.hear(Listed(frozenset(self.running), tuple(self.running.values()), NOW))
        return register

    def restart(self) -> None:
        """End the present life and begin the next."""
        self.register = self.started()
        self.settle()

    def run(self, *containers: Container, cause: str = "started") -> None:
        """Let containers run, or run otherwise than before, and the register see it."""
        self.running.update({one.id: one for one in containers})
        self.tell(*(Inspected(one, cause, NOW) for one in containers))

    def end(self, one: Container, *observations: Observation) -> None:
        """Let a container end, and the register see these signs of it."""
        del self.running[one.id]
        self.tell(*observations)

    def tell(self, *observations: Observation) -> None:
        """Let the register hear something and work until there is nothing left to do."""
        self.register.hear(*observations)
        self.settle()

    def settle(self) -> None:
        """Let the register take turns until all is written; one that died is followed by the next life."""
        for _ in range(MOST_TURNS):
            if self.register.life.is_over:
                self.register = self.started()
            if self.register.turn():
                return
        raise AssertionError(f"does not come to rest: {self.register.writer.state()}")

    def retire(self) -> None:
        """Take the host out of the registry; whoever died over it is called again."""
        for _ in range(MOST_TURNS):
            if self.register.retire():
                return
            if self.register.life.is_over:
                self.register = self.started()
        raise AssertionError("the host cannot be retired")

    # -- what can be seen of it

    def ending(self) -> Ending:
        """Return what the registry holds, which hangs on one lease, that of the host's record."""
        found = self._store.get(host_key(self.name))
        record = decode_record(found.key, found.value) if found else None
        keys = self._store.list(f"{self.prefix}/web/").items
        bound = self._store.list(self._bindings).items
        if record is not None:
            lease = self._store.lease(record.lease)
            assert lease is not None, "the host's record names a lease that is gone"
            assert {one.lease for one in (*keys, *bound)} <= {record.lease}, (
                "a key hangs on another lease than the host's"
            )
            record = evolve(record, lease=0, token="")
        instances = [self._essence(one) for one in keys]
        bindings = [decode_binding(one.value, key=one.key.removeprefix(self._bindings)) for one in bound]
        return Ending({one.id: one for one in instances}, {one.key: evolve(one, host="") for one in bindings}, record)

    def never_gone(self, one: Container) -> None:
        """Assert that a container was there, and up, at every revision since it was first published."""
        key = f"{self.prefix}/web/{self.name}:{one.name.removeprefix('/')}:80"
        told = [change for change in self._history() if change.key == key]
        assert told, f"{key} was never written"
        assert not any(isinstance(change, Removed) for change in told), f"{key} was removed while its container ran"
        states = {self._essence(change).state for change in told if isinstance(change, KeyValue)}
        assert states == {State.UP}, f"{key} was {states} while its container ran"

    def always_bound(self, one: Container) -> None:
        """Assert that the bindings of a container were there, and unchanged, since they were first written."""
        told = history(self._store, f"{self._bindings}{one.id}/", self._before)
        assert {change.key.rpartition("/")[2] for change in told} == set(one.wishes)
        assert not any(isinstance(change, Removed) for change in told), f"{one.name} was unbound while it ran"
        values = {(change.key, change.value) for change in told if isinstance(change, KeyValue)}
        assert len(values) == len(one.wishes), f"{one.name} was bound otherwise while it ran"

    def withdrawn_with_a_word(self) -> None:
        """Assert that no key of an instance vanished before it had been marked as down."""
        last: dict[str, Change] = {}
        for change in self._history():
            if isinstance(change, Removed):
                before = last.get(change.key)
                assert isinstance(before, KeyValue), f"{change.key} was removed twice"
                assert self._essence(before).state is State.DOWN, f"{change.key} was removed without a word"
            last[change.key] = change

    def _history(self) -> list[Change]:
        return history(self._store, f"{self.prefix}/", self._before)

    def _essence(self, found: KeyValue) -> Instance:
        """Return an instance without what differs from run to run: times, the word for them, and the host's name."""
        instance = decode_instance(found.value, where=found.key)
        assert found.key == instance_key(self.prefix, instance.service, instance.id)
        bare = evolve(instance, cause="", seen_docker=None, seen_registry=None)
        return evolve(bare, id=instance.id.removeprefix(self.name), host=instance.host.removeprefix(self.name))

    def close(self) -> None:
        """Take everything out of the registry."""
        found = self._store.get(host_key(self.name))
        if found is not None:
            self._store.revoke(found.lease)

    def lose_lease(self) -> None:
        """Let the lease end, and its keys with it, as when nobody renewed it."""
        found = self._store.get(host_key(self.name))
        assert found is not None
        self._store.revoke(found.lease)


def history(store: Store, prefix: str, after: int) -> list[Change]:
    """Return all that happened below a prefix since that revision."""
    end = f"{prefix}~"
    store.commit((), (Put(end, b""),))
    changes: list[Change] = []
    watch = store.watch(prefix, after)
    for batch in watch:
        changes += batch
        if any(change.key == end and isinstance(change, KeyValue) for change in batch):
            break
    watch.cancel()
    store.commit((), (Delete(end),))
    return [change for change in changes if change.key != end]
