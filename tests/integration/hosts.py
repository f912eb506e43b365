"""One host's proxies with a holder of sockets between them, a service of two instances, and what the kernel knows."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from mooring.model import Address
from tests.integration.proxies import Discover, Place, answering
from tests.load import Load
from tests.parts import Part
from tests.servers import HOST, RedisServer, free_port

RATE = 500.0
# A client waits as long as a restart takes, and here that depends on what else this machine does.
PATIENCE_SECONDS = 20.0
# Of the kernel's table: what a socket does, and what it is.
_ESTABLISHED, _LISTENING = "01", "0A"


class Host:
    """A Redis, a service with two instances, a holder of sockets, and proxies by name."""

    def __init__(self, directory: Path, redis: RedisServer, ending: ExitStack) -> None:
        self.redis = redis
        self.path = directory / "sockets"
        self._place = Place(directory, redis, ending)
        self._ending = ending
        self.holder = self.holder_called("holder")
        self.discover: Discover = self._place.discover()
        self.one, self.two = self._place.whoami("one"), self._place.whoami("two")
        self.port = free_port()
        self.show()

    def holder_called(self, name: str, *options: str) -> Part:
        """Return a holder of sockets at the path that all proxies ask at, not started yet."""
        directory = self._place.directory / name
        directory.mkdir()
        made = Part(directory, "sockets", ["--path", str(self.path), *options])
        self._ending.callback(made.kill)
        return made

    def show(self) -> None:
        """Let the service be there."""
        self.discover.show(self.one.instance("web", self.port), self.two.instance("web", self.port))

    def proxy(self, name: str, *options: str) -> Part:
        """Return a proxy, not started yet."""
        return self._place.proxy("--sockets", str(self.path), "--drain-seconds", "20", *options, name=name)

    def started(self, name: str, *options: str) -> Part:
        """Return a proxy that is ready."""
        proxy = self.proxy(name, *options)
        proxy.start()
        return proxy

    # -- what clients meet

    def load(self, port: int = 0) -> Load:
        """Ask for the service."""
        return Load([Address(HOST, port or self.port)], RATE, timeout_seconds=PATIENCE_SECONDS)

    def answering(self, load: Load) -> None:
        """Wait until both instances answer what is asked from now on."""
        answering(load, "one", "two")

    # -- what the processes say, and the kernel

    def accepted(self, proxy: Part) -> bool:
        """Tell whether a proxy has served anybody."""
        return proxy.metric("mooring_proxy_connections_total") > 0

    def held(self) -> set[str]:
        """Return the addresses that the holder holds."""
        return {one["address"] for one in self.holder.state()["sockets"]}

    def listens(self) -> bool:
        """Tell whether anybody listens on the service's port."""
        return any(port == self.port for port, _, state, _ in _table() if state == _LISTENING)

    def descriptors(self, part: Part) -> int:
        """Return how many descriptors a process has."""
        return len(list(Path(f"/proc/{part.pid}/fd").iterdir()))


def client_ports(process_id: int, port: int) -> set[int]:
    """Return the ports of the clients whose connections to a local port a process has accepted."""
    links = [_link(path) for path in Path(f"/proc/{process_id}/fd").iterdir()]
    inodes = {link.removeprefix("socket:[").removesuffix("]") for link in links}
    return {peer for local, peer, _, inode in _table() if local == port and inode in inodes}


def in_queue(port: int) -> int:
    """Return how many connections to a local port nobody has accepted yet: the kernel gives them no inode."""
    return sum(local == port and state == _ESTABLISHED and inode == "0" for local, _, state, inode in _table())


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except FileNotFoundError:
        return ""


def _table() -> list[tuple[int, int, str, str]]:
    """Return local port, peer's port, state and inode of every IPv4 TCP socket."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [(int(line[1][-4:], 16), int(line[2][-4:], 16), line[3], line[9]) for line in lines]
