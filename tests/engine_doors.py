"""Ways to a Docker engine as people lay them: HAProxy before its socket, with TLS, read-only or impatient, and SSH.

They lead to the engine of this machine. HAProxy does what the usual read-only proxies do, which are made of it.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers import HOST, Server

ENGINE = "/var/run/docker.sock"
PATIENT_SECONDS = 600.0
ASK_SECONDS = 1.0
# What a register needs to ask for.
NEEDED = ("version", "info", "events", "containers")


def why_no_program(name: str) -> str | None:
    """Tell that a program is not here; None if it is."""
    return None if _found(name) else f"no {name} on PATH, nor where servers are"


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


class Door(Server):
    """Something that listens on a port; what it leads to may be away."""

    def __init__(self, directory: Path, program: str, address: str = HOST) -> None:
        found = _found(program)
        assert found is not None, why_no_program(program)
        super().__init__(directory, Path(found))
        self.host = address

    def answers(self) -> bool:
        """See `Server.answers`."""
        try:
            socket.create_connection((self.host, self.port), timeout=ASK_SECONDS).close()
        except OSError:
            return False
        return True


class Haproxy(Door):
    """HAProxy before an engine's socket. It lets GET of `allowed` pass, and ends what was idle for so long.

    `spoiled` are rules that begin with what is done in place of passing a request on, as HAProxy says it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        address: str = HOST,
        certificates: Path | None = None,
        idle_seconds: float = PATIENT_SECONDS,
        allowed: Sequence[str] = NEEDED,
        spoiled: Sequence[str] = (),
    ) -> None:
        """With `certificates` (tests/tls.py) it speaks TLS, and only with whoever has one of them."""
        super().__init__(directory, "haproxy", address)
        self._certificates = certificates
        self._idle_milliseconds = int(1000 * idle_seconds)
        self._allowed = "|".join(allowed)
        self._spoiled = tuple(f"  http-request {rule}" for rule in spoiled)

    def command(self) -> list[str]:
        """See `Server.command`."""
        settings = self.data / "haproxy.cfg"
        settings.write_text("\n".join([*self._settings(), ""]))
        return [str(self.program), "-db", "-f", str(settings)]

    def _settings(self) -> list[str]:
        return [
            "defaults",
            "  mode http",
            # Else it holds an event back for a fifth of a second, hoping for more.
            "  option http-no-delay",
            "  timeout connect 5s",
            f"  timeout client {self._idle_milliseconds}",
            f"  timeout server {self._idle_milliseconds}",
            f"  timeout tarpit {self._idle_milliseconds}",
            "frontend door",
            f"  bind {self.host}:{self.port}{self._tls()}",
            f"  http-request deny unless METH_GET {{ path_reg ^(/v[0-9.]+)?/({self._allowed})(/|$) }}",
            *self._spoiled,
            "  default_backend engine",
            "backend engine",
            f"  server engine unix@{ENGINE}",
        ]

    def _tls(self) -> str:
        if self._certificates is None:
            return ""
        both = self.data / "both.pem"
        both.write_text("".join((self._certificates / f"server.{end}").read_text() for end in ("pem", "key")))
        return f" ssl crt {both} ca-file {self._certificates / 'ca.pem'} verify required"


class Sshd(Door):
    """An OpenSSH server that lets whoever runs the tests in with a key of its own, and a home that knows it.

    The home is for a process that is to get in: in its `.ssh` are the key and the server's, which is believed.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "sshd")
        self.home = directory / "home"
        self.user = getpass.getuser()

    def command(self) -> list[str]:
        """See `Server.command`."""
        # Where it goes for a while to have no rights; Debian makes it when the service starts.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        folder = self.home / ".ssh"
        if not folder.exists():
            folder.mkdir(parents=True)
            _make_key(self.data / "host_key")
            _make_key(folder / "id_ed25519")
        self.know(self.data / "host_key.pub")
        options = {
            "ListenAddress": f"{self.host}:{self.port}",
            "HostKey": self.data / "host_key",
            "AuthorizedKeysFile": folder / "id_ed25519.pub",
            "PidFile": "none",
            "UsePAM": "no",
            "StrictModes": "no",
            "PasswordAuthentication": "no",
            "SetEnv": f"PATH={os.environ['PATH']}",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return [str(self.program), "-D", "-e", "-f", os.devnull, *words]

    def know(self, key: Path) -> None:
        """Let the home believe that the server has this key."""
        kind, public, *_ = key.read_text().split()
        (self.home / ".ssh" / "known_hosts").write_text(f"[{self.host}]:{self.port} {kind} {public}\n")


def _make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
