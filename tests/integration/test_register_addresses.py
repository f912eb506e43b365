"""Where a real register finds the ports of a real engine's containers: in others' networks, in several, IPv6, UDP."""

import contextlib
import itertools
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import Container

from mooring.model import Instance
from mooring_register.addresses.host_network import default_source
from tests.containers import images
from tests.integration.registers import Site
from tests.parts import MOORING
from tests.servers import EtcdServer
from tests.waiting import wait_until

pytestmark = pytest.mark.docker

BASE = f"{images.REPOSITORY}:{images.TAG}"


class Host:
    """Containers and networks that end with the test, and a register of this machine's engine."""

    def __init__(self, site: Site, image: str) -> None:
        self.site = site
        self.client = docker.from_env()
        self._image = image
        self._numbers = itertools.count(1)
        self._made: list[Any] = []

    def container(self, *command: str, says: dict[str, str] | None = None, **options: Any) -> Container:  # noqa: ANN401 -- docker's
        """Run a container of this test's service: whoami, or a command in an image that exposes no port."""
        name = f"{self.site.host}-{next(self._numbers)}"
        labels = {"SERVICE_NAME": self.site.host} | {f"SERVICE_{key}": value for key, value in (says or {}).items()}
        image = BASE if command else self._image
        one = self.client.containers.run(image, list(command), name=name, labels=labels, detach=True, **options)
        self._made.append(one)
        return one

    def network(self, name: str) -> str:
        """Make a network, and return its name."""
        made = self.client.networks.create(f"{self.site.host}-{name}")
        self._made.append(made)
        return f"{self.site.host}-{name}"

    def register(self, *options: str) -> None:
        """Start a register that has listed the engine."""
        ip = () if "--internal" in options else ("--ip", "127.0.0.1")
        self.site.run("--docker", "unix:///var/run/docker.sock", *ip, *options).ready()

    def published(self, one: Container) -> dict[str, Instance]:
        """Return the instances of a container by their ids."""
        return {found.id: found for found in self.site.instances() if found.container == one.id}

    def addresses(self, one: Container) -> list[str]:
        """Return the addresses of a container's instances."""
        return sorted(str(found.address) for found in self.published(one).values())

    def close(self) -> None:
        """Remove what was made, the last first."""
        for one in reversed(self._made):
            with contextlib.suppress(APIError):
                one.remove(**({"force": True} if isinstance(one, Container) else {}))
        self.client.close()


@pytest.fixture
def host(etcd_server: EtcdServer, tmp_path: Path, namespace: str, whoami_image: str) -> Iterator[Host]:
    """Give a host without a register."""
    site = Site(etcd_server, tmp_path, namespace)
    one = Host(site, whoami_image)
    try:
        yield one
    finally:
        site.close()
        one.close()


def test_another_containers_network(host: Host) -> None:
    """E-C4: along a chain of networks each is reached by what the first publishes, until that is restarted alone."""
    first = host.container(ports={"80/tcp": None})
    guests = [host.container("sleep", "600", network_mode=f"container:{first.name}", says={"PORT": "80"})]
    guests.append(host.container("sleep", "600", network_mode=f"container:{guests[0].name}", says={"PORT": "80"}))
    host.register()
    where = host.addresses(first)
    assert len(where) == 1
    assert [host.addresses(guest) for guest in guests] == [where, where]
    first.restart(timeout=0)
    wait_until(lambda: not any(map(host.addresses, guests)), "those who lost their network to be withdrawn")
    wait_until(lambda: host.addresses(first), "the first to be there again")
    guests[0].restart(timeout=0)
    wait_until(lambda: host.addresses(guests[0]) == host.addresses(first), "the restarted guest to be there again")
    assert host.addresses(guests[1]) == []


def test_one_of_two_networks(host: Host) -> None:
    """With --internal the address is that of the preferred network, or of the one that the container names."""
    front, back = host.network("front"), host.network("back")
    plain = host.container(network=back, says={"80_NAME": "plain"})
    choosy = host.container(network=back, says={"NETWORK": back})
    for one in (plain, choosy):
        host.client.networks.get(front).connect(one)
    host.register("--internal", "--network", front)
    for one, network in ((plain, front), (choosy, back)):
        one.reload()
        address = one.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]
        assert host.addresses(one) == [f"{address}:80"]
        socket.create_connection((address, 80), timeout=5).close()
    host.client.networks.get(back).disconnect(choosy)
    wait_until(lambda: not host.addresses(choosy), "the container to be withdrawn, not moved")


def test_ipv6_and_udp(host: Host) -> None:
    """A binding on an IPv6 address and a UDP port are instances with ids of their own, and are reached."""
    one = host.container(ports={"80/tcp": ("::1", None), "53/udp": None}, says={"53_NAME": "dns"})
    host.register()
    found = host.published(one)
    tcp = found[f"{host.site.host}:{one.name}:80:6"]
    udp = found[f"{host.site.host}:{one.name}:53:udp"]
    assert len(found) == 2
    assert (tcp.address.host, tcp.address.proto, tcp.tags) == ("::1", "tcp", ())
    assert (udp.address.host, udp.address.proto, udp.tags) == ("127.0.0.1", "udp", ("udp",))
    socket.create_connection(("::1", tcp.address.port), timeout=5).close()


@pytest.mark.parametrize(("options", "address"), [((), lambda: "127.0.0.1"), (("--internal",), default_source)])
def test_the_network_of_the_host(host: Host, options: tuple[str, ...], address: Callable[[], str]) -> None:
    """R-N16: a container in the host's network is reached at the host's address, under the port that it names."""
    one = host.container("sleep", "600", network_mode="host", says={"PORT": "8080"})
    host.register(*options)
    assert host.addresses(one) == [f"{address()}:8080"]


def test_the_address_of_a_label(host: Host) -> None:
    """R-N18: a label gives the address; without it the normal one is taken, which a dry run tells."""
    labelled = host.container(ports={"80/tcp": None}, says={"IP": "10.2.3.4/24"})
    plain = host.container(ports={"80/tcp": None})
    host.register("--ip-from-label", "SERVICE_IP")
    (address,) = host.addresses(labelled)
    assert address.startswith("10.2.3.4:")
    assert host.addresses(plain)[0].startswith("127.0.0.1:")
    options = ["--dry-run", "--ip", "127.0.0.1", "--ip-from-label", "SERVICE_IP"]
    told = subprocess.run([MOORING, "register", *options], capture_output=True, text=True, check=True)
    notes = [line for line in told.stderr.splitlines() if line.startswith(f"note: {host.site.host}")]
    assert notes == [f"note: {plain.name}: it has no label SERVICE_IP, so that its normal address is taken"]


def test_what_no_port_can_be(host: Host) -> None:
    """An image that exposes nonsense, which Docker lets pass, is reported, and nobody else suffers from it."""
    name = f"{host.site.host}-nonsense"
    fine = host.container(ports={"80/tcp": None})
    options = {"Image": BASE, "Cmd": ["sleep", "600"], "ExposedPorts": {"x/tcp": {}, "9-11/tcp": {}}}
    api: Any = host.client.api
    made = api.create_container_from_config(options, name)
    try:
        api.start(made["Id"])
        part = host.site.run("--docker", "unix:///var/run/docker.sock", "--ip", "127.0.0.1").ready()
        assert f"{name}: exposed port 'x/tcp': expected PORT[-PORT][/PROTOCOL]" in part.ask("/state")[1]
        assert len(host.addresses(fine)) == 1
    finally:
        api.remove_container(made["Id"], force=True)
