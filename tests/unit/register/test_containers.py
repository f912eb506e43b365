"""Reading Docker's inspect."""

from typing import Any

import pytest

from mooring_register.containers import Network, PortMapping, parse_time, read_container


def document(**changes: dict[str, Any]) -> dict[str, Any]:
    """Return a document of Docker's inspect, with some sections replaced."""
    whole: dict[str, Any] = {
        "Id": "abc",
        "Name": "/web.1",
        "Config": {
            "Image": "whoami:1",
            "Labels": {"SERVICE_NAME": "web", "com.docker.compose.project": "x"},
            "Env": ["PASSWORD=hunter2", "SERVICE_TAGS=a=b", "BROKEN"],
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
            "StopSignal": "SIGQUIT",
            "StopTimeout": 3,
        },
        "HostConfig": {"NetworkMode": "default", "PortBindings": {"80/tcp": [{"HostPort": ""}]}},
        "State": {"Running": True, "StartedAt": "2026-11-20T12:59:31.928770258Z", "Health": {"Status": "healthy"}},
        "NetworkSettings": {
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}, {"HostIp": "::", "HostPort": "32768"}]},
            "Networks": {"b": {"IPAddress": "172.18.0.2"}, "a": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"}},
        },
    }
    return whole | changes


def test_everything_is_read() -> None:
    """Every field that register uses is read from where Docker has it, sorted, so that equal containers are equal."""
    container = read_container(document())
    assert (container.id, container.name, container.image) == ("abc", "/web.1", "whoami:1")
    assert (container.health, container.stop_signal, container.stop_timeout_seconds) == ("healthy", "SIGQUIT", 3.0)
    assert container.started_at == pytest.approx(1795179571.928770)
    assert container.networks == (Network("a", "", "fd00::2"), Network("b", "172.18.0.2"))
    assert container.ports == (
        PortMapping(53, "udp"),
        PortMapping(80, "tcp", "0.0.0.0", 32768),
        PortMapping(80, "tcp", "::", 32768),
    )
    assert not container.ports_pending


def test_only_descriptors_are_kept() -> None:
    """No label and no variable but SERVICE_* ever enters the value."""
    container = read_container(document())
    assert container.labels == {"SERVICE_NAME": "web"}
    assert container.environment == {"SERVICE_TAGS": "a=b"}
    assert "hunter2" not in repr(container)


@pytest.mark.parametrize(("said", "seconds"), [(None, 10.0), (0, 0.0), (7200, 7200.0), (-1, 86400.0), (10**9, 86400.0)])
def test_how_long_it_is_given_to_end(said: int | None, seconds: float) -> None:
    """As long as it says; where Docker would wait without end, or for years, it is a day."""
    assert read_container({"Id": "abc", "Config": {"StopTimeout": said}}).stop_timeout_seconds == seconds


def test_little_is_required() -> None:
    """A container without ports, networks, labels and health check can be read."""
    container = read_container({"Id": "abc"})
    assert (container.running, container.ports, container.health, container.stop_signal) == (False, (), "", "SIGTERM")
    assert container.stop_timeout_seconds == 10.0


@pytest.mark.parametrize(
    ("ports", "running", "mode", "pending"),
    [
        ({}, True, "default", True),
        ({"80/tcp": None}, True, "default", True),
        ({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "1"}]}, True, "default", False),
        ({}, False, "default", False),
        ({}, True, "host", False),
        ({}, True, "none", False),
    ],
)
def test_ports_pending(ports: dict[str, Any], running: bool, mode: str, pending: bool) -> None:
    """A running container's port is pending while Docker promised a binding and shows none."""
    one = document(
        State={"Running": running},
        NetworkSettings={"Ports": ports},
        HostConfig={"NetworkMode": mode, "PortBindings": {"80/tcp": [{"HostPort": ""}]}},
    )
    assert read_container(one).ports_pending is pending


def test_publish_all_is_pending_too() -> None:
    """With `docker run -P` every exposed port is promised."""
    one = document(NetworkSettings={"Ports": {}}, HostConfig={"NetworkMode": "default", "PublishAllPorts": True})
    assert read_container(one).ports_pending


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0.0),
        ("0001-01-01T00:00:00Z", 0.0),
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T01:00:01.123456789+01:00", 1.123456789),
    ],
)
def test_parse_time(text: str, seconds: float) -> None:
    """Docker's times have up to nine decimals, any zone, and a zero of their own."""
    assert parse_time(text) == pytest.approx(seconds)


def test_an_exited_container() -> None:
    """How a container ended is read with it."""
    container = read_container(document(State={"Running": False, "ExitCode": 137, "OOMKilled": True}))
    assert (container.running, container.exit_code, container.out_of_memory) == (False, 137, True)


def test_whatever_an_image_exposes() -> None:
    """Docker checks neither what an image exposes nor its ranges: they are spread out, and nonsense is set apart."""
    exposed = ("8000-8002/tcp", "9", "70000/tcp", "x/tcp", "0/udp", "3-1/tcp", "65534-65537/udp", "7/TCP", "")
    one = read_container(document(Config={"ExposedPorts": {text: {} for text in exposed}}, NetworkSettings={}))
    assert [(mapping.port, mapping.proto) for mapping in one.ports] == [
        (9, "tcp"),
        (8000, "tcp"),
        (8001, "tcp"),
        (8002, "tcp"),
        (65534, "udp"),
        (65535, "udp"),
    ]
    assert one.unreadable_ports == ("", "0/udp", "3-1/tcp", "7/TCP", "70000/tcp", "x/tcp")


def test_a_promise_is_not_kept_by_ourselves() -> None:
    """R-M: what a port shall be bound to is not where it is: until Docker says that, it is pending."""
    bindings = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    one = read_container(
        document(HostConfig={"NetworkMode": "default", "PortBindings": bindings}, NetworkSettings={"Ports": {}})
    )
    assert PortMapping(80, "tcp") in one.ports
    assert one.ports_pending
