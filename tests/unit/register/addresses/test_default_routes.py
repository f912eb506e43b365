"""Reading the kernel's tables of routes and addresses."""

import sys

import pytest

from mooring_register.addresses.default_routes import DefaultRoute, ipv4_default, ipv6_address, ipv6_default

NOWHERE = "0" * 32


def ipv4_route(interface: str, to: str, via: str, *, metric: int = 0, flags: int = 3, mask: str = "00000000") -> str:
    """Return a line of /proc/net/route; the addresses are four bytes in hex, in the order in which they are sent."""
    order = (lambda text: bytes.fromhex(text)[::-1].hex()) if sys.byteorder == "little" else str
    return f"{interface}\t{order(to)}\t{order(via)}\t{flags:04X}\t0\t0\t{metric}\t{mask}\t0\t0\t0  "


def ipv6_route(interface: str, *, length: str = "00", metric: int = 1024, flags: int = 3) -> str:
    """Return a line of /proc/net/ipv6_route."""
    gateway = "fe800000000000000000000000000001"
    return f"{NOWHERE} {length} {NOWHERE} 00 {gateway} {metric:08x} 00000001 00000000 {flags:08x}     {interface}"


HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT  "
LAN = ipv4_route("eth0", "00000000", "c0000201", metric=100)
SUBNET = ipv4_route("eth0", "c0000200", "00000000", flags=1, mask="00FFFFFF")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([HEAD], None),
        ([HEAD, SUBNET], None),
        ([HEAD, LAN, SUBNET], DefaultRoute(100, "eth0", "192.0.2.1")),
        ([HEAD, LAN, ipv4_route("wlan0", "00000000", "0a000001", metric=600)], DefaultRoute(100, "eth0", "192.0.2.1")),
        ([HEAD, LAN, ipv4_route("tun0", "00000000", "00000000", metric=50, flags=1)], DefaultRoute(50, "tun0", "")),
        ([HEAD, LAN, ipv4_route("aaa0", "00000000", "0a000001", metric=100)], DefaultRoute(100, "aaa0", "10.0.0.1")),
        ([HEAD, LAN, ipv4_route("*", "00000000", "00000000", flags=0x201)], DefaultRoute(100, "eth0", "192.0.2.1")),
        ([HEAD, ipv4_route("tun0", "00000000", "00000000", mask="00000080")], None),
        (["nonsense", ""], None),
    ],
    ids=["none", "only others", "one", "lowest metric", "no gateway", "first by name", "rejects", "half", "nonsense"],
)
def test_ipv4_default(lines: list[str], expected: DefaultRoute | None) -> None:
    """The default route with the lowest metric counts, then the first by name, whatever their order."""
    assert ipv4_default(lines) == expected
    assert ipv4_default(lines[::-1]) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([ipv6_route("lo", metric=0xFFFFFFFF, flags=0x200200)], None),
        ([ipv6_route("lo", metric=1, flags=0x201), ipv6_route("eth0")], DefaultRoute(1024, "eth0")),
        ([ipv6_route("eth1", metric=512), ipv6_route("eth0")], DefaultRoute(512, "eth1")),
        ([ipv6_route("eth1"), ipv6_route("eth0")], DefaultRoute(1024, "eth0")),
        ([ipv6_route("eth0", length="40")], None),
        (["nonsense"], None),
    ],
    ids=["not up", "rejects", "lowest metric", "first by name", "not everywhere", "nonsense"],
)
def test_ipv6_default(lines: list[str], expected: DefaultRoute | None) -> None:
    """With IPv6 the same rules hold; what every machine rejects on its loopback is no route."""
    assert ipv6_default(lines) == expected


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], ""),
        ([("fe800000000000000000000000000005", "20", "80")], ""),
        ([("20010db8000000000000000000000009", "00", "80"), ("20010db8000000000000000000000005", "00", "80")], "5"),
        ([("fd000000000000000000000000000001", "00", "80"), ("20010db8000000000000000000000005", "00", "80")], "5"),
        ([("20010db8000000000000000000000001", "00", "01"), ("20010db8000000000000000000000005", "00", "00")], "5"),
        ([("20010db8000000000000000000000001", "00", "a0"), ("20010db8000000000000000000000005", "00", "80")], "5"),
        ([("20010db8000000000000000000000001", "00", "c8")], ""),
    ],
    ids=["none", "link-local", "lowest", "unique local", "temporary", "deprecated", "duplicate"],
)
def test_ipv6_address(entries: list[tuple[str, str, str]], expected: str) -> None:
    """The address for others is a lasting one that the world can reach, always the same of several."""
    table = [f"{address} 02 40 {scope} {flags}     eth0" for address, scope, flags in entries]
    table.append("20010db8000000000000000000000000 03 40 00 80     eth1")
    assert ipv6_address(table, "eth0") == (expected and f"2001:db8::{expected}")
