"""Planning and routing: what leads where, what is never listened on, and what is shared with the table before."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.catalog import Catalog, catalog_of, fold
from mooring.facts import InstanceAdded, InstanceRemoved
from mooring.model import Address, Instance, State
from mooring.selector import parse_selector
from mooring_proxy.planning import route
from mooring_proxy.routing import (
    Backend,
    BackendKey,
    Difference,
    Refused,
    RoutingTable,
    Rules,
    StaticListener,
    difference,
    first_table,
)

WEB = Instance(service="web", id="one", address=Address("10.0.0.1", 32768), port=8080)
RULES = Rules(address="0.0.0.0", is_local={"10.0.0.9"}.__contains__)
LISTENER = Address("0.0.0.0", 8080)


def table(*instances: Instance, ports: Mapping[str, str] | None = None, rules: Rules = RULES) -> RoutingTable:
    """Return the table of a catalog of these instances."""
    claims = {"8080/tcp": "web"} if ports is None else ports
    return route(rules, catalog_of(instances), claims, RoutingTable())


def ids(table: RoutingTable, listener: Address = LISTENER) -> list[str]:
    """Return the ids behind a listener."""
    return [backend.key.id for backend in table.routes[listener].backends]


def listening(host: str, port: int, selector: str) -> StaticListener:
    """Return a static listener."""
    return StaticListener(Address(host, port), parse_selector(selector))


def test_each_service_is_published_on_the_port_it_holds() -> None:
    """The port leads to all instances of the service that holds it, sorted."""
    two = evolve(WEB, id="two", address=Address("10.0.0.2", 80))
    made = table(two, WEB, evolve(WEB, service="api"))
    assert ids(made) == ["one", "two"]
    assert made.complete


def test_nothing_is_published_when_told_so() -> None:
    """With `--publish none` only static listeners are left."""
    made = table(WEB, rules=evolve(RULES, publish=False, static=(listening("0.0.0.0", 80, "web"),)))
    assert list(made.routes) == [Address("0.0.0.0", 80)]
    assert made.refused == ()


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("80/tcp", "outside --publish-ports 1024-65535"),
        ("8080/udp", "udp is not relayed"),
        ("0/tcp", "not a port"),
    ],
)
def test_what_may_not_be_published_is_named(claim: str, reason: str) -> None:
    """The reason is told, and the others are served."""
    made = table(WEB, ports={claim: "api", "8080/tcp": "web"})
    assert made.refused == (Refused("api", claim, reason),)
    assert ids(made) == ["one"]


def test_a_static_listener_keeps_its_port() -> None:
    """`--listen` wins over a claim for the same port, and the loser is named."""
    made = table(WEB, ports={"8080/tcp": "api"}, rules=evolve(RULES, static=(listening("0.0.0.0", 8080, "web"),)))
    assert ids(made) == ["one"]
    assert Refused("api", "8080/tcp", "held by --listen") in made.refused


def test_of_two_services_that_want_one_port_the_loser_is_named() -> None:
    """The claims decide who wins; who asks for the same port in vain is told who holds it."""
    made = table(WEB, evolve(WEB, service="api"))
    assert made.refused == (Refused("api", "8080/tcp", "held by web"),)


def test_a_port_stays_while_its_claim_stands() -> None:
    """A service that is rolled through zero instances keeps its listener, without a backend."""
    assert ids(table()) == []


def test_loopback_is_published_on_loopback_only() -> None:
    """What only this host reaches is not shown to others, but a proxy on loopback may have it."""
    local = evolve(WEB, id="local", address=Address("127.0.0.1", 3000))
    assert ids(table(WEB, local)) == ["one"]
    assert table(local).routes == {}
    assert [one.service for one in table(local).refused] == ["web"]
    on_loopback = table(WEB, local, rules=evolve(RULES, address="127.0.0.2"))
    assert ids(on_loopback, Address("127.0.0.2", 8080)) == ["local", "one"]


def test_a_static_listener_may_have_loopback() -> None:
    """Whoever says `--listen` knows what he wants."""
    local = evolve(WEB, address=Address("127.0.0.1", 3000))
    made = table(local, ports={}, rules=evolve(RULES, static=(listening("0.0.0.0", 80, "web"),)))
    assert ids(made, Address("0.0.0.0", 80)) == ["one"]


def test_no_proxy_routes_to_a_proxy() -> None:
    """Neither automatically nor by a static listener."""
    rules = evolve(RULES, static=(listening("0.0.0.0", 80, "web"),))
    made = table(evolve(WEB, kind="proxy"), rules=rules)
    assert [route.backends for route in made.routes.values()] == [(), ()]


@pytest.mark.parametrize(
    ("listener", "host", "is_us"),
    [
        ("0.0.0.0", "10.0.0.9", True),
        ("0.0.0.0", "10.0.0.1", False),
        ("::", "10.0.0.9", True),
        ("10.0.0.9", "10.0.0.9", True),
        ("127.0.0.2", "127.0.0.1", False),
    ],
)
def test_no_proxy_routes_to_itself(listener: str, host: str, is_us: bool) -> None:
    """An instance at an address of this machine, on a port of ours, is this proxy."""
    made = table(evolve(WEB, address=Address(host, 8080)), rules=evolve(RULES, address=listener))
    assert ids(made, Address(listener, 8080)) == ([] if is_us else ["one"])


def test_a_listener_that_opens_or_closes_is_looked_for_among_the_backends() -> None:
    """An instance at an address of this machine is a backend until we listen on its port, and again afterwards."""
    catalog = catalog_of([evolve(WEB, address=Address("10.0.0.9", 8081))])
    made, served = RoutingTable(), []
    for ports in ({"8080/tcp": "web"}, {"8080/tcp": "web", "8081/tcp": "api"}, {"8080/tcp": "web"}):
        made = route(RULES, catalog, ports, made)
        served.append(ids(made))
    assert served == [["one"], [], ["one"]]


def test_only_tcp_is_relayed() -> None:
    """A datagram service behind a TCP listener would only waste attempts."""
    assert ids(table(WEB, evolve(WEB, id="udp", address=Address("10.0.0.1", 53, "udp")))) == ["one"]


def test_a_selector_chooses_among_all_services() -> None:
    """Paths, patterns and tags narrow what a static listener leads to."""
    rules = evolve(RULES, publish=False, static=(listening("0.0.0.0", 80, "/services/web[eu]"),))
    here = evolve(WEB, path="/services/web/one", tags=("eu",))
    there = evolve(WEB, id="two", path="/services/web/two")
    assert ids(table(here, there, rules=rules), Address("0.0.0.0", 80)) == ["one"]


@pytest.mark.parametrize(
    ("state", "weight", "preference"),
    [
        (State.UP, 100, 0),
        (State.STARTING, 100, 1),
        (State.SUSPECT, 100, 2),
        (State.DRAINING, 100, None),
        (State.DOWN, 100, None),
        (State.UP, 0, None),
    ],
)
def test_the_order_of_preference(state: State, weight: int, preference: int | None) -> None:
    """Up before starting before suspect; draining, down and weight 0 get no new connection."""
    assert Backend(BackendKey("web", "one"), WEB.address, state, weight).preference == preference


def test_the_first_table_listens_where_it_was_told_to() -> None:
    """Static listeners are there before anything is known; the table says that it is not complete."""
    made = first_table(evolve(RULES, static=(listening("0.0.0.0", 80, "web"),)))
    assert list(made.routes) == [Address("0.0.0.0", 80)]
    assert not made.complete


def test_the_difference_is_what_a_driver_has_to_do() -> None:
    """Listeners opened, updated and closed; what did not change is not mentioned."""
    before = table(WEB, ports={"8080/tcp": "web", "8081/tcp": "api", "8083/tcp": "same"})
    after = table(evolve(WEB, weight=1), ports={"8080/tcp": "web", "8082/tcp": "api", "8083/tcp": "same"})
    assert difference(before, after) == Difference(
        opened=(after.routes[Address("0.0.0.0", 8082)],),
        changed=(after.routes[LISTENER],),
        closed=(Address("0.0.0.0", 8081),),
    )


def test_routes_of_unchanged_services_are_shared() -> None:
    """A batch about one service makes one new route."""
    catalog = catalog_of([WEB, evolve(WEB, service="api")])
    ports = {"8080/tcp": "web", "8081/tcp": "api"}
    before = route(RULES, catalog, ports, RoutingTable())
    after = route(RULES, fold(catalog, [InstanceAdded(evolve(WEB, id="two"))]), ports, before)
    api = Address("0.0.0.0", 8081)
    assert after.routes[api] is before.routes[api]
    assert ids(after) == ["one", "two"]


NUMBERS = st.integers(8000, 8002)
SERVICES = st.sampled_from(["web", "api"])
INSTANCES = st.builds(
    Instance,
    service=SERVICES,
    id=st.sampled_from("ab"),
    address=st.builds(Address, st.sampled_from(["10.0.0.9", "10.0.0.1", "127.0.0.1"]), NUMBERS),
    port=st.none() | NUMBERS,
)
PORT_TABLES = st.dictionaries(NUMBERS.map(lambda number: f"{number}/tcp"), SERVICES)


@given(st.lists(st.tuples(st.booleans(), INSTANCES, st.none() | PORT_TABLES), max_size=10))
def test_a_table_made_step_by_step_is_the_one_made_at_once(
    steps: list[tuple[bool, Instance, dict[str, str] | None]],
) -> None:
    """Sharing saves time and changes nothing, own listeners that come and go included."""
    rules = Rules(static=(listening("0.0.0.0", 8000, "w*"), listening("::", 80, "api")), is_local="10.0.0.9".__eq__)
    catalog, ports, made = Catalog(), dict[str, str](), RoutingTable()
    for is_there, instance, other_ports in steps:
        catalog = fold(catalog, [InstanceAdded(instance) if is_there else InstanceRemoved(instance)])
        ports = ports if other_ports is None else other_ports
        made = route(rules, catalog, ports, made)
        assert made == route(rules, catalog, ports, RoutingTable())
