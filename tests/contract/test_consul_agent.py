"""The contract of a Consul agent's services and checks, on the twin in memory and on a real agent."""

from collections.abc import Callable, Iterator

import pytest
from attrs import evolve, frozen

from mooring.consul.address import parse_consul_address
from mooring.consul.agent import (
    Agent,
    Alias,
    Check,
    CheckState,
    Grpc,
    Http,
    Probe,
    Script,
    Service,
    Status,
    Tcp,
    Ttl,
)
from mooring.consul.client import connect_to
from mooring.consul.memory import MemoryAgent
from mooring.errors import DocumentError, Unavailable
from tests.consul import ConsulServer
from tests.servers import HOST, free_port
from tests.waiting import wait_until

LONG_SECONDS = 3600.0


@frozen
class Bench:
    """The agent, a name of the test's own, and how time passes there."""

    agent: Agent
    name: str
    let_pass: Callable[[float], None]

    def service(self, suffix: str = "") -> Service:
        """Return a service of the test's own."""
        return Service(id=f"{self.name}:web.1:80{suffix}", name=self.name, address="10.0.0.1", port=32768)

    def check(self, probe: Probe, suffix: str = "", initial: Status = "passing") -> Check:
        """Return a check of the test's own."""
        return Check(id=f"{self.name}:check{suffix}", name="a check", probe=probe, initial=initial)

    def status(self, check: Check) -> str:
        """Return how a check is, empty when there is none."""
        state = self.agent.checks().get(check.id)
        return state.status if state else ""

    def see(self, check: Check, status: Status) -> None:
        """Wait until a check is so."""
        wait_until(lambda: self.status(check) == status, f"{check.id} to be {status}, not {self.status(check)}")


@pytest.fixture(params=["memory", pytest.param("consul", marks=pytest.mark.consul)])
def bench(request: pytest.FixtureRequest, namespace: str) -> Iterator[Bench]:
    """Give the twin, or a real agent."""
    if request.param == "memory":
        memory = MemoryAgent()
        yield Bench(memory, namespace, memory.advance)
        return
    server: ConsulServer = request.getfixturevalue("consul_server")
    consul = connect_to(parse_consul_address(f"consul://{server.address}"))
    # Real time passes by itself: whoever waits for what it brings has a deadline of its own.
    yield Bench(consul.agent, namespace, lambda _: None)
    consul.close()


def test_identity(bench: Bench) -> None:
    """An agent says which node it is, in which datacentre, and its version."""
    identity = bench.agent.identity()
    assert identity.node
    assert (identity.datacentre, identity.version.split(".")[0]) == ("dc1", "1")


def test_a_service_is_read_as_it_was_registered(bench: Bench) -> None:
    """Name, address, port, tags in their order, metadata, weights: what is read is what was registered."""
    service = Service(
        id=f"{bench.name}:web.1:80:udp",
        name="Größe of/web",
        address="2001:db8::1",
        port=32768,
        tags=("b", "a", "rest", "urlprefix-/hello strip=/hello"),
        meta={"region": "eu", "note": 'ü "quoted", and: more'},
        is_retagged=True,
        passing_weight=10,
        warning_weight=2,
    )
    bench.agent.register(service)
    assert bench.agent.services()[service.id] == service
    bare = Service(id=f"{bench.name}-bare", name="bare")
    bench.agent.register(bare)
    assert bench.agent.services()[bare.id] == bare


def test_a_service_is_replaced(bench: Bench) -> None:
    """Who registers an id again replaces all that was said of it."""
    bench.agent.register(evolve(bench.service(), tags=("old",), meta={"old": "1"}))
    bench.agent.register(bench.service())
    assert bench.agent.services()[bench.service().id] == bench.service()


@pytest.mark.parametrize("suffix", ["/path", " and blank", "%2F", "?x#y", ":größe"])
def test_ids_with_odd_characters(bench: Bench, suffix: str) -> None:
    """An id that was taken is found again, to be removed, reported and put into maintenance."""
    service, check = bench.service(suffix), bench.check(Ttl(LONG_SECONDS), suffix)
    bench.agent.register(service, [check])
    assert bench.agent.report(check.id, "warning", "größe & = + %")
    assert bench.agent.checks()[check.id].output == "größe & = + %"
    assert bench.agent.set_maintenance(service.id, "why")
    bench.agent.deregister(service.id)
    assert service.id not in bench.agent.services()


@pytest.mark.parametrize("suffix", ["//a", "/../a", "/./a", "/"])
def test_ids_that_an_agent_would_not_find_again(bench: Bench, suffix: str) -> None:
    """What could never be removed again is refused by name wherever it is named; so is a check of that kind."""
    service, check = bench.service(suffix), bench.check(Ttl(LONG_SECONDS), suffix)
    with pytest.raises(DocumentError, match="would not find it again"):
        bench.agent.register(service)
    with pytest.raises(DocumentError, match="would not find it again"):
        bench.agent.register(bench.service(), [check])
    calls: tuple[Callable[[], object], ...] = (
        lambda: bench.agent.register_check(check),
        lambda: bench.agent.deregister(service.id),
        lambda: bench.agent.deregister_check(check.id),
        lambda: bench.agent.report(check.id, "passing"),
        lambda: bench.agent.set_maintenance(service.id, "why"),
        lambda: bench.agent.end_maintenance(service.id),
    )
    for call in calls:
        with pytest.raises(DocumentError, match="would not find it again"):
            call()
    assert not {service.id, bench.service().id} & set(bench.agent.services())


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        (Service(id="ID", name=""), "Missing service name"),
        (Service(id="ID", name="a", meta={"with.dot": "x"}), "Invalid Service Meta"),
        (Service(id="ID", name="a", meta={"long": "x" * 513}), "Invalid Service Meta"),
        (Service(id="ID", name="a", meta={f"key{number}": "" for number in range(65)}), "Invalid Service Meta"),
        (Service(id="ID", name="a", address="0.0.0.0"), "Invalid service address"),
        (Service(id="ID", name="a", passing_weight=0), "Invalid Weights"),
    ],
    ids=["no name", "a dot in a key", "a long value", "many pairs", "any address", "weight 0"],
)
def test_a_service_that_is_refused(bench: Bench, service: Service, reason: str) -> None:
    """A service that an agent does not take is named, with the agent's reason, and is no outage."""
    refused = evolve(service, id=f"{bench.name}-refused")
    with pytest.raises(DocumentError, match=f"{refused.id}: {reason}"):
        bench.agent.register(refused)
    assert refused.id not in bench.agent.services()


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        (Ttl(0), "TTL must be > 0"),
        (Tcp("10.0.0.1:80", 0), "Interval must be > 0"),
        (Script(("true",), 5), "Scripts are disabled"),
    ],
    ids=["no time", "no interval", "scripts"],
)
def test_a_check_that_is_refused(bench: Bench, probe: Probe, reason: str) -> None:
    """A service with a check that an agent does not take is not registered at all; the message names the service."""
    with pytest.raises(DocumentError, match=f"{bench.service().id}: .*{reason}"):
        bench.agent.register(bench.service(), [bench.check(probe)])
    assert bench.service().id not in bench.agent.services()
    with pytest.raises(DocumentError, match=f"{bench.check(probe).id}: .*{reason}"):
        bench.agent.register_check(bench.check(probe))


def test_deregister(bench: Bench) -> None:
    """Removing a service takes its checks along, leaves others alone, and may be repeated."""
    other = bench.service(":other")
    bench.agent.register(other, [bench.check(Ttl(LONG_SECONDS), ":other")])
    bench.agent.register(bench.service(), [bench.check(Ttl(LONG_SECONDS))])
    for _ in range(2):
        bench.agent.deregister(bench.service().id)
        assert bench.service().id not in bench.agent.services()
        assert bench.status(bench.check(Ttl(LONG_SECONDS))) == ""
    assert bench.agent.services()[other.id] == other
    assert bench.status(bench.check(Ttl(LONG_SECONDS), ":other")) == "passing"


def test_a_check_is_read_back(bench: Bench) -> None:
    """What is known of a check: whose it is, its name and notes, how it was at first and what was said last."""
    check = evolve(bench.check(Ttl(LONG_SECONDS), initial="warning"), notes="why it is here")
    bench.agent.register(bench.service(), [check])
    state = CheckState(
        id=check.id, name="a check", status="warning", service_id=bench.service().id, notes="why it is here"
    )
    assert bench.agent.checks()[check.id] == state
    assert bench.agent.report(check.id, "critical", "broken")
    assert bench.agent.checks()[check.id] == evolve(state, status="critical", output="broken")


def test_every_kind_of_check_is_taken(bench: Bench) -> None:
    """[R-C] HTTP, TCP, gRPC, time to live and aliases, with all that can be said of them, are taken at once."""
    probes: list[Probe] = [
        Http(
            f"http://{HOST}:1/health",
            LONG_SECONDS,
            timeout_seconds=0.25,
            method="HEAD",
            skips_verification=True,
        ),
        Tcp(f"{HOST}:1", LONG_SECONDS, timeout_seconds=1.5),
        Grpc(f"{HOST}:1/web", LONG_SECONDS, uses_tls=True, skips_verification=True),
        Ttl(LONG_SECONDS),
        Alias(bench.service(":other").id),
    ]
    checks = [
        evolve(bench.check(probe, f":{number}"), deregister_after_seconds=LONG_SECONDS)
        for number, probe in enumerate(probes)
    ]
    bench.agent.register(bench.service(), checks)
    assert {check.id for check in checks} <= set(bench.agent.checks())


def test_checks_are_replaced(bench: Bench) -> None:
    """Who registers a service again says which checks it has: no others, and those that stay keep their status."""
    stays, goes = bench.check(Ttl(LONG_SECONDS), ":stays", "critical"), bench.check(Ttl(LONG_SECONDS), ":goes")
    bench.agent.register(bench.service(), [stays, goes])
    assert bench.agent.report(stays.id, "passing")
    bench.agent.register(bench.service(), [stays])
    assert bench.status(stays) == "passing"
    assert bench.status(goes) == ""


def test_a_check_on_its_own(bench: Bench) -> None:
    """A check can be added to a service that is there, or to the node, and removed; removing may be repeated."""
    bench.agent.register(bench.service())
    ours, nodes = bench.check(Ttl(LONG_SECONDS)), bench.check(Ttl(LONG_SECONDS), ":node")
    assert bench.agent.register_check(ours, bench.service().id)
    assert bench.agent.register_check(nodes)
    states = bench.agent.checks()
    assert (states[ours.id].service_id, states[nodes.id].service_id) == (bench.service().id, "")
    for _ in range(2):
        bench.agent.deregister_check(ours.id)
        bench.agent.deregister_check(nodes.id)
        assert not {ours.id, nodes.id} & set(bench.agent.checks())


def test_what_there_is_not(bench: Bench) -> None:
    """Where there is no such service or check one is told so, and nothing is made."""
    nowhere = bench.service().id
    assert not bench.agent.register_check(bench.check(Ttl(LONG_SECONDS)), nowhere)
    assert not bench.agent.report(bench.check(Ttl(LONG_SECONDS)).id, "passing")
    assert not bench.agent.set_maintenance(nowhere, "why")
    assert not bench.agent.end_maintenance(nowhere)
    assert nowhere not in bench.agent.services()
    assert bench.check(Ttl(LONG_SECONDS)).id not in bench.agent.checks()


def test_only_a_time_to_live_is_reported_on(bench: Bench) -> None:
    """A check that the agent makes itself cannot be told how it is."""
    check = bench.check(Tcp(f"{HOST}:1", LONG_SECONDS))
    bench.agent.register(bench.service(), [check])
    assert not bench.agent.report(check.id, "passing")


def test_a_time_to_live_runs_out(bench: Bench) -> None:
    """A check that nobody reports on in time is critical, and passing again at the next word."""
    check = bench.check(Ttl(0.5))
    bench.agent.register(bench.service(), [check])
    assert bench.agent.report(check.id, "passing", "here")
    bench.let_pass(1)
    bench.see(check, "critical")
    assert bench.agent.checks()[check.id].output.startswith("TTL expired")
    assert bench.agent.report(check.id, "passing", "again")
    assert bench.agent.checks()[check.id].output == "again"


def test_an_alias_follows(bench: Bench) -> None:
    """An alias is as bad as the worst check of the service that it names, and critical until that is there."""
    host, alias = bench.service(":host"), bench.check(Alias(bench.service(":host").id), ":alias")
    first, second = bench.check(Ttl(LONG_SECONDS), ":1"), bench.check(Ttl(LONG_SECONDS), ":2")
    bench.agent.register(bench.service(), [alias])
    bench.see(alias, "critical")
    bench.agent.register(host, [first, second])
    bench.see(alias, "passing")
    reports: tuple[Status, ...] = ("warning", "critical", "passing")
    for reported in reports:
        assert bench.agent.report(second.id, reported)
        bench.see(alias, reported)


def test_an_alias_follows_its_node(bench: Bench) -> None:
    """A check of the node that is critical is the end of every alias on it."""
    alias, node = bench.check(Alias(bench.service(":host").id), ":alias"), bench.check(Ttl(LONG_SECONDS), ":node")
    assert bench.agent.register_check(evolve(node, initial="critical"))
    bench.agent.register(bench.service(":host"))
    bench.agent.register(bench.service(), [alias])
    bench.see(alias, "critical")
    bench.agent.deregister_check(node.id)


def test_maintenance(bench: Bench) -> None:
    """Maintenance is a critical check of its own with its reason, until it ends or the service is registered anew."""
    check = bench.check(Ttl(LONG_SECONDS))
    bench.agent.register(bench.service(), [check])
    assert bench.agent.set_maintenance(bench.service().id, "new disk")

    def maintenance() -> list[CheckState]:
        states = bench.agent.checks().values()
        return [one for one in states if one.service_id == bench.service().id and one.id != check.id]

    (state,) = maintenance()
    assert (state.status, state.notes) == ("critical", "new disk")
    assert bench.status(check) == "passing"
    assert bench.agent.end_maintenance(bench.service().id)
    assert maintenance() == []
    assert bench.agent.set_maintenance(bench.service().id, "new disk")
    bench.agent.register(bench.service(), [check])
    assert maintenance() == []


def test_a_twin_that_is_away() -> None:
    """The twin can be away too, and is as it was when it comes back; it can also forget everything."""
    agent = MemoryAgent()
    service = Service(id="a", name="a")
    agent.register(service)
    agent.fail()
    with pytest.raises(Unavailable):
        agent.services()
    agent.recover()
    assert agent.services() == {"a": service}
    agent.lose()
    assert agent.services() == {}


@pytest.mark.consul
def test_the_agent_makes_its_checks(consul_server: ConsulServer, namespace: str) -> None:
    """A real agent connects to what a TCP check names, and says how that went."""
    consul = connect_to(parse_consul_address(f"consul://{consul_server.address}"))
    up = Check(id=f"{namespace}:up", name="up", probe=Tcp(consul_server.address, 0.2), initial="critical")
    down = Check(id=f"{namespace}:down", name="down", probe=Tcp(f"{HOST}:{free_port()}", 0.2), initial="passing")
    consul.agent.register(Service(id=namespace, name=namespace), [up, down])
    wait_until(lambda: consul.agent.checks()[up.id].status == "passing", "a connection that succeeds")
    wait_until(lambda: consul.agent.checks()[down.id].status == "critical", "a connection that fails")
    consul.close()
