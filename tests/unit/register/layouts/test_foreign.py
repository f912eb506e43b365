"""What the readers of earlier systems find: byte for byte, and never what would break them."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.model import Address, Instance, State, parse_address
from mooring_register.layouts.layout import Layout
from mooring_register.layouts.named import NATIVE, layout_of
from tests.layouts import HELLO, PREFIXES, WEB, WEB_SIX, WEB_UDP, golden
from tests.strategies import instances


def foreign(name: str) -> Layout:
    """Return a layout below the prefix that its readers look at."""
    return layout_of(name, PREFIXES[name])


def written(layout: Layout, *those: Instance) -> dict[str, str]:
    """Return keys and values of these instances."""
    arranged = layout.arrange({one.key: one for one in those}).instances
    return {key: layout.encode(key, one, 100.0).decode() for key, one in arranged.items()}


def problems(layout: Layout, *those: Instance) -> list[str]:
    """Return what has no place."""
    return [str(problem) for problem in layout.arrange({one.key: one for one in those}).problems]


@pytest.mark.parametrize("name", PREFIXES, ids=["registrator-R-K", "embassy-E-E1", "backends-D-1", "skydns-R-K"])
def test_byte_for_byte(name: str) -> None:
    """Keys and values are exactly those of the golden file, which follow the documented formats."""
    lines = [f"{key} {value}\n" for key, value in sorted(written(foreign(name), WEB, WEB_SIX, WEB_UDP, HELLO).items())]
    assert "".join(lines) == golden(name)


def test_docker_register_s_own_example() -> None:
    """[D-1] The example of docker-register's author comes out as he shows it."""
    whoami = evolve(WEB, service="whoami", address=Address("10.170.71.226", 49154), port=8000)
    expected = {"/backends/whoami/e20f9c1a7656": "10.170.71.226:49154", "/backends/whoami/port": "8000"}
    assert written(foreign("backends"), whoami) == expected


@pytest.mark.parametrize("name", PREFIXES)
@pytest.mark.parametrize(
    "change",
    [{"state": State.STARTING}, {"state": State.DRAINING}, {"weight": 0}, {"kind": "proxy"}],
    ids=["starting", "draining", "weight 0", "a proxy"],
)
def test_takes_no_new_connections(name: str, change: dict[str, Any]) -> None:
    """What must not be given new connections is not there, since values have no room to say so."""
    assert written(foreign(name), evolve(WEB, **change)) == {}
    assert problems(foreign(name), evolve(WEB, **change)) == []


@pytest.mark.parametrize("name", ["embassy", "backends"])
def test_tcp_only(name: str) -> None:
    """Readers that would take a UDP port for TCP are not shown it, and it is told why."""
    assert written(foreign(name), WEB_UDP) == {}
    (problem,) = problems(foreign(name), WEB_UDP)
    assert "web.1: instance 'h1:web.1:53:udp' of service 'web' is left out: this layout knows TCP only" in problem


def test_two_instances_for_one_key() -> None:
    """Where two ports of a container would have one key, the lower id has it, and the other is reported."""
    assert written(foreign("backends"), WEB_SIX, WEB)["/backends/web/e20f9c1a7656"] == "10.0.0.5:32769"
    (problem,) = problems(foreign("backends"), WEB_SIX, WEB)
    assert "'h1:web.1:80:6'" in problem
    assert "/backends/web/e20f9c1a7656 is taken by 'h1:web.1:80'" in problem


def test_two_services_for_one_name() -> None:
    """Two services that would become one for docker-discover stay apart: the second is reported."""
    slashed, dashed = evolve(WEB, service="a/b"), evolve(WEB, service="a-b", container="f" * 64)
    assert set(written(foreign("backends"), slashed, dashed)) == {"/backends/a-b/port", "/backends/a-b/ffffffffffff"}
    assert "is taken by service 'a-b'" in problems(foreign("backends"), slashed, dashed)[0]


def test_names_that_haproxy_does_not_take() -> None:
    """A service that would break docker-discover's whole configuration is left out; its id is made to fit."""
    assert "HAProxy does not take such a name" in problems(foreign("backends"), evolve(WEB, service="größe"))[0]
    static = evolve(WEB, container="", id="port")
    assert "/backends/web/port-" in written(foreign("backends"), static)


def test_the_oldest_says_the_port() -> None:
    """The port of a service is asked for by the instance that was there first."""
    later = evolve(WEB, id="a", container="a" * 64, publish=9999, started="2026-01-03T00:00:00Z")
    assert written(foreign("backends"), later, WEB)["/backends/web/port"] == "80"


def test_without_a_container_s_port() -> None:
    """[D-10] [E-E2] An address alone is enough: port keys and port fields are never missing."""
    bare = Instance(service="web", id="h:web:9", address=Address("10.0.0.5", 9))
    assert written(foreign("backends"), bare) == {"/backends/web/h:web:9": "10.0.0.5:9", "/backends/web/port": "9"}
    assert '"port":"9"' in written(foreign("embassy"), bare)["/services/web/9/9/h:web:9"]


legal = st.lists(instances(), max_size=6).map(lambda those: {one.key: one for one in those})


def seen_by_docker_discover(root: str, keys: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Read as docker-discover does: two levels, `port` apart."""
    services: dict[str, dict[str, str]] = {}
    for key, value in keys.items():
        service, leaf = key.removeprefix(root + "/").split("/")
        services.setdefault(service, {})[leaf] = value
    return services


@given(legal)
def test_any_instance_suits_docker_discover(wanted: Mapping[tuple[str, str], Instance]) -> None:
    """[D-10] [D-11] Each service has a port and an address per server, in words that HAProxy's configuration takes."""
    for service, leaves in seen_by_docker_discover("/backends", written(foreign("backends"), *wanted.values())).items():
        assert re.fullmatch(r"[A-Za-z0-9._-]+", service)
        assert 0 < int(leaves.pop("port")) < 65536
        assert leaves
        for leaf, value in leaves.items():
            assert re.fullmatch(r"[A-Za-z0-9._:-]+", leaf)
            parse_address(value)


@given(legal)
def test_any_instance_suits_registrator_s_readers(wanted: Mapping[tuple[str, str], Instance]) -> None:
    """[R-K] Below the prefix each key has at least a service and an id, and its value is an address."""
    for key, value in written(foreign("registrator"), *wanted.values()).items():
        assert len(key.removeprefix("/services/").split("/")) >= 2
        parse_address(value)


@given(legal)
def test_any_instance_suits_embassy(wanted: Mapping[tuple[str, str], Instance]) -> None:
    """[E-E1] [E-E7] Each leaf is a document whose fields are strings, with what embassy cannot do without."""
    for key, value in written(foreign("embassy"), *wanted.values()).items():
        document = json.loads(value)
        assert document["ipaddress"]
        assert int(document["port"])
        assert int(document["host_port"])
        assert "env" not in document
        assert all(isinstance(said, str) for name, said in document.items() if name != "tags")
        assert key == f"/services/{document['path']}"


@given(legal)
def test_any_instance_suits_coredns(wanted: Mapping[tuple[str, str], Instance]) -> None:
    """[R-K] Keys lie below the reversed domain, and each value has a host and a port that is a number."""
    for key, value in written(foreign("skydns"), *wanted.values()).items():
        assert key.startswith("/skydns/local/cluster/")
        assert set(json.loads(value)) == {"host", "port"}
        assert isinstance(json.loads(value)["port"], int)


def test_mooring_s_own_is_whole() -> None:
    """What is written in Mooring's own layout can be read back, with the time of writing."""
    native = layout_of(NATIVE, "/services")
    ((key, value),) = written(native, HELLO).items()
    assert native.decode(key, value.encode()) == evolve(HELLO, seen_registry=100.0)
