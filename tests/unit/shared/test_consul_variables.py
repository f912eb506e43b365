"""What the variables of Consul's own tools add to the address of an agent."""

import pytest
from attrs import evolve

from mooring.consul.address import ConsulAddress
from mooring.consul.connection import Credentials
from mooring.consul.variables import complete_consul_address
from mooring.errors import SettingsError
from mooring.model import Address

HERE = ConsulAddress(Address("127.0.0.1", 8500))
FILE, MINE, TOKEN = "f", "mine", "t"
TLS = {"CONSUL_CACERT": "ca.pem", "CONSUL_CLIENT_CERT": "cert.pem", "CONSUL_CLIENT_KEY": "key.pem"}
WITH_TLS = evolve(HERE, uses_tls=True, ca="ca.pem", cert="cert.pem", key="key.pem")


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("consul://", {}, HERE),
        ("consul://", {"CONSUL_HTTP_ADDR": "10.0.0.9:8501"}, ConsulAddress(Address("10.0.0.9", 8501))),
        ("consul://", {"CONSUL_HTTP_ADDR": "http://c.example"}, ConsulAddress(Address("c.example", 8500))),
        ("consul://", {"CONSUL_HTTP_ADDR": "https://[::1]:1"}, ConsulAddress(Address("::1", 1), uses_tls=True)),
        ("consul://", {"CONSUL_HTTP_ADDR": "unix:///run/c"}, ConsulAddress(None, socket="/run/c")),
        ("consul://?dc=a", {"CONSUL_HTTP_ADDR": "c:1"}, ConsulAddress(Address("c", 1), datacentre="a")),
        ("consul://127.0.0.1", {"CONSUL_HTTP_ADDR": "c:1"}, HERE),
        ("consul://", {"CONSUL_HTTP_SSL": "true", **TLS}, WITH_TLS),
        ("consul://", {"CONSUL_HTTP_SSL": "1"}, evolve(HERE, uses_tls=True)),
        ("consul://", {"CONSUL_HTTP_SSL": "false", **TLS}, HERE),
        ("consul://", TLS, HERE),
        ("consul://?tls=false", {"CONSUL_HTTP_SSL": "true", **TLS}, HERE),
        ("consul://?tls=true", TLS, WITH_TLS),
        ("consul-tls://127.0.0.1:8500", TLS, WITH_TLS),
        ("consul-tls://127.0.0.1:8500", {}, evolve(HERE, uses_tls=True)),
        ("consul://?ca=mine", TLS, evolve(WITH_TLS, ca="mine")),
        ("consul://?ca=ca.pem&cert=c&key=k", TLS, evolve(WITH_TLS, cert="c", key="k")),
        ("consul://", {"CONSUL_HTTP_TOKEN_FILE": "f", "CONSUL_HTTP_TOKEN": "t"}, evolve(HERE, token_file=FILE)),
        ("consul://?token-file=mine", {"CONSUL_HTTP_TOKEN_FILE": "f"}, evolve(HERE, token_file=MINE)),
        ("consul://?token-file=mine", {"CONSUL_HTTP_TOKEN": "t"}, evolve(HERE, token_file=MINE)),
        ("consul://", {"CONSUL_HTTP_TOKEN": "t"}, evolve(HERE, token=TOKEN)),
        ("consul-unix:///run/c", {"CONSUL_HTTP_TOKEN": "t"}, ConsulAddress(None, socket="/run/c", token=TOKEN)),
        ("consul://", {"CONSUL_HTTP_ADDR": "", "CONSUL_HTTP_TOKEN": "", "CONSUL_HTTP_SSL": ""}, HERE),
    ],
)
def test_what_is_left_open_is_filled_in(text: str, environment: dict[str, str], expected: ConsulAddress) -> None:
    """An address wins over each variable, and a variable over what would be without it."""
    assert complete_consul_address(text, environment) == expected


def test_the_variables_that_were_used_are_named() -> None:
    """Whoever looks for where a setting comes from is told the names, of those that had something to say only."""
    environment = {"CONSUL_HTTP_ADDR": "c:1", "CONSUL_HTTP_SSL": "true", "CONSUL_HTTP_TOKEN": "s3cret", **TLS}
    used = complete_consul_address("consul://", environment).variables
    assert set(used) == environment.keys()
    assert complete_consul_address("consul://c?ca=x", {**environment, "CONSUL_HTTP_TOKEN": ""}).variables == (
        "CONSUL_CLIENT_CERT",
        "CONSUL_CLIENT_KEY",
    )


def test_a_token_is_shown_nowhere() -> None:
    """A token that a variable gives is in no text that an address becomes, and is what the agent is asked with."""
    address = complete_consul_address("consul://", {"CONSUL_HTTP_TOKEN": "s3cret"})
    assert "s3cret" not in f"{address} {address!r} {Credentials(given_token=address.token)!r}"
    assert Credentials(given_token=address.token).token() == "s3cret"


@pytest.mark.parametrize(
    ("text", "environment", "problem"),
    [
        (
            "consul://",
            {"CONSUL_HTTP_ADDR": "u:p@c:1"},
            "consul://c:1 (CONSUL_HTTP_ADDR): user and password mean nothing",
        ),
        ("consul://", {"CONSUL_HTTP_ADDR": "c:x"}, "consul://c:x (CONSUL_HTTP_ADDR): "),
        ("consul://?tls=true", {"CONSUL_CLIENT_CERT": "c"}, "(CONSUL_CLIENT_CERT): option 'cert' needs 'key'"),
        ("consul://c:x", {}, "consul://c:x: "),
        ("consul-tls://c/path", {}, "consul://c/path: a path means nothing here"),
    ],
)
def test_what_is_wrong(text: str, environment: dict[str, str], problem: str) -> None:
    """A wrong variable is named together with what is wrong, without secrets."""
    with pytest.raises(SettingsError) as caught:
        complete_consul_address(text, environment)
    assert problem in str(caught.value)
    assert "u:p" not in str(caught.value)
