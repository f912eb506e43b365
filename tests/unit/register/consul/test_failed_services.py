"""What an agent shows of containers that failed."""

from attrs import evolve

from mooring.consul.agent import Alias, Service
from mooring.model import Address, Instance
from mooring_register.consul.failed_services import register_failed
from mooring_register.consul.plan import Found, as_registered, plan_services
from mooring_register.consul.services import Site, register_one
from mooring_register.deregistration import Failure

HERE = Site("E1")
FAILURES = {"c1": Failure("exited 1", 99.0)}
WEB = Instance(
    service="web",
    id="a",
    address=Address("10.0.0.1", 80),
    host="h1",
    container="c1",
    name="/web.1",
    tags=("blue",),
    checks={"http": "/", "deregister_after": "1m"},
)


def has(*instances: Instance) -> dict[str, Found]:
    """Return what an agent has."""
    return {one.id: as_registered(register_one(one, HERE)) for one in instances}


def test_a_failed_service() -> None:
    """[R-L] It is as it was but for its state, is critical and says why, and follows the register's life."""
    before = has(WEB)["a"].service
    failed = register_failed(has(WEB), FAILURES, HERE, "h1")["a"]
    assert evolve(failed.service, meta=before.meta) == before
    changed = {word for word, value in failed.service.meta.items() if before.meta[word] != value}
    assert changed == {"mooring-state", "mooring-checks"}
    alive, why = failed.checks
    assert alive.probe == Alias("mooring-register:h1")
    assert (why.initial, why.notes, why.deregister_after_seconds) == ("critical", "exited 1", None)
    # A check that stays keeps its status.
    assert not {one.id for one in failed.checks[1:]} & {one.id for one in register_one(WEB, HERE).checks}


def test_a_failed_service_of_an_agent_of_its_own() -> None:
    """Where the node's check stands for all, only the reason is there."""
    (why,) = register_failed(has(WEB), FAILURES, Site("E1", is_alone=True), "h1")["a"].checks
    assert why.notes == "exited 1"


def test_whose_services_stay() -> None:
    """Only services of this host whose containers failed do."""
    found = has(WEB, evolve(WEB, id="well", container="c2"), evolve(WEB, id="theirs", host="h2"))
    found["manual"] = Found(Service(id="manual", name="web"), frozenset())
    assert set(register_failed(found, FAILURES, HERE, "h1")) == {"a"}


def test_once() -> None:
    """A service that says that it failed is not registered again for it."""
    failed = register_failed(has(WEB), FAILURES, HERE, "h1")
    found = {"a": as_registered(failed["a"])}
    assert plan_services(register_failed(found, FAILURES, HERE, "h1"), found, "h1").steps == ()
