"""The whole line as a test runs it: etcd, Redis, register, discover and two proxies as real processes.

Every part can be killed, frozen and restarted on its own, as its operator or its fate would; see tests/servers.py.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from urllib.request import urlopen

from attrs import frozen

from mooring.entries import Entry, decode_entry
from mooring.etcd.client import EtcdStore, connect
from mooring.model import Address, parse_address
from mooring.redis.client import RedisStream
from tests.servers import HOST, EtcdServer, RedisServer, Server, ask, free_port

MOORING = Path(sys.executable).with_name("mooring")
TTL_SECONDS = 5
DEADLINE_SECONDS = 20.0


class Part(Server):
    """One of Mooring's commands as a process; it answers when `/readyz` says so."""

    def __init__(self, directory: Path, name: str, options: Sequence[str]) -> None:
        super().__init__(directory, MOORING, options)
        self._name = name

    def command(self) -> list[str]:
        """See `Server.command`."""
        return [str(self.program), self._name, "--admin", f"{HOST}:{self.port}", "--log-format", "json", *self.options]

    def answers(self) -> bool:
        """See `Server.answers`."""
        return b" 200 " in ask(self.port, b"GET /readyz HTTP/1.0\r\n\r\n").partition(b"\r\n")[0]

    def state(self) -> dict[str, object]:
        """Return what `/state` says."""
        with urlopen(f"http://{HOST}:{self.port}/state", timeout=5) as answer:
            state: dict[str, object] = json.load(answer)
            return state

    def metric(self, name: str) -> float:
        """Return the sum over all labels of a counter or gauge of `/metrics`."""
        with urlopen(f"http://{HOST}:{self.port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)

    def events(self, sentence: str) -> list[dict[str, object]]:
        """Return the lines of the log that say this, as their fields."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == sentence]


@frozen
class Line:
    """All parts, and eyes on what lies between them."""

    etcd: EtcdServer
    redis: RedisServer
    register: Part
    discover: Part
    proxies: tuple[Part, Part]
    publish: int

    @property
    def targets(self) -> tuple[Address, Address]:
        """Where the two proxies answer for the service that asked for `publish`."""
        return Address("127.0.0.1", self.publish), Address("127.0.0.2", self.publish)

    @contextmanager
    def store(self) -> Iterator[EtcdStore]:
        """Look at the registry."""
        store = connect([parse_address(self.etcd.address)])
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def stream(self) -> Iterator[RedisStream]:
        """Look at the stream."""
        stream = RedisStream.from_url(self.redis.url)
        try:
            yield stream
        finally:
            stream.close()

    def revisions(self, prefix: str = "/services/") -> Mapping[str, int]:
        """Return the revision of the last write of every instance's key."""
        with self.store() as store:
            return {item.key: item.revision for item in store.list(prefix).items}

    def entries(self) -> tuple[Entry, ...]:
        """Return the whole stream."""
        with self.stream() as stream:
            decoded = (decode_entry(raw.sequence, raw.fields) for raw in stream.tail(10_000))
            return tuple(entry for entry in decoded if entry is not None)

    def swallowed(self, backend: Address) -> frozenset[int]:
        """Return the clients' ports of connections whose bytes went to that backend, and nothing came back."""
        ended = (event for proxy in self.proxies for event in proxy.events("connection ended"))
        return frozenset(
            parse_address(str(event["client"])).port
            for event in ended
            if event["backend"] == str(backend) and event["bytes_up"] and not event["bytes_down"]
        )

    def applied(self, proxy: Part) -> Mapping[int, float]:
        """Return when the proxy had applied each entry, by sequence (epoch seconds)."""
        applied: dict[int, float] = {}
        for event in proxy.events("table applied"):
            at = datetime.fromisoformat(str(event["timestamp"])).timestamp()
            applied[int(str(event["sequence"]))] = at
        return applied


@contextmanager
def running_line(directory: Path, register_options: Sequence[str]) -> Iterator[Line]:
    """Start everything in its order; end it in the opposite one, whatever the test did to it."""
    with ExitStack() as ending:
        etcd = ending.enter_context(EtcdServer(_made(directory, "etcd")))
        redis = ending.enter_context(RedisServer(_made(directory, "redis")))
        registry, url = f"etcd://{etcd.address}/services", redis.url
        register = Part(
            _made(directory, "register"),
            "register",
            ["--registry", registry, "--host", "e2e", "--ttl", str(TTL_SECONDS), *register_options],
        )
        # A proxy is ready when the stream is complete, and no stream begins from an empty registry before the hold.
        following = ["--source", registry, "--redis", url, "--hold-seconds", "2", "--ttl", str(TTL_SECONDS)]
        discover = Part(_made(directory, "discover"), "discover", following)
        first, second = (
            Part(
                _made(directory, f"proxy-{address}"),
                "proxy",
                [
                    "--redis",
                    url,
                    "--address",
                    address,
                    "--log-level",
                    "debug",
                    "--state-dir",
                    str(_made(directory, f"state-{address}")),
                ],
            )
            for address in ("127.0.0.1", "127.0.0.2")
        )
        for part in (register, discover, first, second):
            ending.enter_context(part)
        yield Line(etcd, redis, register, discover, (first, second), free_port())


def wait_until(condition: Callable[[], object], what: str, deadline_seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition, or fail saying for what."""
    until = time.monotonic() + deadline_seconds
    while not condition():
        if time.monotonic() > until:
            message = f"waited {deadline_seconds} s in vain for {what}"
            raise AssertionError(message)
        time.sleep(0.02)  # between two looks at a condition, bounded by the deadline above


def holds_for(seconds: float, condition: Callable[[], object], what: str) -> None:
    """Watch that a condition holds all the time; for promises that something does *not* happen."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert condition(), f"no longer true: {what}"
        time.sleep(0.2)  # between two looks


def _made(directory: Path, name: str) -> Path:
    made = directory / name
    made.mkdir()
    return made
