"""What operators say to a real register: templates about a real container, and the variables of other systems."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import Container

from mooring.documents import decode_instance
from mooring.etcd.address import parse_etcd_address
from mooring.etcd.client import connect_to
from tests.parts import Part
from tests.servers import EtcdServer
from tests.waiting import wait_until

pytestmark = pytest.mark.docker

PLANTED = "correct-horse-battery-staple"
SOCKET = "unix:///var/run/docker.sock"


@pytest.fixture
def old_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """Run an etcd of the test's own that speaks v2, for what is written below a fixed directory."""
    with EtcdServer(tmp_path_factory.mktemp("etcd"), "--enable-v2") as server:
        yield server


@pytest.fixture
def container(namespace: str, whoami_image: str) -> Iterator[Container]:
    """Run a container whose environment has a secret, with one published port."""
    client = docker.from_env()
    one: Container = client.containers.run(
        whoami_image,
        name=f"{namespace}-web",
        hostname="myhost",
        labels={"com.example.team": "shop"},
        environment={"PASSWORD": PLANTED, "SERVICE_REGION": "eu", "SERVICE_80_TAGS": "own"},
        ports={"80/tcp": None},
        detach=True,
    )
    yield one
    with contextlib.suppress(APIError):
        one.remove(force=True)
    client.close()


def test_templates_about_a_real_container(
    etcd_server: EtcdServer, tmp_path: Path, namespace: str, container: Container
) -> None:
    """R-T, R-F: templates arrive in etcd, one that asks for a secret comes to a problem, and no secret is told."""
    registry = f"etcd://127.0.0.1:{etcd_server.port}/{namespace}"
    register = Part(
        tmp_path / "register",
        "register",
        [
            *("--registry", registry, "--docker", SOCKET, "--host", namespace, "--ip", "127.0.0.1", "--ttl", "3"),
            *("--filter", f"name={namespace}-*", "--name-template", "{{ labels['com.example.team'] }}/{{ service }}"),
            *(
                "--tags",
                "host-{{ hostname }},{{ id | strSlice(0, 12) }},{{ environment.PASSWORD }},{{ environment | string }}",
            ),
        ],
        {"MOORING_REGISTER_ATTRIBUTE": "zone={{ host }} all={{ environment | tojson }}"},
    )
    store = connect_to(parse_etcd_address(registry))
    with register:
        wait_until(lambda: store.list(f"/{namespace}/").items, "the container to be written")
        (found,) = store.list(f"/{namespace}/").items
        one = decode_instance(found.value, where=found.key)
        told = [json.dumps(register.state()), register.ask("/metrics")[1], register.log.read_text(), repr(found)]
    store.close()
    assert one.service == "shop/mooring-whoami"
    assert one.tags[:3] == ("own", "host-myhost", (container.id or "")[:12])
    assert (one.zone, one.attributes["region"]) == (namespace, "eu")
    assert json.loads(one.attributes["all"]) == {"SERVICE_REGION": "eu", "SERVICE_80_TAGS": "own"}
    assert "has no attribute 'PASSWORD'" in told[0]
    assert PLANTED not in "".join(told)


def read_backends(server: EtcdServer) -> dict[str, Any]:
    """Return what docker-discover reads: keys below `/backends`, and their nodes."""
    with urlopen(f"http://{server.address}/v2/keys/backends?recursive=true&sorted=true", timeout=10) as answer:
        services = json.load(answer)["node"].get("nodes", [])
    return {one["key"]: one for service in services for one in service.get("nodes", [])}


def test_the_variables_of_docker_register(
    old_server: EtcdServer, tmp_path: Path, namespace: str, container: Container
) -> None:
    """D-1, D-6: told by HOST_IP, ETCD_HOST and DOCKER_HOST alone, register writes what docker-discover reads."""
    variables = {"HOST_IP": "10.170.71.226", "ETCD_HOST": old_server.address, "DOCKER_HOST": SOCKET}
    options = ["--host", namespace, "--filter", f"name={namespace}-*"]
    register = Part(tmp_path / "register", "register", options, variables)
    key = f"/backends/mooring-whoami/{(container.id or '')[:12]}"
    with register:
        wait_until(lambda: key in read_backends(old_server), "the container to be written")
        found = read_backends(old_server)
        (line,) = register.events("settings come from variables of other systems")
    container.reload()
    published = (container.ports["80/tcp"] or [])[0]["HostPort"]
    assert found[key]["value"] == f"10.170.71.226:{published}"
    assert found["/backends/mooring-whoami/port"]["value"] == "80"
    assert all(one["ttl"] > 0 for one in found.values())
    assert line["variables"] == ["DOCKER_HOST", "ETCD_HOST", "HOST_IP"]
