"""What a Consul agent is told, and how its answers are read."""

import pytest

from mooring.consul.agent import (
    AgentIdentity,
    Alias,
    Check,
    CheckState,
    Grpc,
    Http,
    Probe,
    Script,
    Service,
    Tcp,
    Ttl,
)
from mooring.consul.documents import (
    Answer,
    check_document,
    read_checks,
    read_identity,
    read_keys,
    read_services,
    read_session,
    read_truth,
    service_document,
)
from mooring.consul.keys import KeyValue


def test_a_service() -> None:
    """A registration says everything, empty or not: what is left out would be what the agent thinks of."""
    service = Service(id="h1:web.1:80", name="web", tags=("b", "a"), meta={"k": "v"}, port=80)
    assert service_document(service, [Check(id="c", name="host", probe=Alias("mooring-register"))]) == {
        "ID": "h1:web.1:80",
        "Name": "web",
        "Address": "",
        "Port": 80,
        "Tags": ["b", "a"],
        "Meta": {"k": "v"},
        "EnableTagOverride": False,
        "Weights": {"Passing": 1, "Warning": 1},
        "Checks": [
            {"CheckID": "c", "Name": "host", "Notes": "", "Status": "critical", "AliasService": "mooring-register"}
        ],
    }


@pytest.mark.parametrize(
    ("probe", "document"),
    [
        (
            Http("http://h/", 10),
            {"HTTP": "http://h/", "Interval": "10000ms", "Method": "GET", "TLSSkipVerify": False},
        ),
        (
            Http("https://h/", 0.5, 2, "HEAD", skips_verification=True),
            {
                "HTTP": "https://h/",
                "Interval": "500ms",
                "Timeout": "2000ms",
                "Method": "HEAD",
                "TLSSkipVerify": True,
            },
        ),
        (Tcp("[::1]:80", 1.5), {"TCP": "[::1]:80", "Interval": "1500ms"}),
        (Ttl(3_000_000), {"TTL": "3000000000ms"}),
        (Script(("a", "b c"), 5, 1), {"Args": ["a", "b c"], "Interval": "5000ms", "Timeout": "1000ms"}),
        (
            Grpc("h:1/web", 5, uses_tls=True),
            {"GRPC": "h:1/web", "GRPCUseTLS": True, "TLSSkipVerify": False, "Interval": "5000ms"},
        ),
        (Alias("a"), {"AliasService": "a"}),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "",
)
def test_each_kind_of_check(probe: Probe, document: dict[str, object]) -> None:
    """[R-C] Each kind says what it is, with times as Go reads them, and nothing that an earlier Consul would refuse."""
    told = check_document(Check(id="c", name="n", probe=probe), "s")
    assert told == {"ID": "c", "ServiceID": "s", "Name": "n", "Notes": "", "Status": "critical", **document}


def test_all_that_a_check_says() -> None:
    """Notes, the status at first, and when the service goes."""
    check = Check(
        id="c",
        name="n",
        probe=Ttl(1),
        notes="why",
        initial="passing",
        deregister_after_seconds=90,
    )
    assert check_document(check, "") == {
        "ID": "c",
        "ServiceID": "",
        "Name": "n",
        "Notes": "why",
        "Status": "passing",
        "TTL": "1000ms",
        "DeregisterCriticalServiceAfter": "90000ms",
    }


def test_what_an_agent_says() -> None:
    """Who it is, its services and checks, keys and values: unknown fields are passed over, missing ones are empty."""
    config = {"NodeName": "n", "Datacenter": "dc1", "Version": "1.8.7", "Server": True}
    assert read_identity({"Config": config}) == AgentIdentity("n", "dc1", "1.8.7")
    assert read_services({"a": {"ID": "a", "Service": "web", "Tags": None, "Kind": "", "Weights": None}}) == {
        "a": Service(id="a", name="web")
    }
    assert read_checks({"c": {"CheckID": "c", "Status": "passing", "Type": "ttl"}}) == {
        "c": CheckState(id="c", name="", status="passing")
    }
    one = {"Key": "k", "Value": None, "ModifyIndex": 7, "LockIndex": 1}
    assert read_keys(("12", [one, {**one, "Session": "s"}])) == (KeyValue("k", b"", 7), KeyValue("k", b"", 7, "s"))
    assert read_keys(("12", None)) == ()


def test_a_status_that_nobody_knows() -> None:
    """A status of a later version is not relied on."""
    assert read_checks({"c": {"CheckID": "c", "Status": "excellent"}})["c"].status == "critical"


@pytest.mark.parametrize("answer", [None, [], {"a": []}, {"a": {}}, "text", 3, (None, None)])
def test_what_no_consul_says(answer: Answer) -> None:
    """Another server's answer is an error of a kind that the connection catches, and never an empty truth."""
    for read in (read_identity, read_services, read_checks, read_truth):
        with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
            read(answer)


def test_what_is_no_session() -> None:
    """The id of a session is a word, and nothing else passes for one."""
    assert read_session("8c0c9baf") == "8c0c9baf"
    with pytest.raises(TypeError):
        read_session((None, None))
