"""From what an agent has to what is wanted, on the twins of Consul's seams."""

from collections.abc import Callable, Mapping, Sequence

import pytest
from attrs import evolve

from mooring.consul.agent import Check, Service
from mooring.consul.memory import MemoryAgent
from mooring.errors import OwnershipLost, Unavailable
from mooring.model import State
from mooring_register.consul.services import HOST
from mooring_register.deregistration import Failure
from mooring_register.registrar import Withdrawal
from tests.unit.register.consul_writers import DB, LIVENESS, WEB, Consul, fails, turn


def test_published() -> None:
    """What is wanted is registered, and is up because the register is."""
    consul = Consul()
    one = consul.writer()
    turn(one, WEB)
    assert set(consul.agent.services()) == {"a", LIVENESS}
    assert consul.status("a") == "passing"
    assert one.ready() is None
    assert one.mailbox.settled == 1


@pytest.mark.parametrize("seconds", [61, -61], ids=["later", "clock set back"])
def test_somebody_removes_our_service(seconds: int) -> None:
    """A service of ours that somebody removed is registered again, by the next comparison of everything."""
    consul, now = Consul(), [100.0]
    one = consul.writer(clock=lambda: now[0])
    turn(one, WEB)
    consul.agent.deregister("a")
    one.turn()
    assert consul.ours() == {}
    now[0] += seconds
    one.turn()
    assert set(consul.ours()) == {"a"}


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


def test_what_failed_stays_critical() -> None:
    """What failed is critical and says why, also to a successor, until it runs again or is removed."""
    consul = Consul()
    one = consul.writer()
    web, failures = evolve(WEB, checks={"ttl": "1h"}), {"c1": Failure("exited 1", 99.0)}
    turn(one, web)
    consul.agent.report("service:a", "passing")
    turn(one, failures=failures)
    assert {
        state.id: (state.status, state.notes) for state in consul.agent.checks().values() if state.service_id == "a"
    } == {
        "mooring-alive:a": ("passing", ""),
        "mooring-failed:a": ("critical", "exited 1"),
    }
    writes = consul.agent.writes
    one.stop()
    one = consul.writer()
    turn(one, failures=failures)
    assert consul.agent.writes == writes
    # What is wanted is right, whatever else is said of its container.
    turn(one, web, failures=failures)
    assert set(consul.agent.checks()) >= {"service:a"}
    assert "mooring-failed:a" not in consul.agent.checks()
    turn(one, failures=failures)
    turn(one)
    assert consul.ours() == {}


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


def test_fenced_out_of_bindings() -> None:
    """A register whose session another one has taken over does not write bindings under it."""
    consul = Consul()
    first = consul.writer()
    turn(first, WEB, bindings=(DB,))
    turn(consul.writer(), WEB, bindings=(DB,))
    first.mailbox.deliver({WEB.key: WEB}, {}, bindings={})
    assert "another register" in fails(first, OwnershipLost)
    assert len(consul.keys.list("mooring/bindings/")) == 1


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


class OddAgent(MemoryAgent):
    """An agent in which somebody has registered a service in our name that no path leads to."""

    def services(self) -> Mapping[str, Service]:
        """See `Agent.services`."""
        return {**super().services(), "a//b": Service(id="a//b", name="odd", meta={HOST: "h1"})}


def test_a_service_that_cannot_be_removed() -> None:
    """It is told, and keeps nothing else."""
    consul = Consul(OddAgent())
    one = consul.writer()
    turn(one, WEB)
    assert set(consul.ours()) == {"a", "a//b"}
    assert "a//b: Consul would not find it again" in str(one.state()["left out"])
    assert one.ready() is None


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
