"""Mooring's images as they are meant to be run: nothing can be written, no capability, no process beside them.

Knows containers, and one network that joins them; what an image promises is its tests' business.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

import docker
from attrs import field, frozen
from docker.models.containers import Container
from docker.models.networks import Network
from docker.models.volumes import Volume

from tests.waiting import wait_until

GRACE_SECONDS = 10
START_SECONDS = 60  # on a machine that builds and tests other things at the same time
CHECK_SECONDS = 1
RESTRICTED = {"read_only": True, "cap_drop": ["ALL"]}

_numbers = count(1)


@frozen
class Hardened:
    """Containers of one test, made on request and all removed at the end, with their volumes."""

    client: docker.DockerClient
    network: Network
    _made: list[Container] = field(factory=list)
    _volumes: list[Volume] = field(factory=list)

    def create(self, image: str, *command: str, name: str | None = None, **options: Any) -> Container:  # noqa: ANN401 -- docker's own
        """Make a container, known to the others by its name; its health is looked at every second."""
        known_as = {self.network.name or "": self.client.api.create_endpoint_config(aliases=[name] if name else [])}
        container = self.client.containers.create(
            image,
            list(command) or None,
            name=f"images-{os.getpid()}-{next(_numbers)}",
            network=self.network.name,
            networking_config=known_as,
            healthcheck={"interval": CHECK_SECONDS * 10**9},
            **{**RESTRICTED, **options},
        )
        self._made.append(container)
        return container

    def run(self, image: str, *command: str, name: str | None = None, **options: Any) -> Container:  # noqa: ANN401 -- docker's own
        """Make a container and start it."""
        container = self.create(image, *command, name=name, **options)
        container.start()
        return container

    def volume(self) -> str:
        """Make a volume and return its name."""
        self._volumes.append(self.client.volumes.create())
        return str(self._volumes[-1].name)

    def outcome(self, image: str, *command: str, **options: Any) -> tuple[int, str]:  # noqa: ANN401 -- docker's own
        """Run a command to its end, and return its status and what it wrote."""
        container = self.run(image, *command, **options)
        status = int(container.wait()["StatusCode"])
        return status, container.logs().decode()

    def remove_all(self) -> None:
        """Leave nothing."""
        for container in self._made:
            container.remove(force=True, v=True)
        for volume in self._volumes:
            volume.remove()
        self.network.remove()


@contextmanager
def hardened() -> Iterator[Hardened]:
    """Give a network for containers; they are gone with it afterwards."""
    client = docker.from_env()
    made = Hardened(client, client.networks.create(f"images-{os.getpid()}-{next(_numbers)}"))
    try:
        yield made
    finally:
        made.remove_all()
        client.close()


def state_of(container: Container) -> Mapping[str, Any]:
    """Return what Docker says about a container now."""
    container.reload()
    state: Mapping[str, Any] = container.attrs["State"]
    return state


def address_of(container: Container) -> str:
    """Return where the host reaches a container."""
    container.reload()
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


def last_check(container: Container) -> str:
    """Return what the last health check printed; nothing before the first."""
    checks = state_of(container)["Health"]["Log"]
    return str(checks[-1]["Output"]).strip() if checks else ""


def await_health(container: Container, wanted: str) -> None:
    """Wait until Docker finds a container healthy, or unhealthy."""
    wait_until(
        lambda: state_of(container)["Health"]["Status"] == wanted,
        lambda: f"{wanted}: {last_check(container)}\n{container.logs(tail=20).decode()}",
        START_SECONDS,
    )


def end(container: Container) -> int:
    """Ask a container to end, as `docker stop` does, and return its status; 137 if it had to be killed."""
    container.stop(timeout=GRACE_SECONDS)
    return int(container.wait()["StatusCode"])
