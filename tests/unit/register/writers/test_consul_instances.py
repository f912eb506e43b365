"""From what Consul's keys hold to what is wanted, on the twin of Consul's keys."""

import json
from collections.abc import Callable
from itertools import count
from typing import TypeVar

import pytest
from attrs import evolve

from mooring.consul.keys import ABSENT, KeyValue, Mismatch
from mooring.consul.memory_keys import MemoryKeys
from mooring.errors import OwnershipLost, SessionLost, Unavailable, WorldError
from mooring.model import Address, Instance, State
from mooring_register.deregistration import Failure
from mooring_register.registrar import Withdrawal
from mooring_register.writers.consul import ConsulWriter
from tests.unit.register.consul_writers import CLAIM, DB, WEB, Consul, fails, turn

T = TypeVar("T")
OTHER_CLAIM = evolve(CLAIM, host="h2", engine="E2")


def test_plain_addresses() -> None:
    """[R-K] An instance is `ip:port` below service and id, also over IPv6."""
    consul = Consul()
    one = consul.keys_writer()
    turn(one, WEB, evolve(WEB, id="host:web.1:80:6", address=Address("2001:db8::1", 9000)))
    assert consul.written() == {
        "services/web/a": "10.0.0.1:80",
        "services/web/host:web.1:80:6": "[2001:db8::1]:9000",
    }
    assert one.ready() is None


@pytest.mark.parametrize("layout", ["registrator", "native", "embassy"])
def test_unchanged_costs_nothing(layout: str) -> None:
    """What is the same is not written again, neither by the same writer nor by its successor, nor at a resync."""
    consul, now = Consul(), [100.0]
    one = consul.keys_writer(layout, clock=lambda: now[0])
    turn(one, WEB, bindings=(DB,))
    before = consul.keys.list("services/"), consul.keys.list("mooring/bindings/")
    now[0] += 61
    turn(one, evolve(WEB, cause="reconciled"), bindings=(DB,))
    one.stop()
    turn(consul.keys_writer(layout), WEB, bindings=(DB,))
    assert (consul.keys.list("services/"), consul.keys.list("mooring/bindings/")) == before
    assert len(before[0]) == len(before[1]) == 1


def test_leftovers() -> None:
    """What an earlier life of this host left goes; what another host or nobody we know wrote stays."""
    consul = Consul()
    turn(consul.keys_writer(claim=OTHER_CLAIM), evolve(WEB, host="h2", id="theirs"))
    consul.keys.put("services/web/manual", b"10.9.9.9:1", ABSENT)
    first = consul.keys_writer()
    turn(first, WEB, evolve(WEB, id="b"))
    first.stop()
    turn(consul.keys_writer(), evolve(WEB, id="b"))
    assert set(consul.written()) == {"services/web/b", "services/web/theirs", "services/web/manual"}


def test_gone_with_the_session() -> None:
    """Keys are there as long as their session is renewed, and are written again by a register that lost it."""
    consul = Consul()
    one = consul.keys_writer()
    turn(one, WEB)
    for _ in range(4):
        consul.advance(5)
        one.keep_alive.beat()
    assert set(consul.written()) == {"services/web/a"}
    consul.advance(20)
    assert consul.written() == {}
    one.keep_alive.beat()
    fails(one, SessionLost)
    one.turn()
    assert set(consul.written()) == {"services/web/a"}


def test_of_anothers_id_is_told() -> None:
    """An id that another host holds is left alone and reported with its holder, and taken when it is free."""
    consul, now = Consul(), [100.0]
    theirs = consul.keys_writer(claim=OTHER_CLAIM)
    turn(theirs, evolve(WEB, host="h2", address=Address("10.0.0.2", 80)))
    one = consul.keys_writer(clock=lambda: now[0])
    turn(one, WEB, evolve(WEB, id="b"))
    assert consul.written() == {"services/web/a": "10.0.0.2:80", "services/web/b": "10.0.0.1:80"}
    assert one.state()["conflicts"] == ["web.1: id 'a': held by host 'h2' in service 'web', this is host 'h1'"]
    assert one.ready() is None
    turn(theirs)
    now[0] += 15
    one.turn()
    assert consul.written()["services/web/a"] == "10.0.0.1:80"
    assert one.state()["conflicts"] == []


def test_a_key_without_an_owner() -> None:
    """What registrator left is taken over where it says the same, and otherwise left alone and reported."""
    consul = Consul()
    consul.keys.put("services/web/a", b"10.0.0.1:80", ABSENT)
    consul.keys.put("services/web/b", b"10.9.9.9:80", ABSENT)
    one = consul.keys_writer()
    turn(one, WEB, evolve(WEB, id="b"))
    assert consul.written() == {"services/web/a": "10.0.0.1:80", "services/web/b": "10.9.9.9:80"}
    assert one.state()["conflicts"] == [
        "web.1: id 'b': held by somebody who does not say who in service 'web', this is host 'h1'"
    ]
    turn(one)
    assert set(consul.written()) == {"services/web/b"}


def test_a_key_that_changed_hands() -> None:
    """A key that somebody took out by hand, and another host has now, is not deleted with the instance."""
    consul = Consul()
    one = consul.keys_writer()
    turn(one, WEB)
    found = consul.keys.get("services/web/a")
    assert found is not None
    consul.keys.delete(found.key, found.index)
    turn(consul.keys_writer(claim=OTHER_CLAIM), evolve(WEB, host="h2"))
    turn(one)
    assert set(consul.written()) == {"services/web/a"}


def test_documents_without_an_owner() -> None:
    """Documents of this host that lost their session (restored from a copy) are taken over, or taken away."""
    consul = Consul()
    turn(consul.keys_writer("native"), WEB, evolve(WEB, id="b"))
    copies = consul.keys.list("services/")
    consul = Consul()
    for one in copies:
        consul.keys.put(one.key, one.value, ABSENT)
    turn(consul.keys_writer("native"), WEB)
    (left,) = consul.keys.list("services/")
    assert (left.key, bool(left.session)) == ("services/web/a", True)


class Noted(MemoryKeys):
    """Keys that note each value that is written."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[bytes] = []

    def acquire(self, key: str, value: bytes, session: str) -> Mismatch | None:
        """See `Keys.acquire`."""
        self.values.append(value)
        return super().acquire(key, value, session)


def test_withdrawn_with_its_cause() -> None:
    """A document says `down` and why before it is deleted."""
    keys = Noted()
    consul = Consul(keys=keys)
    one = consul.keys_writer("native")
    turn(one, WEB)
    turn(one, why={("web", "a"): Withdrawal("stopped", 99.0)})
    document = json.loads(keys.values[-1])
    assert (document["state"], document["cause"]) == ("down", "stopped")
    assert consul.written() == {}


def test_what_failed_stays_as_down() -> None:
    """A document of a container that failed stays, down and with its cause, as long as that is wanted."""
    consul = Consul()
    one = consul.keys_writer("native")
    turn(one, WEB)
    turn(one, failures={"c1": Failure("exited 1", 99.0)})
    document = json.loads(consul.written()["services/web/a"])
    assert (document["state"], document["cause"]) == ("down", "exited 1")
    turn(one)
    assert consul.written() == {}


def test_only_what_takes_connections() -> None:
    """Where there is no room for a state, what drains is taken out."""
    consul = Consul()
    one = consul.keys_writer()
    turn(one, WEB)
    turn(one, evolve(WEB, state=State.DRAINING))
    assert consul.written() == {}


class WithholdingKeys(MemoryKeys):
    """Keys of which one is withheld, as Consul does for a while after the session of another tool has ended."""

    def acquire(self, key: str, value: bytes, session: str) -> Mismatch | None:
        """See `Keys.acquire`."""
        return Mismatch() if key == "services/web/a" else super().acquire(key, value, session)


def test_a_key_that_is_withheld_though_nobody_has_it() -> None:
    """It is told and tried again later, and keeps nothing else."""
    consul = Consul(keys=WithholdingKeys())
    one = consul.keys_writer()
    turn(one, WEB, evolve(WEB, id="b"))
    assert set(consul.written()) == {"services/web/b"}
    assert "web.1: id 'a': held by nobody, and yet withheld, in service 'web'" in str(one.state()["conflicts"])
    assert one.ready() is None


def test_another_prefix() -> None:
    """A register that is started with another prefix leaves nothing below the one before."""
    consul = Consul()
    first = consul.writer()
    turn(first, WEB, bindings=(DB,))
    first.stop()
    turn(consul.keys_writer(), WEB, bindings=(DB,))
    assert len(consul.written()) == 1
    turn(consul.writer(), WEB, bindings=(DB,))
    assert consul.written() == {}
    assert len(consul.keys.list("mooring/bindings/")) == 1


def test_another_layout() -> None:
    """A register that is started with another layout leaves nothing of the one before."""
    consul = Consul()
    for layout in ("native", "registrator", "embassy", "registrator", "native", "embassy", "native"):
        one = consul.keys_writer(layout)
        turn(one, WEB)
        alone = Consul()
        turn(alone.keys_writer(layout), WEB)
        assert consul.written() == alone.written()
        one.stop()


class Striking(MemoryKeys):
    """Keys that fail at one call: before it is carried out, or with the answer lost on its way."""

    def __init__(self, at: int, *, is_carried_out: bool) -> None:
        super().__init__()
        self._left = at
        self._is_carried_out = is_carried_out

    @property
    def has_struck(self) -> bool:
        """Whether there were that many calls."""
        return self._left < 0

    def _strike(self, carry_out: Callable[[], T]) -> T:
        self._left -= 1
        if self._left != -1:
            return carry_out()
        if self._is_carried_out:
            carry_out()
        raise Unavailable("memory: struck")

    def list(self, prefix: str) -> tuple[KeyValue, ...]:
        """See `Keys.list`."""
        return self._strike(lambda: MemoryKeys.list(self, prefix))

    def get(self, key: str) -> KeyValue | None:
        """See `Keys.get`."""
        return self._strike(lambda: MemoryKeys.get(self, key))

    def put(self, key: str, value: bytes, at: int) -> Mismatch | None:
        """See `Keys.put`."""
        return self._strike(lambda: MemoryKeys.put(self, key, value, at))

    def acquire(self, key: str, value: bytes, session: str) -> Mismatch | None:
        """See `Keys.acquire`."""
        return self._strike(lambda: MemoryKeys.acquire(self, key, value, session))

    def delete(self, key: str, at: int) -> Mismatch | None:
        """See `Keys.delete`."""
        return self._strike(lambda: MemoryKeys.delete(self, key, at))

    def create_session(self, name: str, ttl_seconds: int) -> str:
        """See `Keys.create_session`."""
        return self._strike(lambda: MemoryKeys.create_session(self, name, ttl_seconds))

    def renew_session(self, session: str) -> None:
        """See `Keys.renew_session`."""
        self._strike(lambda: MemoryKeys.renew_session(self, session))

    def destroy_session(self, session: str) -> None:
        """See `Keys.destroy_session`."""
        self._strike(lambda: MemoryKeys.destroy_session(self, session))


def until_done(one: ConsulWriter, *instances: Instance) -> None:
    """Want these, and take turns until that is written."""
    number = one.mailbox.deliver({instance.key: instance for instance in instances}, {}, bindings={DB.key: DB})
    while one.ready() is not None or one.mailbox.settled < number:
        try:
            one.turn()
        except WorldError as error:
            one.failed(error)


@pytest.mark.parametrize("is_carried_out", [False, True])
@pytest.mark.parametrize("layout", ["native", "registrator"])
def test_struck_at_each_call(layout: str, *, is_carried_out: bool) -> None:
    """Whichever call fails, carried out or not: in the end there is what is wanted, also by a successor."""
    other, changed = evolve(WEB, id="b"), evolve(WEB, address=Address("10.0.0.1", 81))
    for at in count():
        keys = Striking(at, is_carried_out=is_carried_out)
        consul = Consul(keys=keys)
        first = consul.keys_writer(layout)
        until_done(first, WEB, other)
        until_done(first, changed)
        first.stop()
        successor = consul.keys_writer(layout)
        until_done(successor, WEB)
        if not keys.has_struck:
            break
        (left,) = keys.list("services/")
        assert b"10.0.0.1" in left.value
        assert b"81" not in left.value
        assert left.session
    assert at > 20


def test_fenced_out() -> None:
    """Of two registers of one engine the later one writes; the other writes nothing, though it knows the session."""
    consul = Consul()
    first = consul.keys_writer()
    turn(first, WEB)
    turn(consul.keys_writer(), WEB)
    first.mailbox.deliver({}, {})
    assert "another register" in fails(first, OwnershipLost)
    assert set(consul.written()) == {"services/web/a"}
    assert "since now" in fails(first, OwnershipLost)


def test_too_large() -> None:
    """A document that Consul does not take costs its instance alone, and is reported."""
    consul = Consul()
    one = consul.keys_writer("native")
    turn(one, evolve(WEB, id="b", attributes={"x": "x" * (600 << 10)}), WEB)
    assert set(consul.written()) == {"services/web/a"}
    assert "too large" in str(one.state()["conflicts"])


def test_given_up() -> None:
    """A host that is given up leaves neither key nor session."""
    consul = Consul()
    one = consul.keys_writer()
    turn(one, WEB, bindings=(DB,))
    turn(one)
    one.retire()
    assert consul.keys.list("") == ()
