"""Two Docker hosts and the registry that they share, as their users have it: a stack on each, an etcd elsewhere.

Each host is a machine of its own with an engine of its own (see tests/machines.py, tests/engines.py). A third machine
runs etcd, so that no host takes it along when it dies.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from attrs import field, frozen

from mooring.entries import Entry, decode_entry
from mooring.errors import Unavailable
from mooring.facts import InstanceAdded, InstanceChanged, InstanceRemoved
from mooring.model import Address
from mooring.redis.client import RedisStream
from mooring_stack.embedded import ETCD, find
from tests.engines import KEPT, Engine, copy_images, engines
from tests.machines import ADDRESSES, Machine, Switch, machines, switch
from tests.waiting import wait_until

# Long enough for a register to be restarted on a busy machine, short enough to be waited for.
TTL_SECONDS = 10
ETCD_PORT, REDIS_PORT = 2379, 6379
COMPOSE_SECONDS = 120.0
IMAGES = ("mooring-register", "mooring-discover", "mooring-proxy", "mooring-sockets", "mooring-redis", "mooring-whoami")
FOLDER = Path(__file__).parents[2] / "compose"
PORT = 8000

InstanceFact = InstanceAdded | InstanceChanged | InstanceRemoved


@frozen
class Host:
    """A Docker host with its stack."""

    engine: Engine
    registry: str

    @property
    def name(self) -> str:
        """The host name of the machine, and so the one that register writes."""
        return self.engine.machine.name

    def at(self, port: int) -> Address:
        """Where a proxy of this host answers."""
        return Address(self.engine.machine.address, port)

    def compose(self, *words: str) -> str:
        """Run `docker compose` about this host's stack and return what it wrote."""
        files = [word for name in ("docker-compose.yml", "join.yml") for word in ("--file", str(FOLDER / name))]
        settings = {
            "MOORING_ETCD": self.registry,
            "MOORING_TTL": str(TTL_SECONDS),
            "MOORING_DOCKER_GROUP": str(self.engine.group),
        }
        others = {name: value for name, value in os.environ.items() if not name.startswith(("MOORING_", "COMPOSE_"))}
        outcome = subprocess.run(
            self.engine.command("compose", *files, *words),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMPOSE_SECONDS,
            env={**others, **settings},
        )
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout

    def up(self) -> None:
        """Start the stack, and wait until all of it is healthy."""
        self.compose("up", "--detach", "--no-build", "--wait")

    def power_on(self) -> None:
        """Give it power again, after `engine.power_off`; whatever ran is started by the engine."""
        self.engine.power_on()

    def restart(self) -> None:
        """Restart all of it."""
        self.compose("restart")

    def start(self, service: str, name: str, port: int) -> None:
        """Run an instance of a service that says who it is, and is to be offered on a port; it outlives a power cut."""
        with self.engine.client() as client:
            client.containers.run(
                "mooring-whoami",
                detach=True,
                name=f"{service}-{name}",
                hostname=name,
                ports={f"{PORT}/tcp": None},
                environment={"PORT": str(PORT)},
                labels={"SERVICE_NAME": service, "SERVICE_PUBLISH": str(port)},
                restart_policy={"Name": "always", "MaximumRetryCount": 0},
            )

    @contextmanager
    def stream(self) -> Iterator[RedisStream]:
        """Look at its stream; its Redis listens for itself alone."""
        with self.engine.machine.network():
            stream = RedisStream.from_url(f"redis://127.0.0.1:{REDIS_PORT}/0")
            try:
                yield stream
            finally:
                stream.close()

    def entries(self) -> tuple[Entry, ...]:
        """Return its whole stream."""
        with self.stream() as stream:
            decoded = (decode_entry(raw.sequence, raw.fields) for raw in stream.tail(10_000))
            return tuple(entry for entry in decoded if entry is not None)

    def facts(self) -> list[InstanceFact]:
        """Return what its stream says of instances."""
        return [entry.fact for entry in self.entries() if isinstance(entry.fact, InstanceFact)]

    def knows(self) -> Mapping[tuple[str, str], Address]:
        """Return what its catalog holds: instances by host and service. Nothing while its Redis is away."""
        with self.stream() as stream, suppress(Unavailable):
            return {(one.host, one.service): one.address for one in stream.catalog().instances()}
        return {}

    def has_applied_all(self) -> bool:
        """Tell whether every proxy that announces itself has applied the whole of its stream."""
        with self.stream() as stream, suppress(Unavailable):
            head, proxies = stream.head(), [*stream.announced().values()]
            position = (head.incarnation, str(head.sequence)) if head else None
            return bool(proxies) and {(one["incarnation"], one["sequence"]) for one in proxies} == {position}
        return False


@frozen
class Hosts:
    """Both of them, and what lies between."""

    one: Host
    two: Host
    registry: Machine
    switch: Switch = field(repr=False)

    def up(self) -> None:
        """Start both stacks, at the same time."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(Host.up, (self.one, self.two)))

    @contextmanager
    def cut_off(self, host: Host) -> Iterator[None]:
        """Let nothing pass between a host and the registry for a while; the hosts reach each other."""
        with self.switch.apart(host.name, self.registry.name):
            yield


@contextmanager
def two_hosts(directory: Path) -> Iterator[Hosts]:
    """Give two hosts with the images and nothing running, and a registry; end everything at the end."""
    with ExitStack() as ending:
        between = ending.enter_context(switch())
        registry = Machine(between, "registry", ADDRESSES[0], directory / "registry", ["/var/lib/etcd"])
        ending.enter_context(machines(registry))
        _run_etcd(registry)
        made = [
            Engine(Machine(between, name, address, directory / name, KEPT))
            for name, address in zip(("one", "two"), ADDRESSES[1:], strict=False)
        ]
        ending.enter_context(engines(*made))
        copy_images(IMAGES, made)
        one, two = (Host(engine, f"{registry.address}:{ETCD_PORT}") for engine in made)
        yield Hosts(one, two, registry, between)


def _run_etcd(machine: Machine) -> None:
    client = f"http://{machine.address}:{ETCD_PORT}"
    machine.launch(
        machine.directory / "etcd.log",
        find(ETCD).path,
        "--data-dir=/var/lib/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        environment={"ETCD_UNSUPPORTED_ARCH": "arm64"} if platform.machine() == "aarch64" else {},
    )
    wait_until(lambda: b'"health":"true"' in _asked(machine.address), "the registry to be healthy")


def _asked(address: str) -> bytes:
    try:
        with socket.create_connection((address, ETCD_PORT), timeout=1) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return connection.makefile("rb").read()
    except OSError:
        return b""
