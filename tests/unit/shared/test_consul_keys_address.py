"""Addresses of Consul's keys: what they say, and what is wrong with them."""

import pytest

from mooring.consul.address import ConsulAddress
from mooring.consul.keys_address import ConsulKeysAddress, parse_consul_keys_address
from mooring.errors import SettingsError
from mooring.model import Address

HOST = ConsulAddress(Address("h", 8500))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("consulkv://h", ConsulKeysAddress(HOST)),
        ("consulkv://h/", ConsulKeysAddress(HOST)),
        ("consulkv://h:8500/a/b/", ConsulKeysAddress(HOST, "/a/b")),
        ("consulkv://h/a%20b", ConsulKeysAddress(HOST, "/a b")),
        ("consulkv://h/a?layout=native", ConsulKeysAddress(HOST, "/a", "native")),
        (
            "consulkv://h/a?dc=eu&layout=native&token-file=/t&tls=true",
            ConsulKeysAddress(
                ConsulAddress(Address("h", 8500), uses_tls=True, token_file="/t", datacentre="eu"),  # noqa: S106 -- a file
                "/a",
                "native",
            ),
        ),
        ("consulkv-unix:///run/c:/a", ConsulKeysAddress(ConsulAddress(None, socket="/run/c"), "/a")),
        ("consulkv-unix:///run/c", ConsulKeysAddress(ConsulAddress(None, socket="/run/c"))),
    ],
)
def test_address(text: str, expected: ConsulKeysAddress) -> None:
    """An address says which Consul, below which prefix, and in which form."""
    assert parse_consul_keys_address(text, {}) == expected


def test_variables() -> None:
    """What is left open is filled in as for services."""
    address = parse_consul_keys_address("consulkv:///a", {"CONSUL_HTTP_ADDR": "h:8501", "CONSUL_HTTP_TOKEN": "t"})
    assert (address.consul.endpoint, address.consul.token) == (Address("h", 8501), "t")
    assert address.variables == ("CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN")


@pytest.mark.parametrize("text", ["consulkv://h:8500/a", "consulkv-unix:///run/c:/a"])
def test_shown(text: str) -> None:
    """An address is shown as it is written, without its options."""
    assert str(parse_consul_keys_address(f"{text}?token-file=/secret", {})) == text


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("consulkv://h/a//b", ["empty segment"]),
        ("consulkv://h/a/../b", ["dots"]),
        ("consulkv://h/a?layout=&colour=x", ["option 'layout' has no value", "option 'colour' is unknown"]),
        ("consulkv://h/a?layout=a&layout=b", ["option 'layout' is given twice"]),
        ("consulkv://h/a?alive=node", ["option 'alive' speaks of services"]),
        ("consulkv://h:x/a//b", ["consulkv://h:x: ", "empty segment"]),
        ("consulkv://u:secret@h/a", ["user and password mean nothing"]),
        ("consulkv-unix://run/c", ["expected the path of a socket"]),
    ],
)
def test_wrong(text: str, problems: list[str]) -> None:
    """All that is wrong with an address is said at once, and nothing secret."""
    with pytest.raises(SettingsError) as caught:
        parse_consul_keys_address(text, {})
    for problem in problems:
        assert problem in str(caught.value)
    assert "secret" not in str(caught.value)
