"""Who writes for a host in Consul, and the keys that go with its session, on the twins of Consul's seams."""

import pytest
from attrs import evolve

from mooring.consul.memory_keys import MemoryKeys
from mooring.documents import encode_binding
from mooring.errors import OwnershipLost, SessionLost, Unavailable
from mooring.model import Binding
from tests.unit.register.consul_writers import CLAIM, DB, LIVENESS, WEB, Consul, fails, turn


def test_bindings() -> None:
    """Bindings are keys that go with the host's session, with the same document as in etcd."""
    consul = Consul()
    one = consul.writer()
    turn(one, bindings=(DB,))
    found = consul.keys.get("mooring/bindings/h1/c1/BACKEND_DB")
    assert found is not None
    assert b'"service":"db"' in found.value
    turn(one, bindings=(evolve(DB, service="db2"),))
    found = consul.keys.get("mooring/bindings/h1/c1/BACKEND_DB")
    assert found is not None
    assert b'"service":"db2"' in found.value
    turn(one)
    assert consul.keys.list("mooring/bindings/") == ()
    turn(one, bindings=(DB,))
    consul.advance(60)
    assert consul.keys.list("") == ()


def test_session_lost() -> None:
    """When the session is gone the host is taken anew, with its bindings; no service is registered again."""
    consul = Consul()
    one = consul.writer()
    turn(one, WEB, bindings=(DB,))
    writes = consul.agent.writes
    consul.keys.advance(60)
    one.keep_alive.beat()
    fails(one, SessionLost)
    one.turn()
    assert consul.keys.get("mooring/bindings/h1/c1/BACKEND_DB") is not None
    assert consul.agent.writes == writes


def test_session_lost_before_a_write() -> None:
    """Without its session nothing is written: somebody else may have the host."""
    consul = Consul()
    one = consul.writer()
    turn(one, WEB)
    consul.keys.advance(60)
    one.mailbox.deliver({}, {})
    fails(one, SessionLost)
    assert "a" in consul.ours()


def test_adopted_session_lives_on() -> None:
    """A successor that comes at the last moment keeps the session, and what it owns, for its whole time again."""
    consul = Consul()
    turn(consul.writer(), bindings=(DB,))
    consul.advance(14)
    turn(consul.writer(), bindings=(DB,))
    consul.advance(14)
    assert len(consul.keys.list("mooring/")) == 2


def test_key_of_another_session() -> None:
    """A binding's key that another session still owns is waited for, not taken for ours."""
    consul = Consul()
    key, other = "mooring/bindings/h1/c1/BACKEND_DB", consul.keys.create_session("other", 3600)
    consul.keys.acquire(key, encode_binding(DB).encode(), other)
    one = consul.writer()
    one.mailbox.deliver({}, {}, bindings={DB.key: DB})
    assert "is owned by another session" in fails(one, Unavailable)
    consul.keys.destroy_session(other)
    one.turn()
    found = consul.keys.get(key)
    assert found is not None
    assert b'"service":"db"' in found.value
    consul.keys.acquire("mooring/bindings/h1/c9/BACKEND_X", b"{}", consul.keys.create_session("other", 3600))
    turn(consul.writer())
    assert [found.key for found in consul.keys.list("mooring/bindings/")] == ["mooring/bindings/h1/c9/BACKEND_X"]


class Contested(MemoryKeys):
    """Keys of which another takes the host's, once, just before a session begins."""

    def create_session(self, name: str, ttl_seconds: int) -> str:
        """Begin it, after the other one."""
        if not self.list("mooring/hosts/"):
            self.acquire("mooring/hosts/h1", b"{}", super().create_session("other", 3600))
        return super().create_session(name, ttl_seconds)


def test_somebody_faster() -> None:
    """Who finds the host's key taken when he takes it writes nothing, and leaves no session behind."""
    consul = Consul(keys=Contested())
    one = consul.writer()
    one.mailbox.deliver({WEB.key: WEB}, {})
    assert "was taken by somebody faster" in fails(one, Unavailable)
    assert consul.agent.services() == {}
    assert "does not say who writes for the host" in fails(one, OwnershipLost)


def test_successor_fences_out() -> None:
    """Of two registers of one engine the later one writes; the earlier one notices before it writes, and stands by."""
    consul = Consul()
    first, second = consul.writer(), consul.writer()
    turn(first, WEB)
    turn(second, WEB)
    first.mailbox.deliver({}, {})
    fails(first, OwnershipLost)
    assert "another register of this engine writes for host 'h1'" in fails(first, OwnershipLost)
    assert "a" in consul.ours()
    first.keep_alive.beat()
    # The second dies, and its session with it.
    consul.advance(60)
    first.turn()
    assert consul.ours() == {}


def test_fenced_out_at_renewal() -> None:
    """The one whose token was replaced is told at the next renewal, though nothing is to be written."""
    consul = Consul()
    first, second = consul.writer(), consul.writer()
    turn(first, WEB)
    turn(second, WEB)
    first.keep_alive.beat()
    fails(first, OwnershipLost)


@pytest.mark.parametrize("bindings", [{}, {DB.key: DB}])
@pytest.mark.parametrize("is_told", [True, False])
def test_woken_after_its_session(bindings: dict[str, Binding], *, is_told: bool) -> None:
    """Who wakes when his session has ended and another has the host does not take it back, however he finds out."""
    consul = Consul()
    first, second = consul.writer(), consul.writer()
    turn(first, WEB)
    consul.keys.advance(60)
    turn(second, WEB)
    first.mailbox.deliver({} if not bindings else {WEB.key: WEB}, {}, bindings=bindings)
    if is_told:
        first.keep_alive.beat()
    fails(first, OwnershipLost)
    fails(first, OwnershipLost)
    second.turn()
    assert "a" in consul.ours()
    assert consul.keys.list("mooring/bindings/") == ()


def test_another_engine_is_refused() -> None:
    """A host of the same name on another engine writes nothing, and says who holds the name."""
    consul = Consul()
    turn(consul.writer(), WEB)
    other = consul.writer(evolve(CLAIM, engine="E2"))
    other.mailbox.deliver({}, {})
    assert "host 'h1' is held by engine E1, ours is E2" in fails(other, OwnershipLost)
    assert "a" in consul.ours()
    consul.keys.advance(60)
    other.turn()
    assert consul.ours() == {}


def test_two_hosts_at_one_agent() -> None:
    """Hosts share an agent without touching each other's services, and each lives for itself."""
    consul = Consul()
    one, two = consul.writer(), consul.writer(evolve(CLAIM, host="h2"))
    turn(one, WEB)
    turn(two, evolve(WEB, id="b", host="h2"))
    assert {"a", "b"} <= set(consul.ours())
    consul.agent.advance(14)
    two.keep_alive.beat()
    consul.agent.advance(2)
    assert (consul.status("a"), consul.status("b")) == ("critical", "passing")


def test_retired() -> None:
    """A host that is given up leaves nothing behind."""
    consul = Consul()
    one = consul.writer()
    turn(one, WEB, bindings=(DB,))
    turn(one)
    one.stop()
    one.retire()
    assert consul.agent.services() == {}
    assert consul.agent.checks() == {}
    assert consul.keys.list("") == ()


def test_not_retired_by_the_fenced_out() -> None:
    """Who was fenced out does not take the host from his successor."""
    consul = Consul()
    first, second = consul.writer(), consul.writer()
    turn(first, WEB)
    turn(second, WEB)
    with pytest.raises(OwnershipLost):
        first.retire()
    assert LIVENESS in consul.agent.services()
