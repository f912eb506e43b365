"""Which address a host has, asked of real kernels: each test has network namespaces of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.machines import Namespaces, run

pytestmark = pytest.mark.machines

ASK = "from mooring_register.addresses.host_network import {0}; print({0}({1}))"


def interface(name: str) -> str:
    """Return the script that makes an interface without an address, with a cable that leads to nobody."""
    return f"ip link add {name} type veth peer name far-{name}; ip link set far-{name} up; ip link set {name} up"


ETH0 = f"{interface('eth0')}; ip address add 192.0.2.5/24 dev eth0"
ETH1 = f"{interface('eth1')}; ip address add 203.0.113.5/24 dev eth1"


@contextmanager
def network(script: str) -> Iterator[list[str]]:
    """Have a network that a shell script makes, and give what runs a command in it."""
    namespaces = Namespaces(["--net"], script)
    try:
        yield ["nsenter", f"--net=/proc/{namespaces.pid}/ns/net"]
    finally:
        namespaces.close()


def default_source(script: str) -> str:
    """Return what register takes for its address in the network that a script makes."""
    with network(script) as within:
        return run(*within, sys.executable, "-c", ASK.format("default_source", "")).strip()


@pytest.mark.parametrize(
    "more",
    [
        "",
        f"{ETH1}; ip route add 198.51.100.0/24 via 203.0.113.1",
        "ip route add blackhole 198.51.100.0/24",
        f"{ETH1}; ip route add default via 203.0.113.1 metric 200",
        f"{ETH1}; ip route add 0.0.0.0/1 via 203.0.113.1; ip route add 128.0.0.0/1 via 203.0.113.1",
        f"{ETH1}; ip route add 192.0.2.0/25 via 203.0.113.1; ip address add 203.0.113.6/24 dev eth0",
        "ip address add 192.0.2.4/24 dev eth0; ip address add 192.0.2.9/32 dev eth0",
    ],
    ids=["one", "specific", "blackhole", "second", "halves", "gateway elsewhere", "further addresses"],
)
def test_the_default_route_tells(more: str) -> None:
    """The address is that of the default route with the lowest metric, whatever else there is."""
    assert default_source(f"{ETH0}; ip route add default via 192.0.2.1 metric 100; {more}") == "192.0.2.5"


def test_the_network_of_the_gateway() -> None:
    """Of several addresses of the interface it is the one in the gateway's network."""
    script = f"{ETH0}; ip address add 203.0.113.5/24 dev eth0; ip route add default via 203.0.113.1"
    assert default_source(script) == "203.0.113.5"


def test_without_a_gateway() -> None:
    """A default route may lead to an interface alone."""
    assert default_source(f"{ETH0}; {ETH1}; ip route add default dev eth1") == "203.0.113.5"


def test_ipv6_alone() -> None:
    """A host without a way out over IPv4 has its IPv6 address, never the link's own."""
    script = (
        f"{interface('eth0')}; ip -6 address add 2001:db8::5/64 dev eth0 nodad;"
        "ip -6 route add default via fe80::1 dev eth0"
    )
    assert default_source(script) == "2001:db8::5"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("true", "there is no default route to tell it by"),
        (f"{interface('eth0')}; ip route add default dev eth0", "has no address"),
    ],
    ids=["no route", "no address"],
)
def test_nothing_to_tell_by(script: str, reason: str) -> None:
    """Without a default route, or an address where it leads, --ip is asked for."""
    with network(script) as within:
        command = [*within, sys.executable, "-c", ASK.format("default_source", "")]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert "SettingsError: --ip: needed: " in outcome.stderr
    assert reason in outcome.stderr


def test_an_interface_with_ipv6_alone() -> None:
    """An interface that has no IPv4 address has its IPv6 address."""
    script = f"{interface('eth0')}; ip -6 address add 2001:db8::5/64 dev eth0 nodad"
    with network(script) as within:
        assert run(*within, sys.executable, "-c", ASK.format("interface_address", "'eth0'")).strip() == "2001:db8::5"
