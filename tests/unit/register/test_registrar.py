"""What is wanted, after what was observed."""

import pytest
from attrs import evolve

from mooring.errors import DocumentError
from mooring.model import Address, Instance, State
from mooring_register.addresses.reach import Policy
from mooring_register.containers import Container, PortMapping
from mooring_register.deregistration import Failure
from mooring_register.observations import (
    Declared,
    Died,
    Gone,
    Inspected,
    Listed,
    Lost,
    Observation,
    Signalled,
    StopAnnounced,
    Unreadable,
)
from mooring_register.registrar import Registrar, Withdrawal, apply, withdrawals

EMPTY = Registrar(policy=Policy(host="h", ip="10.0.0.1"))
WEB = Container(
    id="c1",
    name="/web.1",
    image="web",
    started_at=100.0,
    ports=(PortMapping(80, "tcp", "0.0.0.0", 32768),),
)
KEY = ("web", "h:web.1:80")


def after(*observations: Observation, state: Registrar = EMPTY, now: float = 1000.0) -> Registrar:
    """Return the state after observations that came together."""
    return apply(state, observations, now)


def published(state: Registrar) -> list[tuple[str, State, str]]:
    """Return what is wanted: id, state and cause."""
    return [(one.id, one.state, one.cause) for one in state.instances.values()]


UP = after(Listed(frozenset({"c1"}), (WEB,), 900.0))


def test_started() -> None:
    """A container that starts is wanted, with the event's time and cause."""
    state = after(Inspected(WEB, "started", 900.5))
    assert published(state) == [("h:web.1:80", State.UP, "started")]
    assert state.instances[KEY].seen_docker == 900.5


def test_started_by_whatever_event() -> None:
    """A container seen for the first time has started, whichever of its events came first."""
    assert published(after(Inspected(WEB, "network connected", 900.5))) == [("h:web.1:80", State.UP, "started")]


def test_listed() -> None:
    """What was running before us is wanted, and known from a listing; only then is anything complete."""
    assert published(UP) == [("h:web.1:80", State.UP, "reconciled")]
    assert UP.listed_at == 900.0
    assert after(Inspected(WEB, "started", 900.0)).listed_at is None


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"paused": True}, "paused"),
        ({"health": "unhealthy"}, "unhealthy"),
        ({"restarting": True, "exit_code": 3}, "exited 3"),
        ({"running": False, "exit_code": 137}, "exited 137"),
        ({"running": False, "out_of_memory": True}, "out of memory"),
    ],
)
def test_withdrawn(change: dict[str, object], cause: str) -> None:
    """A container that can no longer serve is not wanted, and the cause is told."""
    changed = evolve(WEB, **change)  # type: ignore[arg-type] # fields by name
    state = after(Inspected(changed, "updated", 950.0), state=UP)
    assert state.instances == {}
    assert withdrawals(UP, state, 1000.0) == {KEY: Withdrawal(cause, 950.0)}


def test_died() -> None:
    """A death is believed before the inspection, with the exit code."""
    state = after(Died("c1", 137, 950.0), state=UP)
    assert withdrawals(UP, state, 1000.0) == {KEY: Withdrawal("exited 137", 950.0)}


def test_old_news() -> None:
    """A death or a stop signal from before the container's present life changes nothing."""
    assert after(Died("c1", 137, 99.0), Signalled("c1", "15", 99.0), state=UP) == UP


def test_gone() -> None:
    """A container that was removed is withdrawn as such."""
    assert withdrawals(UP, after(Gone("c1", 950.0), state=UP), 1000.0) == {KEY: Withdrawal("removed", 950.0)}


def test_a_listing_without_it() -> None:
    """What a listing no longer shows is withdrawn, with its end if that was inspected."""
    removed = after(Listed(frozenset(), (), 950.0), state=UP)
    ended = after(Listed(frozenset(), (evolve(WEB, running=False, exit_code=1),), 950.0), state=UP)
    assert withdrawals(UP, removed, 1000.0) == {KEY: Withdrawal("removed", 950.0)}
    assert withdrawals(UP, ended, 1000.0) == {KEY: Withdrawal("exited 1", 950.0)}


def test_a_listing_keeps_what_it_did_not_inspect() -> None:
    """A listing that shows a container without inspecting it leaves it as it was."""
    assert after(Listed(frozenset({"c1"}), (), 950.0), state=UP).instances == UP.instances


def test_health() -> None:
    """With a HEALTHCHECK an instance is starting until it is healthy."""
    starting = after(Inspected(evolve(WEB, health="starting"), "started", 900.0))
    healthy = after(Inspected(evolve(WEB, health="healthy"), "healthy", 905.0), state=starting)
    assert published(starting) == [("h:web.1:80", State.STARTING, "started")]
    assert published(healthy) == [("h:web.1:80", State.UP, "healthy")]


def test_unchanged() -> None:
    """Looking again at what did not change says nothing new, not even a time."""
    assert after(Inspected(WEB, "updated", 990.0), state=UP).instances == UP.instances


def test_stop_signal_drains() -> None:
    """The stop signal drains until the end, which then is a stop and no crash."""
    draining = after(Signalled("c1", "15", 999.0), state=UP)
    stopped = after(Died("c1", 143, 1001.0), state=draining, now=1001.0)
    assert published(draining) == [("h:web.1:80", State.DRAINING, "stopping")]
    assert withdrawals(draining, stopped, 1001.0) == {KEY: Withdrawal("stopped", 1001.0)}
    assert stopped.draining == {}


def test_the_inspection_after_a_death_changes_no_cause() -> None:
    """What is inspected after a death was told does not overwrite why it died."""
    draining = after(Signalled("c1", "15", 999.0), state=UP)
    inspected = Inspected(evolve(WEB, running=False, exit_code=143), "updated", 1001.5)
    stopped = after(Died("c1", 143, 1001.0), inspected, state=draining, now=1001.6)
    assert withdrawals(draining, stopped, 1001.6) == {KEY: Withdrawal("stopped", 1001.0)}


def test_other_signals_do_not_drain() -> None:
    """A reload, or the stop signal of other programs, changes nothing."""
    assert after(Signalled("c1", "1", 999.0), Signalled("c1", "3", 999.0), state=UP).instances == UP.instances


def test_reconcile_keeps_draining_until_its_time() -> None:
    """A draining container stays so in every reconcile until its time is over; still running then, it is up."""
    draining = after(Signalled("c1", "15", 999.0), state=UP)
    still = after(Listed(frozenset({"c1"}), (evolve(WEB, health="healthy"),), 1013.9), state=draining, now=1013.9)
    over = after(state=still, now=1014.0)
    assert [one.state for one in still.instances.values()] == [State.DRAINING]
    assert published(over) == [("h:web.1:80", State.UP, "survived its stop signal")]


def test_an_announced_stop_drains() -> None:
    """Whoever says that he will stop a container has it drained at once; said again, nothing new is told."""
    draining = after(StopAnnounced("c1", 1005.0, 1000.0), state=UP)
    again = after(StopAnnounced("c1", 1006.0, 1001.0), state=draining, now=1001.0)
    assert published(draining) == [("h:web.1:80", State.DRAINING, "stopping")]
    assert draining.instances[KEY].seen_docker == 1000.0
    assert again.instances == draining.instances
    stopped = after(Died("c1", 143, 1002.0), state=again, now=1002.0)
    assert withdrawals(again, stopped, 1002.0) == {KEY: Withdrawal("stopped", 1002.0)}


def test_an_announced_stop_that_does_not_come_is_forgotten() -> None:
    """Nobody drains for somebody who fell silent, nor is a container known by having been announced."""
    draining = after(StopAnnounced("c1", 1005.0, 1000.0), StopAnnounced("c2", 1005.0, 1000.0), state=UP)
    over = after(state=draining, now=1005.0)
    assert published(over) == [("h:web.1:80", State.UP, "was not stopped after all")]
    assert list(over.containers) == ["c1"]
    assert over.draining == {}


def test_an_announced_stop_and_its_signal_are_one_end() -> None:
    """The stop signal that follows prolongs what the announcement began."""
    state = after(StopAnnounced("c1", 1005.0, 1000.0), Signalled("c1", "15", 1003.0), state=UP, now=1003.0)
    later = after(state=state, now=1017.9)
    over = after(state=later, now=1018.0)
    assert later.instances == state.instances
    assert published(over) == [("h:web.1:80", State.UP, "survived its stop signal")]


def test_a_signal_that_nobody_heard_drains_at_once() -> None:
    """A successor is told of it with its first listing: at no time does it want the container to be up."""
    state = after(
        Listed(frozenset({"c1"}), (WEB,), 1000.0, (Signalled("c1", "15", 995.0), Signalled("c0", "15", 995.0)))
    )
    over = after(Listed(frozenset({"c1"}), (WEB,), 1000.0, (Signalled("c1", "15", 900.0),)))
    assert published(state) == [("h:web.1:80", State.DRAINING, "stopping")]
    assert published(over) == [("h:web.1:80", State.UP, "survived its stop signal")]


def test_a_stop_that_is_announced_before_anything_is_known_drains_at_once() -> None:
    """A register that was restarted is told again what its predecessor knew; of strangers nothing stays."""
    state = after(StopAnnounced("c1", 1005.0, 1000.0), StopAnnounced("c0", 1005.0, 1000.0))
    listed = after(Listed(frozenset({"c1"}), (WEB,), 1000.5), state=state, now=1000.5)
    assert published(listed) == [("h:web.1:80", State.DRAINING, "stopping")]
    assert list(listed.draining) == ["c1"]
    assert after(state=state, now=1005.0).draining == {}


def test_out_of_memory() -> None:
    """A container that was killed when it had no memory left ran out of memory; one that ended otherwise did not."""
    killed = after(Died("c1", 137, 950.0, ran_out_of_memory=True), state=UP)
    another = after(Died("c1", 1, 950.0, ran_out_of_memory=True), state=UP)
    assert withdrawals(UP, killed, 1000.0) == {KEY: Withdrawal("out of memory", 950.0)}
    assert withdrawals(UP, another, 1000.0) == {KEY: Withdrawal("exited 1", 950.0)}


def test_failures_are_noted_only_where_they_are_kept() -> None:
    """[R-L] And a death of an earlier life is none."""
    keeping = evolve(UP, keeps_failed=True)
    assert after(Died("c1", 1, 950.0), state=UP).failures == {}
    assert after(Died("c1", 1, 950.0), state=keeping).failures == {"c1": Failure("exited 1", 950.0)}
    assert after(Died("c1", 1, 99.0), state=keeping).failures == {}


def test_a_restart_is_up() -> None:
    """A container that was stopped and started again is up, on its new port."""
    again = evolve(WEB, started_at=1002.0, ports=(PortMapping(80, "tcp", "0.0.0.0", 32769),))
    state = after(
        Signalled("c1", "15", 999.0), Died("c1", 0, 1000.0), Inspected(again, "started", 1002.0), state=UP, now=1003.0
    )
    assert published(state) == [("h:web.1:80", State.UP, "started")]
    assert state.instances[KEY].address.port == 32769
    assert withdrawals(UP, state, 1003.0) == {}


def test_rename() -> None:
    """A rename wants the new id and withdraws the old one, as renamed."""
    state = after(Inspected(evolve(WEB, name="/web.2"), "renamed", 950.0), state=UP)
    assert published(state) == [("h:web.2:80", State.UP, "renamed")]
    assert withdrawals(UP, state, 1000.0) == {KEY: Withdrawal("renamed", 950.0)}


def test_engine_lost() -> None:
    """An engine that went away withdraws nothing; since when is kept, until it answers again."""
    lost = after(Lost("refused", 950.0), Lost("still refused", 960.0), state=UP)
    assert lost.instances == UP.instances
    assert (lost.lost_since, lost.lost_reason) == (950.0, "still refused")
    assert after(Listed(frozenset({"c1"}), (), 970.0), state=lost).lost_since is None


def test_one_id_twice() -> None:
    """Of two containers with one id the older one keeps it, and the other is reported naming both."""
    labels = {"SERVICE_ID": "mine", "SERVICE_NAME": "web"}
    first = evolve(WEB, labels=labels)
    second = evolve(WEB, id="c0", name="/web.2", labels=labels, started_at=200.0)
    state = after(Listed(frozenset({"c0", "c1"}), (second, first), 900.0))
    assert [one.container for one in state.instances.values()] == ["c1"]
    assert [str(problem) for problem in state.problems] == ["web.2: id 'mine' of service 'web' is held by /web.1"]


def test_declared() -> None:
    """A static file is the whole truth each time it can be read, and stands when it cannot."""
    one = Instance(service="db", id="x", address=Address("10.0.0.9", 5432))
    declared = after(Declared((one,), (), 900.0))
    broken = after(Unreadable(DocumentError("f.yaml", "not YAML"), 950.0), state=declared)
    emptied = after(Declared((), (), 960.0), state=broken)
    assert list(broken.instances.values()) == [one]
    assert [str(problem) for problem in broken.problems] == ["f.yaml: not YAML"]
    assert withdrawals(broken, emptied, 1000.0) == {("db", "x"): Withdrawal("removed", 1000.0)}
    assert emptied.problems == ()
