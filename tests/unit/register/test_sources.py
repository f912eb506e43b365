"""Under which name and address a host registers."""

from pathlib import Path

import pytest
from attrs import evolve

from mooring.errors import SettingsError
from mooring.model import Address
from mooring_register.addresses.host_network import host_name
from mooring_register.engine.address import DockerAddress, parse_docker_address
from mooring_register.engine.seam import Identity
from mooring_register.settings import Settings
from mooring_register.sources import engine_id, policy_of

SETTINGS = Settings(
    registries=(),
    docker=DockerAddress(),
    static=None,
    host="",
    ip="",
    interface="",
    internal=False,
    explicit=False,
    ttl_seconds=15,
    resync_seconds=60.0,
    admin=Address("127.0.0.1", 1934),
    admin_file=None,
    withdraw_on_exit=False,
)
ELSEWHERE = Identity("E1", f"not-{host_name()}", 0.0)
HERE = Identity("E1", host_name(), 0.0)


def test_the_engine_names_the_host() -> None:
    """The host is called as its engine says, never as the container that register runs in, unless it is told."""
    given = evolve(SETTINGS, ip="10.0.0.1")
    assert policy_of(given, ELSEWHERE).host == ELSEWHERE.host
    assert policy_of(evolve(given, host="mine"), ELSEWHERE).host == "mine"


def test_the_address_is_needed() -> None:
    """Where the host's address cannot be told, the start fails and says what helps."""
    with pytest.raises(SettingsError, match=r"--ip: needed: this is .* or --internal, or run register with the host's"):
        policy_of(SETTINGS, ELSEWHERE)


@pytest.mark.parametrize("docker", ["tcp://10.0.0.1:2375", "ssh://engine"])
def test_the_address_of_another_host(docker: str) -> None:
    """The address of a host that an engine elsewhere runs on is not this one's, although both have the same name."""
    settings = evolve(SETTINGS, docker=parse_docker_address(docker))
    with pytest.raises(SettingsError, match=r"--ip: needed: nobody here knows the address of the host that .* is on"):
        policy_of(settings, HERE)
    assert policy_of(evolve(settings, ip="10.0.0.1"), HERE).ip == "10.0.0.1"
    assert policy_of(evolve(settings, internal=True), HERE).ip == ""


def test_the_address_is_not_needed() -> None:
    """Containers' own addresses, and static instances, need no address of the host."""
    assert policy_of(evolve(SETTINGS, internal=True), ELSEWHERE).ip == ""
    assert policy_of(evolve(SETTINGS, internal=True, interface="lo"), ELSEWHERE).ip == "127.0.0.1"
    assert policy_of(evolve(SETTINGS, static=Path("f.yaml")), ELSEWHERE).ip == ""


def test_addresses_of_containers() -> None:
    """The networks that are preferred and the label that gives an address are those that were asked for."""
    policy = policy_of(evolve(SETTINGS, internal=True, networks=("a", "b"), ip_label="ip"), ELSEWHERE)
    assert (policy.networks, policy.ip_label) == (("a", "b"), "ip")


def test_the_address_of_an_interface() -> None:
    """The address of a network interface can be taken by its name."""
    assert policy_of(evolve(SETTINGS, interface="lo"), HERE).ip == "127.0.0.1"
    with pytest.raises(SettingsError, match="--interface: 'nosuch0'"):
        policy_of(evolve(SETTINGS, interface="nosuch0"), HERE)


def test_engine_id() -> None:
    """A Docker engine has an id of its own; a static source is the same one after a restart."""
    assert engine_id(HERE, "h") == "E1"
    assert engine_id(Identity("", "x", 0.0), "h") == "static:h"
