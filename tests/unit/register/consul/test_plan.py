"""What leads from what an agent has to what is wanted."""

from attrs import evolve

from mooring.consul.agent import CheckState, Service
from mooring.model import Address, Instance, State
from mooring_register.consul.plan import Deregistration, Found, Step, as_registered, plan_services, read_agent
from mooring_register.consul.services import Registration, Site, register_one

HERE = Site("E1")
WEB = Instance(service="web", id="a", address=Address("10.0.0.1", 80), host="h1", container="c1", name="/web.1")


def registration(instance: Instance) -> Registration:
    """Return the registration of an instance."""
    return register_one(instance, HERE)


def wanted(*instances: Instance) -> dict[str, Registration]:
    """Return what is wanted."""
    return {one.id: registration(one) for one in instances}


def has(*instances: Instance) -> dict[str, Found]:
    """Return what an agent has."""
    return {one.id: as_registered(registration(one)) for one in instances}


def told(*steps: Step) -> list[str]:
    """Return what is done, for comparing."""
    return [("-" if isinstance(step, Deregistration) else "+") + step.service.id for step in steps]


def test_unchanged() -> None:
    """What is as it should be costs nothing."""
    assert plan_services(wanted(WEB), has(WEB), "h1").steps == ()


def test_changed() -> None:
    """Each difference is a registration: an address, a state, a check that somebody removed."""
    changed = [evolve(WEB, address=Address("10.0.0.2", 80)), evolve(WEB, state=State.DRAINING)]
    changed.append(evolve(WEB, checks={"tcp": "true"}))
    for one in changed:
        assert told(*plan_services(wanted(one), has(WEB), "h1").steps) == ["+a"]
    without = {"a": evolve(has(WEB)["a"], checks=frozenset())}
    assert told(*plan_services(wanted(WEB), without, "h1").steps) == ["+a"]


def test_check_defined_otherwise() -> None:
    """An agent does not show how it checks; that it is asked to do it otherwise is seen all the same."""
    before, after = (evolve(WEB, checks={"http": "/", "interval": interval}) for interval in ("5s", "6s"))
    assert told(*plan_services(wanted(after), has(before), "h1").steps) == ["+a"]


def test_leftovers() -> None:
    """[R-L] [R-H] What an earlier life left goes, told by its meta and whatever its id; what others have stays."""
    ours = [evolve(WEB, id=one) for one in ("h1:gone:80", "h1:gone:53:udp", "manual")]
    theirs = [evolve(WEB, id=one, host="h2") for one in ("otherhost:x:80", "h1:weird name:80")]
    found = {**has(*ours, *theirs), "h1:registrator:80": Found(Service(id="h1:registrator:80", name="x"), frozenset())}
    plan = plan_services(wanted(), found, "h1")
    assert sorted(told(*plan.steps)) == ["-h1:gone:53:udp", "-h1:gone:80", "-manual"]
    assert plan.conflicts == {}


def test_order() -> None:
    """Names that lose an instance come first, and within a name what comes is there before anything goes."""
    new = evolve(WEB, service="a-new-one", id="n")
    renamed = evolve(WEB, id="b")
    gone = evolve(WEB, service="other", id="o")
    plan = plan_services(wanted(new, renamed), has(WEB, gone), "h1")
    assert told(*plan.steps) == ["-o", "+b", "-a", "+n"]


def test_conflict() -> None:
    """An id that somebody else has is left to him, and both are named."""
    held = {"a": Found(Service(id="a", name="theirs", meta={"mooring-host": "h2"}), frozenset())}
    plan = plan_services(wanted(WEB), held, "h1")
    assert plan.steps == ()
    assert str(plan.conflicts["a"]) == "web.1: id 'a': held by host 'h2' in service 'theirs', this is host 'h1'"
    nobody = {"a": Found(Service(id="a", name="theirs"), frozenset())}
    assert "somebody who does not say who" in str(plan_services(wanted(WEB), nobody, "h1").conflicts["a"])


def test_operators_maintenance() -> None:
    """A maintenance that somebody else began is no difference, and outlives each registration; ours ends."""
    state = CheckState(id="_service_maintenance:a", name="", status="critical", service_id="a", notes="disk is full")
    ours = [
        CheckState(id=check.id, name=check.name, status="passing", service_id="a", notes=check.notes)
        for check in registration(WEB).checks
    ]
    found = read_agent({"a": registration(WEB).service}, {one.id: one for one in (*ours, state)})
    assert plan_services(wanted(WEB), found, "h1").steps == ()
    for state_of_it in (State.UP, State.DRAINING):
        instance = evolve(WEB, state=state_of_it, weight=7)
        (step,) = plan_services(wanted(instance), found, "h1").steps
        assert isinstance(step, Registration)
        kept = [check for check in step.checks if check.id == state.id]
        assert [(check.notes, check.initial) for check in kept] == [("disk is full", "critical")]
        # Nor is it a difference afterwards.
        assert plan_services(wanted(instance), {"a": as_registered(step)}, "h1").steps == ()
    draining = has(evolve(WEB, state=State.DRAINING))
    (step,) = plan_services(wanted(WEB), draining, "h1").steps
    assert isinstance(step, Registration)
    assert [check.id for check in step.checks] == ["mooring-alive:a"]


def test_read_checks_of_the_node() -> None:
    """Checks that belong to no service are nobody's difference."""
    node = CheckState(id="serfHealth", name="", status="passing")
    found = read_agent({"a": registration(WEB).service}, {"serfHealth": node})
    assert found == {"a": Found(registration(WEB).service, frozenset())}
