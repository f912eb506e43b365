"""What a container's wishes for checks come to in Consul."""

import pytest
from attrs import evolve

from mooring.consul.agent import Check, Grpc, Http, Probe, Script, Tcp, Ttl
from mooring.errors import DescriptorError
from mooring.model import Address, Instance
from mooring_register.consul.checks import check_of, duration_seconds

WEB = Instance(
    service="web",
    id="h1:web.1:80",
    address=Address("127.0.0.1", 8080),
    port=80,
    host="h1",
    container="e20f9c1a76565d62ae24a3bb877b17b862b6eab94f4e95a0e07ccf25087aaf4f",
    name="/web.1",
)
SIX = Address("2a00:1450:4013:c01::5e", 80)


def asked(at: Address = WEB.address, /, **checks: str) -> Check | None:
    """Return what is checked when these words are said."""
    return check_of(evolve(WEB, address=at, checks=checks))


def probe(at: Address = WEB.address, /, **checks: str) -> Probe:
    """Return how it is checked when these words are said."""
    check = asked(at, **checks)
    assert check is not None
    return check.probe


def refused(**checks: str) -> str:
    """Return why these words come to no check."""
    with pytest.raises(DescriptorError) as caught:
        asked(**checks)
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(
            {"http": "/health", "interval": "15s", "timeout": "5s"},
            Http("http://127.0.0.1:8080/health", 15, 5),
            id="R-C http",
        ),
        pytest.param({"http": "/health"}, Http("http://127.0.0.1:8080/health", 10), id="R-C every 10 s"),
        pytest.param({"https": "/health"}, Http("https://127.0.0.1:8080/health", 10), id="R-C https"),
        pytest.param({"http": "health?full=1"}, Http("http://127.0.0.1:8080/health?full=1", 10), id="without slash"),
        pytest.param(
            {"http": "/", "http_method": "post", "https_method": "HEAD"},
            Http("http://127.0.0.1:8080/", 10, method="POST"),
            id="R-F method",
        ),
        pytest.param(
            {"https": "/", "https_method": "HEAD", "tls_skip_verify": "TrUe"},
            Http("https://127.0.0.1:8080/", 10, method="HEAD", skips_verification=True),
            id="R-M skip verification",
        ),
        pytest.param({"tcp": "true", "timeout": "1m30s"}, Tcp("127.0.0.1:8080", 10, 90), id="R-C tcp"),
        pytest.param({"ttl": "30s", "interval": "5s"}, Ttl(30), id="R-C ttl"),
        pytest.param({"grpc": "true"}, Grpc("127.0.0.1:8080", 10), id="R-C grpc"),
        pytest.param(
            {"grpc": "1", "grpc_use_tls": "true", "tls_skip_verify": "1"},
            Grpc("127.0.0.1:8080", 10, uses_tls=True, skips_verification=True),
            id="R-C grpc over TLS",
        ),
        pytest.param(
            {"cmd": "/usr/bin/check.sh --now"},
            Script(("check-cmd", "e20f9c1a7656", "80", "/usr/bin/check.sh --now"), 10),
            id="R-C cmd",
        ),
        pytest.param(
            {"script": "curl -s $SERVICE_IP:$SERVICE_PORT/x"},
            Script(("curl", "-s", "127.0.0.1:8080/x"), 10),
            id="R-C script",
        ),
        pytest.param(
            {"script": '/bin/check.sh "arg with spaces" arg2'},
            Script(("/bin/check.sh", "arg with spaces", "arg2"), 10),
            id="R-F script",
        ),
        pytest.param({"tcp": "no", "grpc": "yes"}, Grpc("127.0.0.1:8080", 10), id="tcp taken back"),
        pytest.param({"tcp": "yes", "interval": "0s"}, Tcp("127.0.0.1:8080", 10), id="never is not an interval"),
    ],
)
def test_check(words: dict[str, str], expected: Probe) -> None:
    """Each kind of check is made as registrator's users know it."""
    assert probe(**words) == expected


def test_precedence() -> None:
    """[R-C] Of several kinds the first in registrator's order is made, and only that one."""
    kinds = {"http": "/", "https": "/", "cmd": "x", "script": "x", "ttl": "9s", "tcp": "1", "grpc": "1"}
    made = [type(probe(**dict(list(kinds.items())[start:]))).__name__ for start in range(len(kinds))]
    assert made == ["Http", "Http", "Script", "Script", "Ttl", "Tcp", "Grpc"]
    both = probe(https="/", cmd="x")
    assert isinstance(both, Http)
    assert both.url.startswith("https:")


@pytest.mark.parametrize("words", [{}, {"interval": "5s"}, {"tcp": "false"}, {"http": ""}])
def test_none(words: dict[str, str]) -> None:
    """Nothing is checked that nobody asked for."""
    assert asked(**words) is None


def test_ipv6() -> None:
    """[R-C] An IPv6 address stands in brackets, in URLs and elsewhere."""
    assert probe(SIX, http="/foo") == Http("http://[2a00:1450:4013:c01::5e]:80/foo", 10)
    assert probe(SIX, tcp="true") == Tcp("[2a00:1450:4013:c01::5e]:80", 10)
    assert probe(Address("192.168.1.1", 80), http="/foo") == Http("http://192.168.1.1:80/foo", 10)


def test_options() -> None:
    """[R-F] How it begins and when it is given up is passed on, under the id that Consul itself would give."""
    check = asked(http="/", initial_status="passing", deregister_after="10m")
    assert check is not None
    assert (check.id, check.initial, check.deregister_after_seconds) == ("service:h1:web.1:80", "passing", 600)


@pytest.mark.parametrize("script", ["  ", '"unclosed', "''unclosed'"])
def test_malformed_script(script: str) -> None:
    """[R-F] A script that is malformed or blank is no check, and says so by the label's name."""
    assert "web.1: SERVICE_CHECK_SCRIPT" in refused(script=script)
    assert "there is no check" in refused(script=script)


def test_impossible() -> None:
    """What cannot be meant is refused by the label's name and the reason."""
    assert "SERVICE_CHECK_HTTP: expected a path, got '/a b'" in refused(http="/a b")
    assert "SERVICE_CHECK_INITIAL_STATUS='good' is none of passing, warning, critical" in refused(
        http="/", initial_status="good"
    )
    assert "SERVICE_CHECK_TTL: expected a duration above 0" in refused(ttl="0s")
    with pytest.raises(DescriptorError, match="it is run in a container, and this is none"):
        check_of(evolve(WEB, container="", checks={"cmd": "x"}))


def test_udp() -> None:
    """Nobody connects by TCP to a port of UDP; what asks in another way is still made."""
    udp = Address("127.0.0.1", 53, "udp")
    assert asked(udp, tcp="true") is None
    assert asked(udp, http="/") is None
    assert probe(udp, ttl="5s") == Ttl(5)


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25)])
def test_duration(text: str, seconds: float) -> None:
    """Durations are read as Go writes them."""
    assert duration_seconds(text) == pytest.approx(seconds)
