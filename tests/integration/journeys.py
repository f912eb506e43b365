"""Registers that take some way to this machine's engine, with variables of their own, and containers that they find."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker
from docker.errors import APIError
from docker.models.containers import Container

from mooring.etcd.store import KeyValue
from tests.engine_doors import ENGINE
from tests.integration.registers import Site
from tests.parts import Part
from tests.servers import EtcdServer
from tests.waiting import wait_until

DEADLINE_SECONDS = 30.0


class Traveller(Part):
    """A register with variables of its own."""

    def __init__(self, directory: Path, options: list[str], variables: Mapping[str, str]) -> None:
        super().__init__(directory, "register", options)
        self._variables = variables

    def environment(self) -> Mapping[str, str]:
        """See `Server.environment`."""
        return self._variables


class Journey:
    """A register on its way, and containers of this test."""

    def __init__(self, site: Site, image: str) -> None:
        self.site = site
        self.client = docker.DockerClient(base_url=f"unix://{ENGINE}")
        self._image = image
        self._numbers = itertools.count(1)
        self._made: list[Container] = []

    def register(self, options: list[str], variables: Mapping[str, str]) -> Part:
        """Start a register."""
        where = ["--registry", self.site.address, "--host", self.site.host, "--ip", "127.0.0.1", "--ttl", "3"]
        directory = self.site.directory / f"traveller-{next(self._numbers)}"
        part = Traveller(directory, [*where, *options], variables)
        self.site.parts.append(part)
        part.launch()
        return part

    def container(self) -> Container:
        """Run a container that says that it belongs to this test's service."""
        name = f"{self.site.host}-{next(self._numbers)}"
        labels = {"SERVICE_NAME": self.site.host}
        one = self.client.containers.run(self._image, name=name, labels=labels, ports={"80/tcp": None}, detach=True)
        self._made.append(one)
        return one

    def published(self) -> set[str]:
        """Return the names of this test's containers that are published."""
        return {one.name.removeprefix("/") for one in self.site.instances() if one.service == self.site.host}

    def keys(self) -> dict[str, KeyValue]:
        """Return what is written of this test's containers; others may run on the same engine."""
        return {key: found for key, found in self.site.keys().items() if key.split("/")[2] == self.site.host}

    def await_only(self, *containers: Container) -> None:
        """Wait until exactly these are published."""
        names = {one.name for one in containers}
        wait_until(
            lambda: self.published() == names,
            lambda: f"{names} to be published, not {self.published()}:\n{self.site.logged()}",
            DEADLINE_SECONDS,
        )

    def close(self) -> None:
        """Remove the containers."""
        for one in self._made:
            with contextlib.suppress(APIError):
                one.remove(force=True)
        self.client.close()


@contextlib.contextmanager
def begun(etcd: EtcdServer, directory: Path, namespace: str, image: str) -> Iterator[Journey]:
    """Give a registry, and a way to run registers and containers; all of them end."""
    site = Site(etcd, directory, namespace)
    one = Journey(site, image)
    try:
        yield one
    finally:
        site.close()
        one.close()
