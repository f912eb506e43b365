"""Proxies that share listening sockets, and the process that holds them: whoever is restarted, nobody is refused.

The load is a new connection every two milliseconds that is never tried again; no failure is forgiven where nobody was
killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mooring.model import Address
from tests.integration.proxies import Discover, Place, answering
from tests.load import Load
from tests.parts import Part
from tests.servers import HOST, RedisServer, free_port
from tests.waiting import wait_until

RATE = 500.0


class Host:
    """A Redis, a service with two instances, a holder of sockets, and proxies by name."""

    def __init__(self, directory: Path, redis: RedisServer, ending: ExitStack) -> None:
        self._place = Place(directory, redis, ending)
        self.path = directory / "sockets"
        self.holder = Part(self._made("holder"), "sockets", ["--path", str(self.path)])
        ending.callback(self.holder.kill)
        self.discover: Discover = self._place.discover()
        self.one, self.two = self._place.whoami("one"), self._place.whoami("two")
        self.port = free_port()
        self.show()

    def _made(self, name: str) -> Path:
        made = self._place.directory / name
        made.mkdir()
        return made

    def show(self) -> None:
        """Let the service be there."""
        self.discover.show(self.one.instance("web", self.port), self.two.instance("web", self.port))

    def proxy(self, name: str, *options: str) -> Part:
        """Return a proxy, not started yet."""
        return self._place.proxy("--sockets", str(self.path), "--drain-seconds", "20", *options, name=name)

    def load(self) -> Load:
        """Ask for the service."""
        return Load([Address(HOST, self.port)], RATE)


@pytest.fixture
def host(tmp_path: Path, own_redis_server: RedisServer) -> Iterator[Host]:
    """Have a host with a holder that runs."""
    with ExitStack() as ending:
        made = Host(tmp_path, own_redis_server, ending)
        made.holder.start()
        yield made


def test_a_lone_proxy_is_restarted(host: Host, measured: Callable[[str], None]) -> None:
    """While it is away clients wait in the queue of the socket that the holder has, and then they are served."""
    proxy = host.proxy("a")
    proxy.start()
    with host.load() as load:
        answering(load, "one", "two")
        began = time.monotonic()
        proxy.end()
        proxy.start()
        measured(f"a lone proxy's restart: {time.monotonic() - began:.2f} s")
        answering(load, "one", "two")
    assert load.failures == ()
    measured(f"longest wait of {len(load.outcomes)}: {max(one.seconds for one in load.outcomes):.2f} s")
