"""What instances come to as services of a Consul agent."""

import pytest
from attrs import evolve

from mooring.consul.agent import Alias, Check, Http, Ttl
from mooring.model import Address, Instance, State
from mooring_register.consul.services import Registration, Site, consul_name, liveness, register_all, register_one

HERE = Site("E1")
WEB = Instance(
    service="hello/v1",
    id="h1:web.1:80",
    address=Address("10.0.0.1", 32768),
    port=80,
    tags=("rest", "blue"),
    attributes={"region": "eu"},
    zone="z1",
    weight=50,
    host="h1",
    container="ab12",
    name="/web.1",
    image="whoami:1",
    started="2026-01-01T00:00:00Z",
    http={"path": "/hello/v1", "strip": True},
    checks={"http": "/health"},
)


def registered(instance: Instance) -> Registration:
    """Return the registration of an instance of which nothing is left out."""
    registration = register_one(instance, HERE)
    assert registration.problems == ()
    return registration


def maintenance(instance: Instance) -> list[Check]:
    """Return the checks that put an instance in maintenance."""
    return [check for check in registered(instance).checks if check.id.startswith("_service_maintenance:")]


def test_whole() -> None:
    """Everything that is known of an instance is in Consul, each where its readers look for it."""
    service = registered(WEB).service
    assert (service.id, service.name, service.address, service.port) == ("h1:web.1:80", "hello-v1", "10.0.0.1", 32768)
    assert (service.tags, service.passing_weight) == (("rest", "blue"), 50)
    assert len(service.meta["mooring-checks"]) == 12
    assert {key: value for key, value in service.meta.items() if key != "mooring-checks"} == {
        "mooring-host": "h1",
        "mooring-engine": "E1",
        "mooring-service": "hello/v1",
        "mooring-state": "up",
        "mooring-proto": "tcp",
        "mooring-weight": "50",
        "mooring-zone": "z1",
        "mooring-port": "80",
        "mooring-http": '{"path":"/hello/v1","strip":true}',
        "mooring-container": "ab12",
        "mooring-name": "/web.1",
        "mooring-image": "whoami:1",
        "mooring-started": "2026-01-01T00:00:00Z",
        "region": "eu",
    }


def test_checks() -> None:
    """An instance follows its register's life, and is checked as it asked."""
    alive, own = registered(WEB).checks
    assert alive.probe == Alias("mooring-register:h1")
    assert alive.deregister_after_seconds == 3600
    assert own.probe == Http("http://10.0.0.1:32768/health", 10)


def test_liveness() -> None:
    """The register itself is a service with one check, which is passing from the beginning."""
    one = liveness("h1", "E1", 15)
    registration = one.registration
    assert (registration.service.id, registration.service.name) == ("mooring-register:h1", "mooring-register")
    assert [(check.id, check.probe, check.initial) for check in registration.checks] == [
        (one.check_id, Ttl(15), "passing")
    ]
    assert registration.service != liveness("h1", "E1", 20).registration.service


def test_liveness_of_the_node() -> None:
    """At an agent of its own the check is the node's, and no service needs an alias of it."""
    one = liveness("h1", "E1", 15, is_alone=True)
    assert one.node_check is not None
    assert (one.node_check.id, one.node_check.probe, one.registration.checks) == (one.check_id, Ttl(15), ())
    assert [type(check.probe) for check in register_one(WEB, Site("E1", is_alone=True)).checks] == [Http]


@pytest.mark.parametrize(
    ("instance", "reason"),
    [
        (evolve(WEB, state=State.STARTING), "mooring: starting"),
        (evolve(WEB, state=State.DRAINING), "mooring: draining"),
        (evolve(WEB, weight=0), "mooring: weight 0"),
    ],
)
def test_maintenance(instance: Instance, reason: str) -> None:
    """What must not be given new connections is in maintenance from its registration on, and says why."""
    assert maintenance(WEB) == []
    assert [(check.notes, check.initial) for check in maintenance(instance)] == [(reason, "critical")]
    assert registered(evolve(instance, checks={"ttl": "5s"})).service != registered(WEB).service


def test_state_is_told() -> None:
    """A reader who knows Mooring finds the state, not only that there is something."""
    assert registered(evolve(WEB, state=State.DRAINING)).service.meta["mooring-state"] == "draining"


@pytest.mark.parametrize(("weight", "passing"), [(0, 1), (1, 1), (65535, 65535), (999999, 65535)])
def test_weight(weight: int, passing: int) -> None:
    """Consul's own weight is within what Consul takes; the true one stands in the meta."""
    service = registered(evolve(WEB, weight=weight)).service
    assert (service.passing_weight, service.meta["mooring-weight"]) == (passing, str(weight))


@pytest.mark.parametrize(
    ("service", "name"),
    [("web", "web"), ("hello/v1", "hello-v1"), ("my.app", "my-app"), ("a_b", "a_b"), ("grün", "gr-n")],
)
def test_name(service: str, name: str) -> None:
    """A name in Consul can be asked for by DNS and by consul-template."""
    assert consul_name(service) == name


@pytest.mark.parametrize(
    ("attributes", "left_out", "reason"),
    [
        ({"traefik.enable": "true"}, "attribute 'traefik.enable'", "such a name is none in Consul's meta"),
        ({"k" * 129: "v"}, "attribute 'kkk", "such a name is none in Consul's meta"),
        ({"long": "ü" * 300}, "attribute 'long'", "over 512 bytes"),
        ({"mooring-host": "h2"}, "attribute 'mooring-host'", "has a meaning of its own"),
        ({"consul-x": "1"}, "attribute 'consul-x'", "has a meaning of its own"),
    ],
)
def test_meta_limits(attributes: dict[str, str], left_out: str, reason: str) -> None:
    """What Consul's meta does not take is left out and reported; the rest of the instance is registered."""
    registration = register_one(evolve(WEB, attributes={**attributes, "region": "eu"}), HERE)
    assert [left_out in str(problem) and reason in str(problem) for problem in registration.problems] == [True]
    assert registration.service.meta["region"] == "eu"
    assert registration.service.meta["mooring-host"] == "h1"


def test_too_many_attributes() -> None:
    """Of more than Consul's meta holds, ours come first, then as many as there is room for."""
    registration = register_one(evolve(WEB, attributes={f"a{n:02}": "1" for n in range(60)}), HERE)
    assert len(registration.service.meta) == 64
    assert registration.service.meta["mooring-host"] == "h1"
    assert len(registration.problems) == 60 - (64 - 14)


def test_bad_check() -> None:
    """A check that cannot be meant is reported; the instance is registered without it."""
    registration = register_one(evolve(WEB, checks={"script": '"'}), HERE)
    assert ["SERVICE_CHECK_SCRIPT" in str(problem) for problem in registration.problems] == [True]
    assert [type(check.probe) for check in registration.checks] == [Alias]
    # The same all the same: what an agent refused once it is not asked again at once.
    assert registration == register_one(registration.instance or WEB, HERE)


def test_taken() -> None:
    """Two instances with one id, or two services with one name in Consul: the lower has it, the other is reported."""
    same_id = evolve(WEB, service="web", id="h1:web.1:80", checks={})
    same_name = evolve(WEB, service="hello-v1", id="b", checks={})
    found = register_all({one.key: one for one in (same_id, same_name, WEB)}, HERE)
    assert {one: reg.service.meta["mooring-service"] for one, reg in found.wanted.items()} == {
        "b": "hello-v1",
        "h1:web.1:80": "web",
    }
    assert [problem.reason for problem in found.problems] == [
        "instance 'h1:web.1:80' of service 'hello/v1' is left out: name 'hello-v1' is taken by service 'hello-v1'"
    ]


def test_down() -> None:
    """What is down is no service, whatever else is to be told of it."""
    assert register_all({WEB.key: evolve(WEB, state=State.DOWN)}, HERE).wanted == {}


def test_made_before() -> None:
    """What did not change is not worked out again; what is left out of it is told again."""
    bad = evolve(WEB, id="bad", checks={"script": '"'})
    first = register_all({one.key: one for one in (WEB, bad)}, HERE)
    changed = evolve(WEB, weight=1)
    second = register_all({one.key: one for one in (changed, bad)}, HERE, first.wanted)
    assert second.wanted["bad"] is first.wanted["bad"]
    assert second.problems == first.problems != ()
    assert second.wanted[WEB.id] == register_one(changed, HERE)


def test_nothing_unknown() -> None:
    """What a document has beyond our words is not told to an agent."""
    assert "SECRET" not in repr(registered(evolve(WEB, extra={"env": "SECRET"})).service)
