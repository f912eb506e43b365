"""Several machines on one: each with processes, mounts, network and host name of its own, all plugged into one switch.

Made of Linux namespaces, as root. A machine runs for as long as the test holds its power cord, a pipe: when the pipe is
closed, or the test dies however it dies, the kernel kills every process of the machine at once, and its mounts and
network go with it. Nothing is left to be tidied up in this machine's own namespaces; even the switch lies in another.

Knows nothing of Docker (see `engines`), nor of what else runs on a machine.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import IO

# Set aside for documentation: no machine that a test must reach has such an address. Each process of a run has a piece
# of it: this machine is plugged into the switches of all of them at once.
_PIECES = tuple(IPv4Network("203.0.113.0/24").subnets(new_prefix=28))
NETWORK = _PIECES[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % len(_PIECES)]
GATEWAY, OUTSIDE, *ADDRESSES = (str(address) for address in itertools.islice(NETWORK.hosts(), 10))
LENGTH = NETWORK.prefixlen

COMMAND_SECONDS = 30.0
# Ends when the pipe on its standard input is closed; as process 1 of a namespace it takes all others with it.
HOLD = "echo on; exec cat"


_LIBC = ctypes.CDLL(None, use_errno=True)


class MachineError(Exception):
    """A machine or the switch could not be made; the message ends with what was said."""


def run(*command: str) -> str:
    """Run a command to its end and return what it wrote. Raises MachineError if it fails."""
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS)
    if outcome.returncode != 0:
        raise MachineError(f"{shlex.join(command)} ended with {outcome.returncode}: {outcome.stderr.strip()}")
    return outcome.stdout


def _enter(namespace: IO[str]) -> None:
    """Move this thread into another network namespace. os.setns is there from Python 3.12 on."""
    if _LIBC.setns(namespace.fileno(), 0) != 0:
        raise MachineError(f"setns: {os.strerror(ctypes.get_errno())}")


class Namespaces:
    """New namespaces of some kinds, which live as long as this object is not closed."""

    def __init__(self, kinds: Sequence[str], script: str = "") -> None:
        """`kinds` are options of unshare(1); the shell `script` runs inside before anything else does."""
        self._holder = subprocess.Popen(
            ["unshare", *kinds, "sh", "-euc", f"{script}\n{HOLD}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"on\n":
            raise MachineError(f"unshare {shlex.join(kinds)} ended with {self._holder.wait()}")

    @property
    def pid(self) -> int:
        """A process, as the rest of the machine numbers it, that has these namespaces, save the one of processes."""
        return self._holder.pid

    def close(self) -> None:
        """End every process of the namespaces, if they have process numbers of their own, and wait until all ended."""
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.wait()
        self._holder.stdout.close()


class Switch:
    """A switch in a network namespace of its own; this machine is plugged in as OUTSIDE."""

    def __init__(self) -> None:
        self._namespaces = Namespaces(["--net"])
        self._ours = f"test-{os.getpid()}"

    def connect(self) -> None:
        """Switch it on and plug this machine in."""
        self._run("ip", "link", "add", "switch", "type", "bridge")
        self._run("ip", "address", "add", f"{GATEWAY}/{LENGTH}", "dev", "switch")
        self._run("ip", "link", "set", "switch", "up")
        self._run(*f"ip link add outside type veth peer name {self._ours} netns {os.getpid()}".split())
        self._enable("outside")
        run("ip", "address", "add", f"{OUTSIDE}/{LENGTH}", "dev", self._ours)
        run("ip", "link", "set", self._ours, "up")

    def plug_in(self, port: str, pid: int) -> None:
        """Lay a cable from a new port to the network namespace of a process, where its end is `eth0`."""
        self._run(*f"ip link add {port} type veth peer name eth0 netns {pid}".split())
        self._enable(port)

    def pull_out(self, port: str) -> None:
        """Take a port away, at once and without a word to who is at the other end."""
        self._run("ip", "link", "delete", port)

    @contextmanager
    def apart(self, *ports: str) -> Iterator[None]:
        """Carry nothing between these ports for a while; everything else goes on."""
        for port in ports:
            self._run("bridge", "link", "set", "dev", port, "isolated", "on")
        try:
            yield
        finally:
            for port in ports:
                self._run("bridge", "link", "set", "dev", port, "isolated", "off")

    def close(self) -> None:
        """Take it away with all its cables; this machine's end would go too, but later."""
        with suppress(MachineError):
            self.pull_out("outside")
        self._namespaces.close()

    def _enable(self, port: str) -> None:
        self._run("ip", "link", "set", port, "master", "switch", "up")

    def _run(self, *command: str) -> None:
        run("nsenter", f"--net=/proc/{self._namespaces.pid}/ns/net", *command)


class Machine:
    """One machine. What it holds under `directory` outlives its power, nothing else does.

    `kept` names folders by where the machine sees them: each is one under `directory`. `/run` is empty after each
    start, the rest is this machine's.
    """

    def __init__(self, switch: Switch, name: str, address: str, directory: Path, kept: Sequence[str] = ()) -> None:
        self.name = name
        self.address = address
        self.directory = directory
        self._switch = switch
        self._kept = kept
        self._namespaces: Namespaces | None = None
        self._launched: list[subprocess.Popen[bytes]] = []

    def power_on(self) -> None:
        """Start it, with its cable plugged in, and nothing running."""
        kinds = ["--fork", "--pid", "--mount-proc", "--mount", "--net", "--uts", "--ipc"]
        self._namespaces = Namespaces(kinds, "\n".join(self._beginning()))
        self._switch.plug_in(self.name, self._namespaces.pid)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{self.address}/{LENGTH}", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", GATEWAY)

    def power_off(self) -> None:
        """End it as a power cut does: nobody hears a word from it, and every process is killed."""
        if self._namespaces is not None:
            self._switch.pull_out(self.name)
            self._namespaces.close()
            self._namespaces = None
        while self._launched:
            self._launched.pop().wait()

    def run(self, *command: str) -> str:
        """Run a command on it to its end and return what it wrote. Raises MachineError if it fails."""
        return run(*self.inside(*command))

    def launch(self, log: Path, *command: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a command on it that ends with the machine at the latest; it appends to a log."""
        with log.open("ab") as output:
            launched = subprocess.Popen(
                self.inside(*command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
        self._launched.append(launched)

    @contextmanager
    def network(self) -> Iterator[None]:
        """Have this thread connect from that machine for a while; what is connected then stays so."""
        assert self._namespaces is not None, f"{self.name} is off"
        theirs = Path(f"/proc/{self._namespaces.pid}/ns/net")
        with Path("/proc/thread-self/ns/net").open() as ours, theirs.open() as there:
            _enter(there)
            try:
                yield
            finally:
                _enter(ours)

    def inside(self, *command: str) -> list[str]:
        """Return the command that runs a command on it. Not `ip netns exec`: that hides the cgroups."""
        if self._namespaces is None:
            raise MachineError(f"{self.name} is off")
        ours = f"/proc/{self._namespaces.pid}/ns"
        entered = {"mount": "mnt", "net": "net", "uts": "uts", "ipc": "ipc", "pid": "pid_for_children"}
        return ["nsenter", *(f"--{option}={ours}/{name}" for option, name in entered.items()), *command]

    def kept(self, place: str) -> Path:
        """Return where this machine has a folder that the other one keeps."""
        return self.directory / place.strip("/")

    def _beginning(self) -> Iterator[str]:
        yield f"echo {shlex.quote(self.name)} >/proc/sys/kernel/hostname"
        yield "mount -t tmpfs tmpfs /run"
        for place in self._kept:
            folder = self.kept(place)
            folder.mkdir(parents=True, exist_ok=True)
            yield f"mkdir -p {shlex.quote(place)}"
            yield f"mount --bind {shlex.quote(str(folder))} {shlex.quote(place)}"


@contextmanager
def switch() -> Iterator[Switch]:
    """Give a switch; it is gone afterwards."""
    made = Switch()
    try:
        made.connect()
        yield made
    finally:
        made.close()


@contextmanager
def machines(*made: Machine) -> Iterator[None]:
    """Power these machines on, and off in the end."""
    with ExitStack() as ending:
        for machine in made:
            ending.callback(machine.power_off)
            machine.power_on()
        yield
