"""Real containers of the test service, and what their own logs say had reached them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network

import docker
from attrs import field, frozen
from docker.models.containers import Container

PORT = 8000
GRACE_SECONDS = 1

_RECEIVED = re.compile(r"^\S+ received .* request=(\S+)$", re.MULTILINE)


@frozen
class Whoamis:
    """Containers of one service, made on request and all removed at the end."""

    client: docker.DockerClient
    image: str
    service: str
    publish: int
    containers: list[Container] = field(factory=list)

    def start(self, name: str, **labels: str) -> Container:
        """Run one more; its port is published on a free port of the host."""
        container = self.client.containers.run(
            self.image,
            detach=True,
            name=f"{self.service}-{name}",
            hostname=name,
            ports={f"{PORT}/tcp": None},
            environment={"GRACE_SECONDS": str(GRACE_SECONDS), "PORT": str(PORT)},
            labels={"SERVICE_NAME": self.service, "SERVICE_PUBLISH": str(self.publish), **labels},
        )
        self.containers.append(container)
        return container

    def published_port(self, container: Container) -> int:
        """Return the host's port that leads to the container now."""
        container.reload()
        return int(container.attrs["NetworkSettings"]["Ports"][f"{PORT}/tcp"][0]["HostPort"])

    def received(self, container: Container) -> frozenset[str]:
        """Return the ids of the requests whose bytes had reached the container, from its own log."""
        return frozenset(_RECEIVED.findall(container.logs().decode()))

    def remove_all(self) -> None:
        """Leave nothing."""
        for container in self.containers:
            container.remove(force=True)


@contextmanager
def whoamis(image: str, service: str, publish: int) -> Iterator[Whoamis]:
    """Give a service of containers; they are gone afterwards."""
    client = docker.from_env()
    made = Whoamis(client, image, service, publish)
    try:
        yield made
    finally:
        made.remove_all()
        client.close()


def bridge_gateway() -> str:
    """Return the host's own address on Docker's default bridge.

    Not loopback: there Docker's userland proxy accepts connections for containers that are long gone, and no load
    balancer before it could tell.
    """
    client = docker.from_env()
    try:
        config = client.networks.get("bridge").attrs["IPAM"]["Config"]
        # Engine 20.10 names no gateway of its default bridge; it takes the subnet's first address.
        return str(config[0].get("Gateway") or next(ip_network(config[0]["Subnet"]).hosts()))
    finally:
        client.close()
