"""The stack of compose/ as a test runs it: from a copy of what is checked in, by make and Compose, as its users do.

Knows the project and its containers by their labels, and what else a stack may leave on a machine.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import docker
from attrs import field, frozen
from docker.models.containers import Container

from mooring.redis.client import RedisStream

ROOT = Path(__file__).parents[1]
SERVICES = ("etcd", "redis", "discover", "register", "sockets", "proxy")
REDIS_URL = "redis://127.0.0.1:6379/0"
COMMAND_SECONDS = 280


@frozen
class Stack:
    """One checkout with its stack. Its images have a tag of their own, so that nobody else's are replaced."""

    directory: Path
    client: docker.DockerClient
    tag: str
    settings: Mapping[str, str] = field(factory=dict)

    def make(self, *words: str, **settings: str) -> str:
        """Run make with these settings in its environment besides the stack's own; return what it wrote."""
        return self._run("make", *words, **settings)

    def compose(self, *words: str, **settings: str) -> str:
        """Run `docker compose` with what make gives it, and with these settings in its environment."""
        group = str(Path("/var/run/docker.sock").stat().st_gid)
        file = str(self.directory / "compose/docker-compose.yml")
        return self._run("docker", "compose", *words, COMPOSE_FILE=file, MOORING_DOCKER_GROUP=group, **settings)

    def containers(self, service: str) -> list[Container]:
        """Return the containers of a service that run."""
        labels = ["com.docker.compose.project=mooring", f"com.docker.compose.service={service}"]
        found: list[Container] = self.client.containers.list(filters={"label": labels})
        return found

    def process(self, service: str) -> int:
        """Return the process of a service that has one container."""
        (container,) = self.containers(service)
        container.reload()
        return int(container.attrs["State"]["Pid"])

    def kill(self, service: str) -> None:
        """End its process as a crash would. Not by Docker, which would take it for a wish and not start it again."""
        os.kill(self.process(service), signal.SIGKILL)

    def started(self, service: str) -> frozenset[str]:
        """Return one text for each life of the service's containers: another one after every start."""
        lives = set()
        for container in self.containers(service):
            container.reload()
            lives.add(f"{container.id} {container.attrs['State']['StartedAt']}")
        return frozenset(lives)

    def healthy(self, service: str) -> bool:
        """Tell whether the service runs, and Docker finds all of it healthy."""
        containers = self.containers(service)
        return bool(containers) and all(
            container.attrs["State"].get("Health", {}).get("Status") == "healthy" for container in containers
        )

    @contextmanager
    def stream(self) -> Iterator[RedisStream]:
        """Look at its stream."""
        stream = RedisStream.from_url(REDIS_URL)
        try:
            yield stream
        finally:
            stream.close()

    def remove(self) -> None:
        """Leave nothing, whatever the test did."""
        self.make("down")
        for name in ("register", "discover", "proxy", "sockets", "etcd", "redis"):
            if self.client.images.list(f"mooring-{name}:{self.tag}"):
                self.client.images.remove(f"mooring-{name}:{self.tag}")

    def _run(self, *command: str, **settings: str) -> str:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("MOORING_", "COMPOSE_"))}
        environment = {**ours, "MOORING_TAG": self.tag, **self.settings, **settings}
        outcome = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        assert outcome.returncode == 0, (
            f"{' '.join(command)} ended with {outcome.returncode}:\n{outcome.stdout[-4000:]}"
        )
        return outcome.stdout


def checkout(directory: Path) -> Path:
    """Copy what is checked in, as it is now, and nothing else: what a clone would have."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().rstrip("\0").split("\0"):
        if (ROOT / name).exists():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / name)
    return directory


@contextmanager
def stack_in(directory: Path, tag: str) -> Iterator[Stack]:
    """Give a stack that is not up yet; at the end it is down."""
    client = docker.from_env()
    stack = Stack(checkout(directory), client, tag)
    try:
        yield stack
    finally:
        stack.remove()
        client.close()


def traces(client: docker.DockerClient) -> Mapping[str, frozenset[str]]:
    """Return what a stack could leave on this machine: all there is of each kind, whoever made it."""
    return {
        "containers": frozenset(one.name for one in client.containers.list(all=True)),
        "networks": frozenset(one.name for one in client.networks.list()),
        "volumes": frozenset(one.name for one in client.volumes.list()),
        "rules": frozenset(line for line in _output("iptables-save").splitlines() if not line.startswith(("#", ":"))),
        "sockets": frozenset(
            re.split(r"\s+", line)[3] for line in _output("ss", "-H", "-l", "-t", "-n").splitlines() if line
        ),
        "links": frozenset(re.findall(r"^\d+: ([^:@]+)", _output("ip", "-o", "link"), re.MULTILINE)),
    }


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
