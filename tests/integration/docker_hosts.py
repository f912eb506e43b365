"""A register of this machine's Docker engine at a test's etcd, and containers that only the test knows."""

import contextlib
import itertools
import selectors
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError
from docker.models.containers import Container

from mooring.etcd.store import KeyValue
from mooring.model import Instance
from tests.integration.registers import PATIENT, Site
from tests.servers import EtcdServer
from tests.waiting import wait_until

ENGINE = "/var/run/docker.sock"
DEADLINE_SECONDS = 30.0


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
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            # Closing alone does not wake who waits in accept.
            self._listener.shutdown(socket.SHUT_RDWR)
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


class Containers:
    """Containers of a test on this machine's engine, each of a service that bears the test's name, and its registry."""

    def __init__(self, site: Site, image: str) -> None:
        self.site = site
        self.client = docker.DockerClient(base_url=f"unix://{ENGINE}")
        self._image = image
        self._numbers = itertools.count(1)
        self._made: list[Container] = []

    def container(self, name: str = "", **labels: str) -> Container:
        """Run a container that says that it belongs to this test's service."""
        return self.run({}, name, **labels)

    def run(self, options: dict[str, Any], name: str = "", **labels: str) -> Container:
        """Run a container with options of Docker's, too; `host_config` holds those that are not the container's own."""
        said = {"SERVICE_NAME": self.site.host} | {f"SERVICE_{key}": value for key, value in labels.items()}
        api, name = self.client.api, name or f"{self.site.host}-{next(self._numbers)}"
        ports: dict[int | str, Any] = {"80/tcp": None}
        host_config = api.create_host_config(port_bindings=ports, **options.get("host_config", {}))
        own = {**options, "host_config": host_config, "labels": said, "ports": ["80/tcp"]}
        made = api.create_container(self._image, name=name, **own)
        one = self.client.containers.get(made["Id"])
        self._made.append(one)
        one.start()
        return one

    def published(self) -> dict[str, Instance]:
        """Return this test's instances by the name of their container."""
        return {one.name.removeprefix("/"): one for one in self.site.instances() if self.site.host in one.service}

    def keys(self) -> dict[str, KeyValue]:
        """Return what is written of this test's containers; others may run on the same engine."""
        return {key: found for key, found in self.site.keys().items() if self.site.host in key.split("/")[2]}

    def await_only(self, *containers: Container) -> None:
        """Wait until exactly these are published."""
        names = {one.name for one in containers}
        wait_until(
            lambda: self.published().keys() == names,
            lambda: f"{names} to be published, not {self.published().keys()}:\n{self.site.logged()}",
            DEADLINE_SECONDS,
        )

    def close(self) -> None:
        """Remove the containers."""
        for one in self._made:
            with contextlib.suppress(APIError):
                one.remove(force=True)
        self.client.close()


class Host(Containers):
    """A register of the engine beside them, which a passage leads to."""

    def __init__(self, site: Site, image: str, passage: Passage, *options: str) -> None:
        super().__init__(site, image)
        self.passage = passage
        where = ["--docker", f"unix://{passage.path}", "--ip", "127.0.0.1", "--resync", "5"]
        self.process = site.run(*where, *options)


@contextmanager
def open_host(etcd: EtcdServer, directory: Path, namespace: str, image: str, *options: str) -> Iterator[Host]:
    """Give a register that has listed the engine, and end it with all its containers."""
    with ExitStack() as ending:
        # A socket's path is short, and a test's directory may not be.
        sockets = Path(ending.enter_context(tempfile.TemporaryDirectory()))
        site = Site(etcd, directory, namespace)
        ending.callback(site.close)
        passage = Passage(sockets / "docker.sock")
        ending.callback(passage.cut)
        one = Host(site, image, passage, *PATIENT, *options)
        ending.callback(one.close)
        one.process.ready()
        yield one
