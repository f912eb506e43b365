"""The ports of services, kept up to date service by service, against the same computed from scratch."""

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.catalog import catalog_of
from mooring.ports import claim_ports
from mooring_discover.port_claims import PortClaims, renew_claims, resume_claims
from tests.unit.discover.making import instance

SERVICES = "abc"


@given(st.lists(st.tuples(st.sampled_from(SERVICES), st.integers(0, 3), st.floats(0, 700)), max_size=20))
def test_renewing_touched_services_is_claiming_from_scratch(steps: list[tuple[str, int, float]]) -> None:
    """Whatever services come, go and want, looking at the touched ones only finds the same table."""
    claims, plain, now, instances = PortClaims(), dict(PortClaims().claims), 0.0, {}
    for service, port, after_seconds in steps:
        now += after_seconds
        instances[service] = evolve(instance(service), port=port) if port else None
        catalog = catalog_of(one for one in instances.values() if one is not None)
        claims = renew_claims(claims, catalog, [service], now)
        plain = claim_ports(plain, catalog, now)
        assert claims.table == {port: claim.service for port, claim in plain.items()}


def test_table_stays_the_same_object_while_nothing_changes() -> None:
    """The writer need not write the table again, and finds that out by looking at nothing but the object."""
    catalog = catalog_of([evolve(instance(), port=80)])
    claims = resume_claims({}, catalog, 1.0)
    assert claims.table == {"80/tcp": "web"}
    assert renew_claims(claims, catalog, ["web"], 2.0) is claims
    empty = renew_claims(claims, catalog_of(), ["web"], 3.0)
    assert renew_claims(empty, catalog_of(), [], 4.0).table is claims.table


def test_claims_resume_from_what_stands_in_redis() -> None:
    """A restart takes no port away from who has it, and lets go of one that nobody used for ten minutes."""
    catalog = catalog_of([evolve(instance("old"), port=80), evolve(instance("web"), port=80)])
    claims = resume_claims({"80/tcp": "web", "90/tcp": "gone"}, catalog, 0.0)
    assert claims.table == {"80/tcp": "web", "90/tcp": "gone"}
    assert renew_claims(claims, catalog, [], 600.0).table == {"80/tcp": "web"}
