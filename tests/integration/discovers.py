"""Discovers as processes between an etcd and a Redis, a register's hand in the one and a proxy's eye on the other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mooring.documents import encode_instance
from mooring.errors import Unavailable
from mooring.etcd.address import parse_etcd_address
from mooring.etcd.client import connect_to
from mooring.etcd.store import NO_LEASE, Delete, Put, Store
from mooring.keys import RedisNames, host_key, instance_key
from mooring.model import Address, Instance, State
from mooring.redis.client import RedisStream
from mooring.redis.stream import Head
from tests.parts import Part
from tests.servers import EtcdServer

HOLD_SECONDS = 3.0


def instance(
    name: str, *, host: str = "h1", service: str = "web", state: State = State.UP, cause: str = ""
) -> Instance:
    """Return an instance at an address of its own."""
    address = Address("10.0.0.1", 1000 + sum(ord(letter) << index for index, letter in enumerate(f"{service}{name}")))
    return Instance(service=service, id=name, address=address, host=host, port=80, state=state, cause=cause)


class Reachable(Protocol):
    """A Redis, or several that are one."""

    @property
    def url(self) -> str:
        """What `--redis` takes."""


class Site:
    """An etcd and a Redis, a register's hand in the one, a reader's eye on the other, and discovers between them."""

    def __init__(self, etcd: EtcdServer, redis: Reachable, directory: Path, namespace: str) -> None:
        self.source = f"etcd://{etcd.address}/{namespace}"
        self.redis = redis.url
        self.namespace = namespace
        self.directory = directory
        self.prefix = f"/{namespace}"
        self.store: Store = connect_to(parse_etcd_address(self.source))
        self.stream = RedisStream.from_url(redis.url, RedisNames(namespace))
        self.parts: list[Part] = []

    # -- as a register does

    def put(self, *instances: Instance, lease: int = NO_LEASE) -> None:
        """Write instances' documents."""
        for one in instances:
            self.store.commit((), (Put(self.key(one), encode_instance(one).encode(), lease),))

    def withdraw(self, one: Instance, cause: str = "stopped") -> None:
        """Take an instance out, with a word."""
        down = Instance(service=one.service, id=one.id, address=one.address, state=State.DOWN, cause=cause)
        self.put(down)
        self.store.commit((), (Delete(self.key(one)),))

    def host(self, name: str, *instances: Instance, ttl_seconds: int = 60) -> int:
        """Write a host's instances under a lease, and return it."""
        lease = self.store.grant(ttl_seconds)
        self.store.commit((), (Put(host_key(name), b"{}", lease),))
        self.put(*instances, lease=lease)
        return lease

    def key(self, one: Instance) -> str:
        """Return where an instance is written."""
        return instance_key(self.prefix, one.service, one.id)

    # -- as an operator does

    def discover(self, *options: str) -> Part:
        """Start a discover."""
        where = ["--source", self.source, "--redis", self.redis, "--namespace", self.namespace]
        where += ["--hold-seconds", str(HOLD_SECONDS)]
        part = Part(self.directory / f"discover-{len(self.parts) + 1}", "discover", [*where, *options])
        self.parts.append(part)
        part.launch()
        return part

    def close(self) -> None:
        """End whatever still runs."""
        for part in self.parts:
            part.kill()
        self.store.close()
        self.stream.close()

    # -- as a proxy does

    def head(self) -> Head | None:
        """Return where the stream stands, None while Redis does not answer."""
        try:
            return self.stream.head()
        except Unavailable:
            return None

    def complete(self, *, other_than: str = "") -> bool:
        """Whether there is a stream that is complete, of another incarnation than that."""
        head = self.head()
        return head is not None and head.complete and head.incarnation != other_than

    def catalog(self) -> dict[str, State]:
        """Return the states of the instances in the catalog, by id."""
        return {one.id: one.state for one in self.stream.catalog().instances()}

    def types(self) -> list[str]:
        """Return the types of all entries, oldest first."""
        return [entry.fields["type"] for entry in self.stream.tail(10_000)]

    def last(self, kind: str) -> Mapping[str, str]:
        """Return the newest entry of a type."""
        return next(one.fields for one in reversed(self.stream.tail(10_000)) if one.fields["type"] == kind)


def leads(part: Part) -> bool:
    """Tell whether a discover leads."""
    return bool(part.state()["role"] == "leading")


@contextmanager
def open_site(etcd: EtcdServer, redis: Reachable, directory: Path, namespace: str) -> Iterator[Site]:
    """Give a site and end everything that was started in it."""
    site = Site(etcd, redis, directory, namespace)
    try:
        yield site
    finally:
        site.close()
