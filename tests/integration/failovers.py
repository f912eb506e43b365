"""Redis behind sentinels, a discover that writes there and two proxies that follow it, all as real processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import redis
from attrs import frozen

from mooring.errors import Unavailable
from mooring.model import Address, Instance
from tests.integration.discovers import Site, open_site
from tests.integration.proxies import Whoami
from tests.load import Load
from tests.parts import Part
from tests.servers import (
    HOST,
    WATCHED,
    EtcdServer,
    RedisServer,
    Replica,
    SentinelServer,
    free_port,
)
from tests.waiting import wait_until

RATE = 50.0
FAILOVER_SECONDS = 30.0
ADDRESSES = (HOST, "127.0.0.2")


class Watched:
    """A Redis, a second one that copies it, and sentinels that watch them."""

    def __init__(self, first: RedisServer, second: Replica, sentinels: tuple[SentinelServer, ...]) -> None:
        self.first = first
        self.second = second
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """What `--redis` takes."""
        return f"redis+sentinel://{','.join(f'{HOST}:{one.port}' for one in self.sentinels)}/{WATCHED}"

    def cut(self) -> None:
        """Let the copy get nothing any more, while everybody else is served."""
        tell(self.first, "ACL", "SETUSER", "default", "-psync", "-sync")
        tell(self.first, "CLIENT", "KILL", "TYPE", "replica")

    def await_primary(self, server: RedisServer) -> float:
        """Wait until all sentinels name that server, and it has taken over; return how long that took."""
        return wait_until(
            lambda: {one.primary_port for one in self.sentinels} == {server.port} and role(server) == "master",
            lambda: f"{server.port} to be the primary:\n{self.sentinels[0].tail()}",
            FAILOVER_SECONDS,
        )

    def await_replica(self, server: RedisServer) -> float:
        """Wait until that server copies the other one; return how long that took."""
        return wait_until(lambda: role(server) == "slave", f"{server.port} to be a replica", FAILOVER_SECONDS)


def tell(server: RedisServer, *command: str) -> object:
    """Say something to a server as its operator would."""
    with redis.Redis(port=server.port, socket_timeout=1) as client:
        return client.execute_command(*command)


def role(server: RedisServer) -> str:
    """Return what a server says that it is; nothing when it does not answer."""
    try:
        said = tell(server, "ROLE")
    except redis.RedisError:
        return ""
    return said[0].decode() if isinstance(said, list) else ""


@contextmanager
def watched(directory: Path, sentinels: int = 1) -> Iterator[Watched]:
    """Start it all, and wait until every sentinel knows everybody."""
    with ExitStack() as ending:
        first = ending.enter_context(RedisServer(directory / "first", "--repl-diskless-sync-delay", "0"))
        second = ending.enter_context(Replica(directory / "second", first))
        wait_until(lambda: b"up" in bytes(str(tell(second, "INFO", "replication")), "ascii"), "the copy to be made")
        made = [
            SentinelServer(directory / f"sentinel-{number}", first, sentinels // 2 + 1) for number in range(sentinels)
        ]
        for one in made:
            ending.enter_context(one)
        for one in made:
            wait_until(partial(one.knows, 1, sentinels - 1), one.tail, FAILOVER_SECONDS)
        yield Watched(first, second, tuple(made))


@frozen
class Stand:
    """What one test of a failover stands on."""

    redis: Watched
    site: Site
    proxies: tuple[Part, ...]
    port: int
    directory: Path
    ending: ExitStack

    @property
    def targets(self) -> tuple[Address, ...]:
        """Where the proxies answer for the service `web`."""
        return tuple(Address(address, self.port) for address in ADDRESSES)

    def service(self, name: str) -> tuple[Whoami, Instance]:
        """Start a service and return it, with the instance that it is; nobody has registered it."""
        started = self.ending.enter_context(Whoami(self.directory / name, name))
        return started, started.instance("web", self.port)

    def load(self) -> Load:
        """Return a load on both proxies."""
        return Load(self.targets, RATE)

    def incarnation(self) -> str:
        """Return the stream's, nothing while it does not answer or is not complete."""
        head = self.site.head()
        return head.incarnation if head is not None and head.complete else ""

    def await_table(self, *names: str, former: str = "") -> float:
        """Wait until the catalog and both proxies have exactly these, in another incarnation than the former."""
        return wait_until(
            lambda: self._has(set(names), former),
            lambda: f"{names} everywhere; there is {self._tables()}\n{self.proxies[0].tail(5)}",
            FAILOVER_SECONDS,
        )

    def _has(self, names: set[str], former: str) -> bool:
        head = self.site.head()
        if head is None or not head.complete or head.incarnation == former:
            return False
        return all(
            (state["incarnation"], state["sequence"]) == (head.incarnation, head.sequence) and backends(state) == names
            for state in (proxy.state() for proxy in self.proxies)
        )

    def _tables(self) -> object:
        try:
            catalog = self.site.catalog()
        except Unavailable as error:
            return str(error)
        return catalog, [(state["incarnation"], state["sequence"], backends(state)) for state in self.states()]

    def states(self) -> list[dict[str, object]]:
        """Return what the proxies say."""
        return [proxy.state() for proxy in self.proxies]


def backends(state: dict[str, object]) -> set[str]:
    """Return the ids of the backends that a proxy has for its only listener."""
    listeners = state["listeners"]
    assert isinstance(listeners, list)
    return {one["id"] for listener in listeners for one in listener["backends"] if one["state"] != "gone"}


@contextmanager
def stand(directory: Path, etcd: EtcdServer, namespace: str, sentinels: int = 1) -> Iterator[Stand]:
    """Start two Redis and their sentinels, and two proxies; a discover is the test's to start."""
    with ExitStack() as ending:
        behind = ending.enter_context(watched(directory, sentinels))
        site = ending.enter_context(open_site(etcd, behind, directory, namespace))
        proxies = tuple(
            Part(
                directory / f"proxy-{address}",
                "proxy",
                ["--redis", behind.url, "--namespace", namespace, "--address", address],
            )
            for address in ADDRESSES
        )
        for proxy in proxies:
            ending.callback(proxy.kill)
            proxy.launch()
        yield Stand(behind, site, proxies, free_port(), directory, ending)
