"""Who has which port: the oldest wish first, kept for a while, never taken over."""

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.catalog import Catalog, catalog_of
from mooring.model import PROXY_KIND, Address, Instance
from mooring.ports import KEPT_SECONDS, Claim, claim_ports, wanted_port
from tests.strategies import PORTS, SERVICES

NOW = 1_763_634_000.0
EARLY, LATE = "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"


def instance(service: str, port: int | None = 80, started: str = EARLY, number: int = 1) -> Instance:
    """Return an instance that wants a port."""
    address = Address("10.0.0.5", 32768 + number)
    return Instance(service=service, id=f"h:{service}.{number}:80", address=address, port=port, started=started)


def test_oldest_instance_says_which_port() -> None:
    """Its `publish` counts before its `port`; the protocol is that of its address."""
    old, young = instance("web", 80, EARLY, 1), instance("web", 81, LATE, 2)
    assert wanted_port([young, old]) == ("80/tcp", EARLY)
    assert wanted_port([young, evolve(old, publish=8080)]) == ("8080/tcp", EARLY)
    assert wanted_port([evolve(old, address=Address("10.0.0.5", 53, "udp"))]) == ("80/udp", EARLY)


def test_who_does_not_say_when_it_started_is_the_youngest() -> None:
    """An instance of unknown age never decides over one of known age; of equal ones the lower id does."""
    assert wanted_port([instance("web", 81, "", 1), instance("web", 80, LATE, 2)]) == ("80/tcp", LATE)
    assert wanted_port([instance("web", 82, "", 2), instance("web", 81, "", 1)]) == ("81/tcp", "")


def test_proxies_and_portless_want_nothing() -> None:
    """No proxy routes to a proxy, and where no port is known none is wanted."""
    assert wanted_port([]) is None
    assert wanted_port([instance("web", None)]) is None
    assert wanted_port([evolve(instance("web"), kind=PROXY_KIND)]) is None


def test_of_two_the_service_that_was_there_first_has_the_port() -> None:
    """Then the lower name; the other has none until the port is free."""
    catalog = catalog_of([instance("b", started=EARLY), instance("a", started=LATE)])
    assert claim_ports({}, catalog, NOW) == {"80/tcp": Claim("b")}
    tied = catalog_of([instance("b"), instance("a")])
    assert claim_ports({}, tied, NOW) == {"80/tcp": Claim("a")}
    ageless = catalog_of([instance("a", started=""), instance("b", started=LATE)])
    assert claim_ports({}, ageless, NOW) == {"80/tcp": Claim("b")}


def test_claim_that_stands_is_not_taken_over() -> None:
    """Not even by an older service, which might have come back from an outage."""
    claims = claim_ports({}, catalog_of([instance("young", started=LATE)]), NOW)
    both = catalog_of([instance("young", started=LATE), instance("old", started=EARLY)])
    assert claim_ports(claims, both, NOW) == {"80/tcp": Claim("young")}


def test_claim_outlives_the_last_instance_for_a_while() -> None:
    """A service rolled through zero instances finds its port again; after ten minutes another may have it."""
    other = catalog_of([instance("other")])
    claims = claim_ports({"80/tcp": Claim("web")}, other, NOW)
    assert claims == {"80/tcp": Claim("web", NOW)}
    claims = claim_ports(claims, other, NOW + KEPT_SECONDS - 1)
    assert claims == {"80/tcp": Claim("web", NOW)}
    back = catalog_of([instance("other"), instance("web")])
    assert claim_ports(claims, back, NOW + KEPT_SECONDS - 1) == {"80/tcp": Claim("web")}
    assert claim_ports(claims, other, NOW + KEPT_SECONDS) == {"80/tcp": Claim("other")}


def test_service_that_wants_another_port_gives_up_its_own() -> None:
    """The port is free in the same step, for whoever waits for it."""
    claims = {"80/tcp": Claim("web")}
    catalog = catalog_of([instance("web", 8080), instance("other")])
    assert claim_ports(claims, catalog, NOW) == {"80/tcp": Claim("other"), "8080/tcp": Claim("web")}


def _catalogs() -> st.SearchStrategy[Catalog]:
    ports = st.one_of(st.sampled_from([80, 81]), PORTS)
    wishes = st.builds(instance, SERVICES, ports, st.sampled_from(["", EARLY, LATE]), st.integers(1, 2))
    return st.lists(wishes, max_size=6).map(catalog_of)


@given(st.lists(st.tuples(_catalogs(), st.floats(0, 1000)), max_size=5))
def test_claims_are_settled_and_fair(steps: list[tuple[Catalog, float]]) -> None:
    """Asking again changes nothing; no living service holds a port that it does not want; no wanted port is free."""
    claims: dict[str, Claim] = {}
    now = NOW
    for catalog, seconds in steps:
        now += seconds
        before, claims = claims, claim_ports(claims, catalog, now)
        assert claim_ports(claims, catalog, now) == claims
        for service, instances in catalog.services.items():
            wish = wanted_port(instances.values())
            held = [port for port, claim in claims.items() if claim.service == service]
            assert wish is not None
            assert held in ([], [wish[0]])
            assert wish[0] in claims
        for port, claim in before.items():
            if port in claims and claims[port].service != claim.service:
                assert claim.service in catalog.services or now - (claim.empty_since or NOW) >= KEPT_SECONDS
