"""From what an agent has to what is wanted, on the twins of Consul's seams."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import pytest
from attrs import evolve

from mooring.consul.agent import Check, Service
from mooring.consul.memory import MemoryAgent
from mooring.consul.memory_keys import MemoryKeys
from mooring.documents import encode_binding
from mooring.errors import OwnershipLost, SessionLost, Unavailable, WorldError
from mooring.model import Address, Binding, Instance, State
from mooring_register.ownership import Claim
from mooring_register.registrar import Key, Withdrawal
from mooring_register.writers.consul import ConsulWriter
from mooring_register.writers.writer import Terms

CLAIM = Claim(host="h1", engine="E1", ttl_seconds=15, version="0.1", started="now")
WEB = Instance(service="web", id="a", address=Address("10.0.0.1", 80), host="h1", container="c1", name="/web.1")
DB = Binding(key="h1/c1/BACKEND_DB", service="db", port=5432, addresses=("172.17.0.2",), host="h1", container="c1")
LIVENESS = "mooring-register:h1"
tokens = (f"token{number}" for number in itertools.count())


class Consul:
    """An agent and the keys of its cluster."""

    def __init__(self, agent: MemoryAgent | None = None, keys: MemoryKeys | None = None) -> None:
        self.agent = agent or MemoryAgent()
        self.keys = keys or MemoryKeys()

    def writer(
        self, claim: Claim = CLAIM, clock: Callable[[], float] = lambda: 100.0, *, is_alone: bool = False
    ) -> ConsulWriter:
        """Return a writer that takes its turns when it is told to."""
        terms = Terms(
            claim=claim,
            resync_seconds=60.0,
            clock=clock,
            tokens=lambda: next(tokens),
            owner_idle_seconds=lambda: 0.0,
        )
        return ConsulWriter(self.agent, self.keys, "consul://memory", terms, is_alone=is_alone)

    def ours(self) -> dict[str, Service]:
        """Return the services that the agent has, but for that of the register itself."""
        return {one: service for one, service in self.agent.services().items() if one != LIVENESS}

    def status(self, service_id: str) -> str:
        """Return the worst of what the checks of a service say."""
        found = {one.status for one in self.agent.checks().values() if one.service_id == service_id}
        return next(status for status in ("critical", "warning", "passing") if status in found)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.agent.advance(seconds)
        self.keys.advance(seconds)


def turn(
    one: ConsulWriter,
    *instances: Instance,
    why: Mapping[Key, Withdrawal] | None = None,
    bindings: tuple[Binding, ...] = (),
) -> None:
    """Want these and nothing else, and take a turn."""
    wanted = {binding.key: binding for binding in bindings}
    one.mailbox.deliver({instance.key: instance for instance in instances}, why or {}, bindings=wanted)
    one.turn()


def fails(one: ConsulWriter, *errors: type[WorldError]) -> str:
    """Take a turn that must fail like this; draw the conclusions and return the reason."""
    with pytest.raises(errors) as caught:
        one.turn()
    one.failed(caught.value)
    return str(caught.value)


def test_published() -> None:
    """What is wanted is registered, and is up because the register is."""
    consul = Consul()
    one = consul.writer()
    turn(one, WEB)
    assert set(consul.agent.services()) == {"a", LIVENESS}
    assert consul.status("a") == "passing"
    assert one.ready() is None
    assert one.mailbox.settled == 1


def test_unchanged_costs_nothing() -> None:
    """What is the same is not registered again, neither by the same writer nor by its successor, nor at a resync."""
    consul, now = Consul(), [100.0]
    one = consul.writer(clock=lambda: now[0])
    turn(one, WEB, bindings=(DB,))
    before = consul.agent.writes
    index = consul.keys.get("mooring/bindings/h1/c1/BACKEND_DB")
    turn(one, evolve(WEB, cause="reconciled"), bindings=(DB,))
    now[0] += 61
    one.turn()
    one.stop()
    turn(consul.writer(), WEB, bindings=(DB,))
    assert consul.agent.writes == before
    assert consul.keys.get("mooring/bindings/h1/c1/BACKEND_DB") == index


def test_withdrawn() -> None:
    """What is wanted no more is deregistered, and what an earlier life left too."""
    consul = Consul()
    first = consul.writer()
    turn(first, WEB, evolve(WEB, id="b"))
    turn(first, WEB, why={("web", "b"): Withdrawal("stopped", 99.0)})
    assert set(consul.ours()) == {"a"}
    first.stop()
    turn(consul.writer())
    assert consul.ours() == {}
    assert set(consul.agent.services()) == {LIVENESS}


def test_draining_is_maintenance() -> None:
    """What drains is critical at once, and passing again when it survives."""
    consul = Consul()
    one = consul.writer()
    turn(one, WEB)
    turn(one, evolve(WEB, state=State.DRAINING))
    assert consul.status("a") == "critical"
    assert consul.agent.checks()["_service_maintenance:a"].notes == "mooring: draining"
    turn(one, WEB)
    assert consul.status("a") == "passing"


def test_starting_is_never_up() -> None:
    """What starts is critical from its registration on, until it is up."""
    consul = Consul()
    one = consul.writer()
    turn(one, evolve(WEB, state=State.STARTING))
    assert consul.status("a") == "critical"
    turn(one, WEB)
    assert consul.status("a") == "passing"


def test_alive() -> None:
    """One call keeps all services passing; without it all are critical after a TTL, and none is gone."""
    consul = Consul()
    one = consul.writer()
    turn(one, WEB, evolve(WEB, id="b"), bindings=(DB,))
    writes = consul.agent.writes
    for _ in range(4):
        consul.advance(5)
        one.keep_alive.beat()
    assert (consul.status("a"), consul.status("b")) == ("passing", "passing")
    assert consul.agent.writes == writes
    assert len(consul.keys.list("mooring/")) == 2
    consul.advance(15)
    assert (consul.status("a"), consul.status("b")) == ("critical", "critical")
    assert set(consul.ours()) == {"a", "b"}


NODE_CHECK = "mooring-register-node:h1"


def test_alive_by_the_node() -> None:
    """At an agent of its own one check of the node stands for all services, and comes back when it was lost."""
    consul = Consul()
    one = consul.writer(is_alone=True)
    turn(one, WEB)
    assert {state.id: (state.status, state.service_id) for state in consul.agent.checks().values()} == {
        NODE_CHECK: ("passing", "")
    }
    for _ in range(4):
        consul.advance(5)
        one.keep_alive.beat()
    assert consul.agent.checks()[NODE_CHECK].status == "passing"
    consul.agent.advance(15)
    assert consul.agent.checks()[NODE_CHECK].status == "critical"
    consul.agent.lose()
    one.keep_alive.beat()
    one.turn()
    assert consul.agent.checks()[NODE_CHECK].status == "passing"


def test_alive_by_the_node_no_more() -> None:
    """The node's check goes with the host, and when another choice is made: it would make all services critical."""
    consul = Consul()
    one = consul.writer(is_alone=True)
    turn(one, WEB)
    other = consul.writer()
    turn(other, WEB)
    assert NODE_CHECK not in consul.agent.checks()
    assert consul.status("a") == "passing"
    third = consul.writer(is_alone=True)
    turn(third)
    third.stop()
    third.retire()
    assert consul.agent.checks() == {}


def test_others_are_left_alone() -> None:
    """Somebody else's service is never touched; one that has an id of ours is reported until it is gone."""
    consul, now = Consul(), [100.0]
    theirs = Service(id="a", name="theirs")
    consul.agent.register(theirs)
    one = consul.writer(clock=lambda: now[0])
    turn(one, WEB, evolve(WEB, id="b"))
    assert consul.ours()["a"] == theirs
    assert "b" in consul.ours()
    assert "held by somebody who does not say who in service 'theirs'" in str(one.state()["conflicts"])
    assert one.ready() is None
    consul.agent.deregister("a")
    now[0] += 16
    one.turn()
    assert consul.ours()["a"].name == "web"
    assert one.state()["conflicts"] == []


def test_refused_service() -> None:
    """A service that the agent refuses is reported with its reason, keeps no other, and is tried again."""
    consul, now = Consul(), [100.0]
    one = consul.writer(clock=lambda: now[0])
    script = evolve(WEB, id="s", checks={"script": "true"})
    turn(one, WEB, script)
    assert set(consul.ours()) == {"a"}
    assert "Scripts are disabled on this agent" in str(one.state()["left out"])
    assert one.ready() is None
    turn(one, WEB, evolve(script, checks={}))
    assert set(consul.ours()) == {"a", "s"}
    now[0] += 16
    one.turn()
    assert one.state()["left out"] == []


def test_agent_lost_everything() -> None:
    """An agent that forgot its services gets them again as soon as it is told that we live."""
    consul = Consul()
    one = consul.writer()
    turn(one, WEB)
    consul.agent.lose()
    one.keep_alive.beat()
    one.turn()
    assert set(consul.agent.services()) == {"a", LIVENESS}
    assert consul.status("a") == "passing"


def test_agent_was_away() -> None:
    """After an agent did not answer it is read anew, although it may know the check."""
    consul = Consul()
    one = consul.writer()
    turn(one, WEB)
    one.keep_alive.beat()
    consul.agent.fail()
    with pytest.raises(Unavailable):
        one.keep_alive.beat()
    consul.agent.recover()
    consul.agent.deregister("a")
    one.keep_alive.beat()
    one.turn()
    assert "a" in consul.ours()


def test_failed_withdrawal_is_repeated() -> None:
    """A withdrawal that failed is carried out when the agent answers again, though nothing new is wanted."""
    consul = Consul()
    one = consul.writer()
    turn(one, WEB)
    consul.agent.fail()
    one.mailbox.deliver({}, {})
    fails(one, Unavailable)
    assert "connection refused" in str(one.ready())
    consul.agent.recover()
    one.turn()
    assert consul.ours() == {}
    assert one.ready() is None


def test_lost_while_not_answering() -> None:
    """What an agent lost while a write of ours failed is registered again with that write."""
    consul = Consul()
    one = consul.writer()
    turn(one, WEB)
    consul.agent.fail()
    one.mailbox.deliver({one.key: one for one in (WEB, evolve(WEB, id="b"))}, {})
    fails(one, Unavailable)
    consul.agent.recover()
    consul.agent.lose()
    one.turn()
    assert set(consul.ours()) == {"a", "b"}


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


class Talkative(MemoryAgent):
    """An agent at which something happens whenever a service is registered."""

    def __init__(self, happens: Callable[[str], None]) -> None:
        super().__init__()
        self._happens = happens

    def register(self, service: Service, checks: Sequence[Check] = ()) -> None:
        """Register it, and let happen what happens."""
        super().register(service, checks)
        self._happens(service.id)


def test_newer_wish_first() -> None:
    """What is delivered while the writer is busy is taken up before it goes on with what is old."""

    def deliver(service_id: str) -> None:
        if service_id == "i000":
            one.mailbox.deliver({WEB.key: WEB}, {})

    consul = Consul(Talkative(deliver))
    one = consul.writer()
    turn(one, *(evolve(WEB, id=f"i{number:03}") for number in range(250)))
    assert len(consul.ours()) == 100
    one.turn()
    assert set(consul.ours()) == {"a"}
