"""How the address of a Consul agent is read."""

import pytest

from mooring.consul.address import ConsulAddress, parse_consul_address
from mooring.errors import SettingsError
from mooring.model import Address


@pytest.mark.parametrize(
    ("text", "endpoint", "shown"),
    [
        ("consul://", Address("127.0.0.1", 8500), "consul://127.0.0.1:8500"),
        ("consul:///", Address("127.0.0.1", 8500), "consul://127.0.0.1:8500"),
        ("consul://consul.example", Address("consul.example", 8500), "consul://consul.example:8500"),
        ("consul://10.0.0.1:18500/", Address("10.0.0.1", 18500), "consul://10.0.0.1:18500"),
        ("consul://[2001:db8::1]", Address("2001:db8::1", 8500), "consul://[2001:db8::1]:8500"),
        ("consul://[::1]:8501?dc=eu", Address("::1", 8501), "consul://[::1]:8501"),
    ],
)
def test_where_it_is(text: str, endpoint: Address, shown: str) -> None:
    """Host and port, what is left out is registrator's default; shown without options."""
    address = parse_consul_address(text)
    assert address.endpoint == endpoint
    assert str(address) == shown


def test_all_options() -> None:
    """Each option has its place, and an authority means TLS."""
    text = "consul://h?token-file=/t&ca=/ca.pem&cert=/c.pem&key=/k.pem&dc=eu"
    assert parse_consul_address(text) == ConsulAddress(
        endpoint=Address("h", 8500),
        uses_tls=True,
        ca="/ca.pem",
        cert="/c.pem",
        key="/k.pem",
        token_file="/t",  # noqa: S106 -- a name
        datacentre="eu",
    )


@pytest.mark.parametrize(("query", "uses_tls"), [("", False), ("?tls=false", False), ("?tls=true", True)])
def test_tls_by_authorities_that_everybody_knows(query: str, uses_tls: bool) -> None:
    """TLS without an authority of one's own is asked for in so many words."""
    assert parse_consul_address(f"consul://h{query}").uses_tls is uses_tls


def test_a_unix_socket() -> None:
    """Behind a Unix socket there is a path instead of a host."""
    address = parse_consul_address("consul-unix:///run/consul.sock?dc=eu&token-file=/t")
    assert (address.endpoint, address.socket, address.datacentre) == (None, "/run/consul.sock", "eu")
    assert str(address) == "consul-unix:///run/consul.sock"


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("consul-tls://h", ["expected consul://"]),
        ("h:8500", ["expected consul://"]),
        ("consul://h:port", ["HOST:PORT"]),
        ("consul://h:70000", ["port"]),
        ("consul://h:1,i:2", ["HOST:PORT"]),
        ("consul://h/prefix", ["a path means nothing"]),
        ("consul://h?colour=red", ["'colour' is unknown; there are token-file, dc, alive, ca, cert, key, tls"]),
        ("consul://h?dc=", ["'dc' has no value"]),
        ("consul://h?dc=a&dc=b", ["'dc' is given twice"]),
        ("consul://h?tls=maybe", ["true or false"]),
        ("consul://h?alive=yes", ["service or node"]),
        ("consul://h?ca=/c&tls=false", ["'tls' says no"]),
        ("consul://h?cert=/c", ["'cert' needs 'key'", "'cert' needs 'ca' or 'tls=true'"]),
        ("consul://h?ca=/c&key=/k", ["'key' needs 'cert'"]),
        ("consul-unix://run/consul.sock", ["from the root"]),
        ("consul-unix:///s?ca=/c&tls=true", ["'ca' means nothing behind", "'tls' means nothing behind"]),
    ],
)
def test_everything_that_is_wrong_is_told(text: str, reasons: list[str]) -> None:
    """An address that cannot be meant is refused with all that is wrong with it."""
    with pytest.raises(SettingsError) as told:
        parse_consul_address(text)
    for reason in reasons:
        assert reason in str(told.value)


@pytest.mark.parametrize(
    "text",
    [
        "consul://user:hunter2@h:8500",
        "consul://hunter2@h/path?dc=",
        "consul://h?token=hunter2",
        "consul://h?tls=hunter2",
        "http://user:hunter2@h",
        "consul-tls://h?token=hunter2",
    ],
)
def test_no_secret_is_repeated(text: str) -> None:
    """Whatever is wrong, what may be a secret is not in the message."""
    with pytest.raises(SettingsError) as told:
        parse_consul_address(text)
    assert "hunter2" not in str(told.value)
