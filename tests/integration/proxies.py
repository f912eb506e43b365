"""A proxy as a process between a real Redis and real services, with a discover's hand on the stream."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mooring.catalog import catalog_of, diff
from mooring.facts import EpochBegan
from mooring.keys import RedisNames
from mooring.model import Address, Instance, State
from mooring.redis.client import RedisStream
from mooring.redis.stream import Appended, Head
from tests.load import Load
from tests.parts import Part
from tests.servers import HOST, RedisServer, Server, ask
from tests.streams import batch_of


class Whoami(Server):
    """A service that says who it is."""

    def __init__(self, directory: Path, name: str) -> None:
        super().__init__(directory, Path(sys.executable))
        self.name = name

    def command(self) -> list[str]:
        """See `Server.command`."""
        return [str(self.program), "-m", "mooring_stack.whoami", "--port", str(self.port), "--name", self.name]

    def answers(self) -> bool:
        """See `Server.answers`."""
        return b"instance=" in ask(self.port, b"GET / HTTP/1.0\r\n\r\n")

    def instance(self, service: str, port: int, state: State = State.UP) -> Instance:
        """Return it as an instance of a service that wants this port on the proxies."""
        return Instance(service=service, id=self.name, address=Address(HOST, self.port), port=port, state=state)


class Discover:
    """Writes the stream as discover does."""

    def __init__(self, url: str, incarnation: str = "life-1") -> None:
        self.stream = RedisStream.from_url(url, RedisNames())
        self._instances: tuple[Instance, ...] = ()
        epoch = self.stream.lead("test", expiry_seconds=60)
        assert epoch is not None
        self.head: Head = self.stream.begin(incarnation=incarnation, epoch=epoch, run_id=self.stream.run_id())
        self._ports: Mapping[str, str] = {}
        self._append(EpochBegan("test"))

    def show(self, *instances: Instance, ports: Mapping[str, str] | None = None) -> None:
        """Let the catalog be these instances, and the ports these, or what the instances ask for."""
        self._ports = {f"{one.port}/tcp": one.service for one in instances} if ports is None else ports
        facts = diff(catalog_of(self._instances), catalog_of(instances))
        self._instances = instances
        self._append(*facts)

    def _append(self, *facts: Any) -> None:  # noqa: ANN401 -- any fact
        batch = batch_of(self.head, *facts, ports=self._ports, complete=True)
        assert self.stream.append(batch) == Appended(self.head.sequence + len(facts))
        head = self.stream.head()
        assert head is not None
        self.head = head

    def close(self) -> None:
        """Let go."""
        self.stream.close()


class Place:
    """Where a test's processes live."""

    def __init__(self, directory: Path, redis: RedisServer, ending: ExitStack) -> None:
        self.directory = directory
        self.redis = redis
        self._ending = ending
        self._lives = 0

    def _made(self, name: str) -> Path:
        made = self.directory / name
        made.mkdir()
        return made

    def discover(self) -> Discover:
        """Begin a new incarnation of the stream."""
        self._lives += 1
        made = Discover(self.redis.url, f"life-{self._lives}")
        self._ending.callback(made.close)
        return made

    def whoami(self, name: str) -> Whoami:
        """Start a service."""
        return self._ending.enter_context(Whoami(self._made(name), name))

    def proxy(self, *options: str, name: str = "proxy", redis: bool = True) -> Part:
        """Return a proxy, not started yet."""
        where = ["--redis", self.redis.url] if redis else []
        proxy = Part(self._made(name), "proxy", [*where, "--address", HOST, *options])
        self._ending.callback(proxy.kill)
        return proxy

    def started(self, *options: str) -> Part:
        """Start a proxy, and wait until it is ready."""
        proxy = self.proxy(*options)
        proxy.start()
        return proxy


def answer(port: int) -> str:
    """Return who answers on a port, "" for nobody."""
    said = ask(port, b"GET / HTTP/1.0\r\n\r\n").partition(b"instance=")[2]
    return said.split()[0].decode() if said else ""


def is_reset(port: int) -> bool:
    """Tell whether a client is let go at once, by a listener that is there."""
    try:
        with socket.create_connection((HOST, port), timeout=5) as client:
            client.recv(1)
    except ConnectionResetError:
        return True
    return False


def applied(proxy: Part, discover: Discover) -> Callable[[], bool]:
    """Return the condition that a proxy has applied everything that was written."""

    def is_applied() -> bool:
        state = proxy.state()
        return (state["incarnation"], state["sequence"]) == (discover.head.incarnation, discover.head.sequence)

    return is_applied


def answering(load: Load, *names: str) -> None:
    """Wait until exactly these answer the load."""
    load.await_answers(lambda answers: {name for _, name in answers} == set(names) and answers.total() > len(names) * 5)
