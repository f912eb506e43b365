"""The settings of the proxy: how their texts are read."""

from __future__ import annotations

import pytest

from mooring.model import Address
from mooring.selector import Selector
from mooring_proxy.routing import StaticListener
from mooring_proxy.settings import (
    Listen,
    parse_host,
    parse_listen,
    parse_ports,
    parse_seconds,
    twice_listened,
)


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("80=web", Listen("", 80, Selector("web"))),
        ("127.0.0.1:80=hello/v1", Listen("127.0.0.1", 80, Selector("hello/v1"))),
        ("[::1]:80=db[master,eu]", Listen("::1", 80, Selector("db", ("master", "eu")))),
        ("80=/services/*/db", Listen("", 80, Selector("/services/*/db"))),
    ],
)
def test_listen(text: str, listen: Listen) -> None:
    """`[ADDRESS:]PORT=SERVICE[tag,tag]`."""
    assert parse_listen(text) == listen


@pytest.mark.parametrize("text", ["80", "=web", "web=80", "0=web", "host:80=web", "80=", "80=web[", "80:81=web"])
def test_what_is_no_listener(text: str) -> None:
    """Each is refused with what was expected."""
    with pytest.raises(ValueError, match="expected"):
        parse_listen(text)


def test_a_listener_without_a_host_takes_the_proxys() -> None:
    """Its own host wins."""
    assert Listen("", 80, Selector("a")).on("10.0.0.1") == StaticListener(Address("10.0.0.1", 80), Selector("a"))
    assert Listen("::1", 80, Selector("a")).on("10.0.0.1").address == Address("::1", 80)


def test_ports() -> None:
    """Both ends are included; one port is a range of one."""
    assert parse_ports("1024-65535") == range(1024, 65536)
    assert parse_ports("80") == range(80, 81)


@pytest.mark.parametrize("text", ["", "9-1", "0-5", "1-65536", "a-b"])
def test_what_is_no_range_of_ports(text: str) -> None:
    """Each is refused with what was expected."""
    with pytest.raises(ValueError, match="expected"):
        parse_ports(text)


@pytest.mark.parametrize(("text", "host"), [("0.0.0.0", "0.0.0.0"), ("::1", "::1"), ("[::1]", "::1")])
def test_a_host_to_listen_on(text: str, host: str) -> None:
    """An address, with or without brackets."""
    assert parse_host(text) == host


@pytest.mark.parametrize("text", ["localhost", "", "1.2.3", "[1::"])
def test_what_is_no_host_to_listen_on(text: str) -> None:
    """A name may mean several addresses, or another one tomorrow."""
    with pytest.raises(ValueError, match="expected an IP address"):
        parse_host(text)


def test_seconds() -> None:
    """Whole or not."""
    assert (parse_seconds("0"), parse_seconds("2.5")) == (0.0, 2.5)


@pytest.mark.parametrize("text", ["-1", "inf", "nan", "soon", ""])
def test_what_is_no_duration(text: str) -> None:
    """Each is refused with what was expected."""
    with pytest.raises(ValueError, match="expected seconds"):
        parse_seconds(text)


def test_one_port_asked_for_twice_is_named() -> None:
    """The two selectors stand in the message; other addresses are other listeners."""
    listen = [parse_listen(text) for text in ("80=a", "127.0.0.1:80=b", "80=c")]
    assert list(twice_listened(listen, "0.0.0.0")) == ["--listen: 0.0.0.0:80 is asked for twice, for a and for c"]
