"""What containers of a real engine say with labels and variables, as a real register writes it into a real etcd."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import Container

from mooring.model import Instance
from tests.integration.registers import Site
from tests.servers import EtcdServer
from tests.waiting import wait_until

pytestmark = pytest.mark.docker

PLANTED = "correct-horse-battery-staple"


class Containers:
    """Containers of the real engine that go with the test; their names begin with the test's."""

    def __init__(self, site: Site, image: str) -> None:
        self.site = site
        self._client = docker.from_env()
        self._image = image
        self._made: list[Container] = []

    def run(self, name: str, labels: dict[str, str], environment: dict[str, str] | None = None) -> None:
        """Run a container with a port over TCP and one over UDP."""
        self._made.append(
            self._client.containers.run(
                self._image,
                name=f"{self.site.host}-{name}",
                labels=labels,
                environment=environment or {},
                ports={"80/tcp": None, "53/udp": None},
                detach=True,
            )
        )

    def close(self) -> None:
        """Remove them."""
        for one in self._made:
            with contextlib.suppress(APIError):
                one.remove(force=True)
        self._client.close()


@pytest.fixture
def site(etcd_server: EtcdServer, tmp_path: Path, namespace: str) -> Iterator[Site]:
    """Give an etcd and a prefix of the test's own."""
    one = Site(etcd_server, tmp_path, namespace)
    yield one
    one.close()


@pytest.fixture
def containers(site: Site, whoami_image: str) -> Iterator[Containers]:
    """Give a way to run containers."""
    one = Containers(site, whoami_image)
    yield one
    one.close()


def by_service(site: Site) -> dict[str, Instance]:
    """Return what is written, by service."""
    return {one.service: one for one in site.instances()}


def test_labels_of_a_real_container(site: Site, containers: Containers) -> None:
    """Names for a protocol and for a range, Compose's name, zone and HTTP arrive; a filter keeps all others out."""
    compose = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    said = {"SERVICE_50-59_udp_NAME": "dns,names", "SERVICE_80_TAGS": "rest", "SERVICE_ZONE": "eu-1"}
    containers.run("in", compose | said)
    containers.run("out", compose | {"SERVICE_NAME": "out"})
    register = site.run(
        *("--docker", "unix:///var/run/docker.sock", "--ip", "127.0.0.1", "--name-from", "compose-project"),
        *("--filter", f"name={site.host}-*", "--filter", "name!=*-out"),
    ).ready()
    wait_until(lambda: by_service(site).keys() == {"shop/web-80", "dns-53", "names-53"}, "the three names are written")
    web, names = by_service(site)["shop/web-80"], by_service(site)["names-53"]
    assert web.http == {"path": "/shop/web-80", "strip": True, "ignore_case": True}
    assert (web.zone, web.attributes, web.id) == ("eu-1", {}, f"{site.host}:{site.host}-in:80")
    assert (names.tags, names.id) == (("udp",), f"{site.host}:{site.host}-in:53:udp:names-53")
    left_out = [one for one in register.state()["not registered"] if one.startswith(f"{site.host}-out")]
    assert left_out == [f"{site.host}-out: --filter name!=*-out leaves it out"]


def test_no_secret_of_the_environment_is_told(site: Site, containers: Containers) -> None:
    """What a variable without our prefix holds is in no key and no value of etcd, no log, no state and no metric."""
    containers.run(
        "keeper",
        {"SERVICE_WEIGHT": "wrong", "SERVICE_NAME": "keeper", "token": PLANTED},
        {"PASSWORD": PLANTED, "service_name": PLANTED, "SERVICE": PLANTED, "SERVICE_REGION": "eu"},
    )
    register = site.run(
        *("--docker", "unix:///var/run/docker.sock", "--ip", "127.0.0.1", "--log-level", "debug"),
        *("--filter", f"name={site.host}-*"),
    ).ready()
    wait_until(lambda: by_service(site).keys() == {"keeper-80", "keeper-53"}, "the container is written")
    assert by_service(site)["keeper-80"].attributes == {"region": "eu"}
    written = [f"{found.key} {found.value!r}" for found in site.store.list("/").items]
    told = [*written, site.logged(), *(register.ask(path)[1] for path in ("/state", "/metrics"))]
    assert any("SERVICE_WEIGHT" in text for text in told)
    assert not [text for text in told if PLANTED in text]
