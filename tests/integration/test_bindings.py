"""What consumers ask for, from register over a real etcd and a real discover into the stream."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from attrs import evolve
from docker.errors import APIError
from docker.models.containers import Container

from mooring.documents import decode_binding
from mooring.keys import BINDINGS_PREFIX
from mooring.model import Binding
from mooring_register.containers import Network
from mooring_register.observations import Died
from tests.chaos.crashing import Trap
from tests.chaos.hosts import NOW, Host, container
from tests.integration import discovers, registers
from tests.integration.discovers import open_site
from tests.parts import MOORING
from tests.servers import EtcdServer, RedisServer
from tests.waiting import wait_until

WEB = evolve(
    container("web"), wishes={"BACKEND_DB": "db[master];5432;K=V"}, networks=(Network("bridge", "172.17.0.9"),)
)


@pytest.fixture
def site(
    etcd_server: EtcdServer, redis_server: RedisServer, tmp_path: Path, namespace: str
) -> Iterator[discovers.Site]:
    """Give an etcd and a Redis with a discover between them."""
    with open_site(etcd_server, redis_server, tmp_path, namespace) as one:
        one.discover()
        yield one


def bindings(site: discovers.Site) -> dict[str, Binding]:
    """Return this test's bindings in the catalog; other hosts may have some in the same etcd."""
    found = site.stream.catalog().bindings
    return {key: binding for key, binding in found.items() if binding.host == site.namespace}


def told(site: discovers.Site) -> list[str]:
    """Return the types of the entries about this test's bindings, oldest first."""
    entries = [entry.fields for entry in site.stream.tail(10_000)]
    return [one["type"] for one in entries if one.get("key", "").startswith(f"{site.namespace}/")]


def test_the_line(site: discovers.Site) -> None:
    """A binding is in the stream and the catalog when its consumer starts, moves with it, and goes when it stops."""
    host = Host(site.store, site.namespace, Trap())
    key = f"{site.namespace}/{WEB.id}/BACKEND_DB"
    host.run(WEB)
    wait_until(lambda: key in bindings(site), "the binding to be in the catalog")
    assert bindings(site)[key] == Binding(
        key=key,
        service="db",
        port=5432,
        tags=("master",),
        options={"K": "V"},
        addresses=("172.17.0.9",),
        host=site.namespace,
        container=WEB.id,
    )
    host.run(evolve(WEB, networks=(Network("bridge", "172.17.0.12"),)), cause="network connected")
    wait_until(lambda: bindings(site)[key].addresses == ("172.17.0.12",), "the new address to be in the catalog")
    host.end(WEB, Died(WEB.id, 0, NOW))
    wait_until(lambda: not bindings(site), "the binding to be gone from the catalog")
    assert told(site) == ["binding-added", "binding-changed", "binding-removed"]
    host.close()


class Consumers:
    """A register of this machine's engine, and consumers that only the test knows."""

    def __init__(self, site: discovers.Site, register: registers.Site, image: str) -> None:
        self.site = site
        self.client = docker.DockerClient.from_env()
        self.register = register.run("--ip", "127.0.0.1", "--resync", "5", "--backend-prefix", "MOORING.").ready()
        self._image = image
        self._made: list[Container] = []

    def run(self, name: str, port: int = 80, network_mode: str | None = None, **environment: str) -> Container:
        """Run a container with these variables, each with the prefix that the register looks for."""
        one = self.client.containers.run(
            self._image,
            ["python3", "/whoami.py", "--port", str(port)],
            name=f"{self.site.namespace}-{name}",
            environment={f"MOORING.{key}": value for key, value in environment.items()} | {"SECRET": "hunter2"},
            network_mode=network_mode,
            detach=True,
        )
        self._made.append(one)
        return one

    def address(self, one: Container) -> str:
        """Return where Docker says that a container is."""
        one.reload()
        return str(one.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"])

    def bound(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Return service and addresses of every binding of the containers of this test, by variable and container."""
        names = {str(one.id): str(one.name).rpartition("-")[2] for one in self._made}
        return {
            f"{names[one.container]}/{one.key.rpartition('/')[2]}": (one.service, one.addresses)
            for one in bindings(self.site).values()
            if one.container in names
        }

    def close(self) -> None:
        """Remove the containers."""
        for one in self._made:
            with contextlib.suppress(APIError):
                one.remove(force=True)
        self.client.close()


@pytest.fixture
def consumers(site: discovers.Site, etcd_server: EtcdServer, tmp_path: Path, whoami_image: str) -> Iterator[Consumers]:
    """Give a register with a prefix of its own for bindings, in front of the discover."""
    register = registers.Site(etcd_server, tmp_path, site.namespace)
    one = Consumers(site, register, whoami_image)
    try:
        yield one
    finally:
        one.close()
        register.close()


@pytest.mark.docker
def test_real_consumers(consumers: Consumers) -> None:
    """A real container is bound while it runs, whoever shares its network at its address; not when it is stopped."""
    web = consumers.run("web", DB="db;5432", BROKEN="db")
    consumers.run("sidecar", port=81, network_mode=f"container:{web.name}", CACHE="cache[eu];6379")
    at = (consumers.address(web),)
    both = {"web/MOORING.DB": ("db", at), "sidecar/MOORING.CACHE": ("cache", at)}
    wait_until(lambda: consumers.bound() == both, "both to be bound")
    state = consumers.register.state()
    assert f"{consumers.site.namespace}/{web.id}/MOORING.DB db on 5432/tcp of {at[0]}" in state["bindings"]
    assert f"{web.name}: MOORING.BROKEN: expected NAME;PORT, there is no ';'" in state["problems"]
    assert consumers.register.metric("mooring_register_bindings") == 2
    web.stop(timeout=1)
    wait_until(lambda: consumers.bound() == {}, "both to be unbound: nobody is at that address any more")
    web.start()
    again = {"web/MOORING.DB": ("db", (consumers.address(web),))}
    wait_until(lambda: consumers.bound() == again, "the one that is started again to be bound")
    assert {"binding-added", "binding-removed"} <= set(told(consumers.site))
    entries = [dict(entry.fields) for entry in consumers.site.stream.tail(10_000)]
    assert "hunter2" not in f"{entries} {consumers.register.log.read_text()} {consumers.register.ask('/state')[1]}"


@pytest.mark.docker
def test_dry_run(consumers: Consumers) -> None:
    """A dry run prints the bindings of what runs, and what is wrong with others, but writes nothing."""
    web = consumers.run("web", DB="db;5432", BROKEN="hunter2")
    options = ["--dry-run", "--ip", "127.0.0.1", "--host", "dry", "--backend-prefix", "MOORING."]
    said = subprocess.run([MOORING, "register", *options], capture_output=True, text=True, check=True)
    printed = dict(line.split(" ", 1) for line in said.stdout.splitlines())
    key = f"dry/{web.id}/MOORING.DB"
    assert decode_binding(printed[BINDINGS_PREFIX + key], key=key).addresses == (consumers.address(web),)
    assert f"problem: {web.name}: MOORING.BROKEN: expected NAME;PORT" in said.stderr
    assert "hunter2" not in said.stdout + said.stderr
    assert consumers.site.store.get(BINDINGS_PREFIX + key) is None
