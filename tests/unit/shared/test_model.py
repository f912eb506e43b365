"""Addresses as people write them, and what makes two instances the same."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.model import Address, Instance, State, check_host, parse_address, parse_port
from tests.strategies import MOMENTS, TEXTS, addresses, instances, plain_instances


@given(addresses())
def test_address_reads_as_it_is_written(address: Address) -> None:
    """Whatever `str` writes of an address, `parse_address` reads, an IPv6 literal included."""
    assert parse_address(str(address), address.proto) == address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.0.5:80", "10.0.0.5", 80),
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
        ("web_1.example.:080", "web_1.example.", 80),
    ],
)
def test_address_is_read(text: str, host: str, port: int) -> None:
    """A name, an IPv4 address and an IPv6 address in brackets are understood."""
    assert parse_address(text) == Address(host, port, "tcp")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web",
        ":80",
        "web:",
        "web:0",
        "web:65536",
        "web:8o",
        "web:+80",
        "web:\u0668\u0660",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[1.2.3.4]:80",
        "[::::]:80",
        "[fe80::1%]:80",
        "http://web:80",
        "a b:80",
        "a,b:80",
        "web\n:80",
        "web:80\n",
        "a..b:80",
    ],
)
def test_address_that_is_none_is_refused(text: str) -> None:
    """Anything else is an error that shows what was given, or the part that is wrong."""
    with pytest.raises(ValueError, match=r"expected .*, got"):
        parse_address(text)


@given(TEXTS)
def test_host_never_holds_a_separator(text: str) -> None:
    """Whatever passes for a host can be written into a line of configuration without breaking it."""
    try:
        host = check_host(text)
    except ValueError:
        return
    assert host == text
    assert not set(host) & set(" \t\r\n\0/\\\"'`$;,#{}[]()<>|&@?=")


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("10.0.0.5", False), ("web", False)],
)
def test_loopback_is_known(host: str, is_loopback: bool) -> None:
    """Only an address that no other host can reach is loopback; a name is taken at its word."""
    assert Address(host, 80).is_loopback is is_loopback


@pytest.mark.parametrize("text", ["1", "80", "65535", "00080"])
def test_port_is_read(text: str) -> None:
    """A number of a port is plain digits."""
    assert parse_port(text) == int(text)


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "8_0", " 80", "1e3", "9" * 5000])
def test_port_that_is_none_is_refused(text: str) -> None:
    """Everything that is no number within the range is refused, even what `int` would take or choke on."""
    with pytest.raises(ValueError, match="expected a port"):
        parse_port(text)


@given(plain_instances(), TEXTS, st.none() | MOMENTS, st.none() | MOMENTS)
def test_sighting_does_not_change_an_instance(
    instance: Instance, cause: str, docker: float | None, registry: float | None
) -> None:
    """Cause and times of the sighting aside, an instance is the same as itself."""
    seen_again = attrs.evolve(instance, cause=cause, seen_docker=docker, seen_registry=registry)
    assert instance.same_as(seen_again)
    assert seen_again.same_as(instance)


@given(instances(), instances())
def test_everything_else_changes_an_instance(first: Instance, second: Instance) -> None:
    """Taking over any other field from another instance makes it a different one, unless the field was equal."""
    sightings = {"cause", "seen_docker", "seen_registry"}
    for field in attrs.fields(Instance):
        value = getattr(second, field.name)
        changed = attrs.evolve(first, **{field.name: value})
        assert first.same_as(changed) is (field.name in sightings or getattr(first, field.name) == value)


def test_instance_is_up_unless_it_says_otherwise() -> None:
    """Only service, id and address are required; the defaults are those of an ordinary container."""
    instance = Instance(service="web", id="h:web:80", address=Address("10.0.0.5", 80))
    assert (instance.state, instance.weight, instance.key) == (State.UP, 100, ("web", "h:web:80"))
