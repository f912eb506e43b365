"""The whole line as a test runs it: etcd, Redis, register, discover and two proxies as real processes.

Every part can be killed, frozen and restarted on its own, as its operator or its fate would; see tests/servers.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from attrs import frozen

from mooring.entries import Entry, decode_entry
from mooring.etcd.client import EtcdStore, connect
from mooring.model import Address, parse_address
from mooring.redis.client import RedisStream
from tests.parts import Part
from tests.servers import EtcdServer, RedisServer, free_port

TTL_SECONDS = 9  # three times what a restart takes on a busy machine


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


def _made(directory: Path, name: str) -> Path:
    made = directory / name
    made.mkdir()
    return made
