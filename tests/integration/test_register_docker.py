"""A real register of a real Docker engine, at a real etcd; the engine can be cut off."""

import contextlib
import itertools
import selectors
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import APIError
from docker.models.containers import Container

from mooring.documents import decode_instance
from mooring.etcd.store import KeyValue
from mooring.model import Instance, State
from tests.integration.registers import Site
from tests.servers import EtcdServer
from tests.waiting import wait_until

pytestmark = pytest.mark.docker

ENGINE = "/var/run/docker.sock"


class Passage:
    """A socket that leads to the engine, until it is cut; then everybody on it is thrown out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.restore()

    def restore(self) -> None:
        """Lead to the engine."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Lead nowhere, as when an engine was stopped."""
        assert self._listener is not None
        self.path.unlink()
        self._listener.close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(near,), daemon=True).start()

    def _pass(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far, selectors.DefaultSelector() as selector:
            far.connect(ENGINE)
            self._open |= {near, far}
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            with contextlib.suppress(OSError):
                while all(self._pass_on(key.fileobj, key.data) for key, _ in selector.select()):
                    pass
            self._open -= {near, far}

    def _pass_on(self, source: object, target: socket.socket) -> bool:
        assert isinstance(source, socket.socket)
        data = source.recv(65536)
        target.sendall(data)
        return bool(data)


class Host:
    """A register of this machine's engine, and containers that only the test knows."""

    def __init__(self, site: Site, image: str, passage: Passage) -> None:
        self.site = site
        self.passage = passage
        self.client = docker.DockerClient(base_url=f"unix://{ENGINE}")
        self._image = image
        self._numbers = itertools.count(1)
        self._made: list[Container] = []
        self.process = site.run("--docker", f"unix://{passage.path}", "--ip", "127.0.0.1", "--resync", "5").ready()

    def container(self, name: str = "", **labels: str) -> Container:
        """Run a container that says that it belongs to this test's service."""
        said = {"SERVICE_NAME": self.site.host} | {f"SERVICE_{key}": value for key, value in labels.items()}
        name = name or f"{self.site.host}-{next(self._numbers)}"
        one = self.client.containers.run(self._image, name=name, labels=said, ports={"80/tcp": None}, detach=True)
        self._made.append(one)
        return one

    def published(self) -> dict[str, Instance]:
        """Return this test's instances by the name of their container."""
        return {one.name.removeprefix("/"): one for one in self.site.instances() if self.site.host in one.service}

    def keys(self) -> dict[str, KeyValue]:
        """Return what is written of this test's containers; others may run on the same engine."""
        return {key: found for key, found in self.site.keys().items() if self.site.host in key.split("/")[2]}

    def close(self) -> None:
        """Remove the containers."""
        for one in self._made:
            with contextlib.suppress(APIError):
                one.remove(force=True)
        self.client.close()


@pytest.fixture
def host(etcd_server: EtcdServer, tmp_path: Path, namespace: str, whoami_image: str) -> Iterator[Host]:
    """Give a register that has listed the engine."""
    # A socket's path is short, and a test's directory may not be.
    directory = Path(tempfile.mkdtemp())
    site = Site(etcd_server, tmp_path, namespace)
    one = Host(site, whoami_image, Passage(directory / "docker.sock"))
    try:
        yield one
    finally:
        one.close()
        site.close()
        shutil.rmtree(directory)


def causes(host: Host, name: str, since: int) -> list[tuple[State, str]]:
    """Return what was written about a container since a revision, and that it was deleted at last."""
    found: list[tuple[State, str]] = []
    watch = host.site.store.watch(host.site.prefix, since)
    try:
        for change in itertools.chain.from_iterable(watch):
            if isinstance(change, KeyValue):
                one = decode_instance(change.value, where=change.key)
                if one.name == f"/{name}":
                    found.append((one.state, one.cause))
            elif found and found[-1][0] is State.DOWN:
                return found
    finally:
        watch.cancel()
    raise AssertionError(found)


def test_the_life_of_a_container(host: Host) -> None:
    """A container is published when it starts, drains at its stop signal, and is withdrawn with its cause."""
    since = host.site.store.list(host.site.prefix).revision
    name = host.container().name
    assert name is not None
    wait_until(lambda: name in host.published(), "the container to be published")
    host.client.containers.get(name).stop(timeout=1)
    said = causes(host, name, since)
    assert said == [(State.UP, "started"), (State.DRAINING, "stopping"), (State.DOWN, "stopped")]


def test_killed(host: Host) -> None:
    """A container that was killed is withdrawn with its exit code."""
    since = host.site.store.list(host.site.prefix).revision
    one = host.container()
    assert one.name is not None
    name = one.name
    wait_until(lambda: name in host.published(), "the container to be published")
    one.kill()
    assert causes(host, name, since)[-1] == (State.DOWN, "exited 137")


def test_restarted_on_another_port(host: Host) -> None:
    """A container that is restarted is published once, on the port that it has then."""
    one = host.container()
    wait_until(lambda: one.name in host.published(), "the container to be published")
    one.restart(timeout=1)
    one.reload()
    port = next(int(binding["HostPort"]) for binding in one.ports["80/tcp"] or ())
    wait_until(lambda: [found.address.port for found in host.published().values()] == [port], "the new port only")


def test_renamed(host: Host) -> None:
    """A renamed container changes its id; no moment in between is without it."""
    one = host.container()
    wait_until(lambda: one.name in host.published(), "the container to be published")
    since = host.site.store.list(host.site.prefix).revision
    one.rename(f"{one.name}-renamed")
    wait_until(lambda: list(host.published()) == [f"{one.name}-renamed"], "the new name only")
    watch = host.site.store.watch(host.site.prefix, since)
    (_, first, *_) = itertools.islice(watch, 2)
    watch.cancel()
    states = {decode_instance(change.value, where=change.key).state for change in first if isinstance(change, KeyValue)}
    assert states == {State.DOWN, State.UP}


def test_a_broken_label(host: Host) -> None:
    """A broken label is reported with its value and reason, and the container is registered all the same."""
    one = host.container(WEIGHT="heavy")
    wait_until(lambda: one.name in host.published(), "the container to be published")
    assert f"{one.name}: SERVICE_WEIGHT='heavy': expected a whole number" in host.process.ask("/state")[1]
    assert host.process.metric("mooring_register_problems_total") >= 1


def test_cut_off(host: Host) -> None:
    """While the engine is away nothing is withdrawn; when it is back, what happened without a word is found."""
    stays, dies = host.container(), host.container()
    wait_until(lambda: set(host.published()) == {stays.name, dies.name}, "both to be published")
    before = host.keys()
    host.passage.cut()
    wait_until(lambda: host.process.state()["engine lost since"], "the loss of the engine to be noticed")
    dies.kill()
    new = host.container()
    assert host.keys() == before
    host.passage.restore()
    wait_until(lambda: set(host.published()) == {stays.name, new.name}, "what happened meanwhile to be found")
    wait_until(lambda: not host.process.state()["engine lost since"], "the return of the engine to be noticed")
    unchanged = f"{host.site.prefix}/{host.site.host}/{host.site.host}:{stays.name}:80"
    assert host.keys()[unchanged] == before[unchanged]


def test_successor(host: Host) -> None:
    """A successor finds everything as it is and writes nothing; not even what its predecessor wrote last."""
    one = host.container()
    wait_until(lambda: one.name in host.published(), "the container to be published")
    host.process.end()
    before = host.keys()
    host.site.run("--docker", f"unix://{ENGINE}", "--ip", "127.0.0.1").ready()
    assert len(before) == 1
    assert host.keys() == before


def test_the_engine_comes_later(host: Host) -> None:
    """A register that starts before the engine waits for it, says so, and ends in time when it is told to."""
    host.process.end()
    host.passage.cut()
    process = host.site.run("--docker", f"unix://{host.passage.path}", "--ip", "127.0.0.1")
    wait_until(lambda: "the engine does not answer" in process.ask("/readyz")[1], "the missing engine to be told")
    host.passage.restore()
    process.ready()
    process.end()
