"""Whose network a container has."""

import pytest
from attrs import evolve

from mooring_register.addresses.network_sharing import NoNetwork, network_owner
from mooring_register.containers import Container


def joining(container_id: str, whose: str, started_at: float = 0.0) -> Container:
    """Return a container that shares the network of another one, or has its own."""
    mode = f"container:{whose}" if whose else "bridge"
    return Container(id=container_id, name=f"/{container_id}-name", network_mode=mode, started_at=started_at)


def owner_of(container_id: str, *running: Container) -> Container | NoNetwork:
    """Return whose network a container has while these run."""
    known = {one.id: one for one in running}
    return network_owner(known[container_id], known)


def test_a_container_has_its_own_network() -> None:
    """A container that shares nothing has its own network."""
    web = joining("web", "")
    assert owner_of("web", web) is web


@pytest.mark.parametrize("whose", ["0123456789abcdef", "0123456789abcdef-name", "01234567"])
def test_the_other_is_found(whose: str) -> None:
    """The other container is found by its id, by its name and by the beginning of its id."""
    web = joining("0123456789abcdef", "")
    assert owner_of("sidecar", web, joining("sidecar", whose)) is web


def test_a_chain_of_two_resolves() -> None:
    """E-C4: a container that shares the network of one that shares that of a third has the network of the third."""
    web = joining("web", "")
    assert owner_of("b", web, joining("a", "web"), joining("b", "a")) is web


@pytest.mark.parametrize(
    ("others", "chain"),
    [
        ([joining("a", "b"), joining("b", "a")], "a-name → b-name → a-name"),
        ([joining("a", "a")], "a-name → a-name"),
        ([joining("a", "b"), joining("b", "c"), joining("c", "b")], "a-name → b-name → c-name → b-name"),
    ],
)
def test_a_loop_is_an_error(others: list[Container], chain: str) -> None:
    """E-C4: a loop is a mistake, told with all who are in it; nobody goes round in it."""
    assert owner_of("a", *others) == NoNetwork(f"it shares a network in a loop: {chain}", is_loop=True)


def test_the_other_does_not_run() -> None:
    """Nothing is reached through a container that does not run, which is no mistake: it may be about to start."""
    found = owner_of("a", joining("a", "0123456789abcdef"))
    assert found == NoNetwork("it shares the network of 0123456789ab, which does not run")


def test_the_other_was_restarted() -> None:
    """Who joined a network before its owner was restarted has none until it is restarted too."""
    web, sidecar = joining("web", "", started_at=100.0), joining("a", "web", started_at=101.0)
    assert owner_of("a", web, sidecar) is web
    found = owner_of("a", evolve(web, started_at=200.0), sidecar)
    assert found == NoNetwork("web-name was started after a-name, which has lost its network by that")
