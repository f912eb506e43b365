"""Registers as processes, at one etcd and one prefix of a test: starting, asking and ending them."""

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import yaml

from mooring.documents import decode_instance
from mooring.etcd.address import parse_etcd_address
from mooring.etcd.client import connect_to
from mooring.etcd.store import KeyValue, Store
from mooring.model import Instance
from tests.servers import EtcdServer, free_port

DEADLINE_SECONDS = 15.0
TTL_SECONDS = 3


def until(condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until something holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


class Site:
    """An etcd, a prefix in it, and a static file; registers are started on them and ended at the end."""

    def __init__(self, etcd: EtcdServer, directory: Path, namespace: str) -> None:
        self.address = f"etcd://127.0.0.1:{etcd.port}/{namespace}"
        self.host = namespace
        self.file = directory / "static.yaml"
        self.log = directory / "register.log"
        self.prefix = f"/{namespace}"
        self.store: Store = connect_to(parse_etcd_address(self.address))
        self.processes: list[subprocess.Popen[bytes]] = []
        self.admins: dict[int, int] = {}

    def declare(self, *ports: int) -> None:
        """Let the file list an instance of `web` on each of these ports."""
        entries = [{"service": "web", "address": f"127.0.0.1:{port}"} for port in ports]
        self.write(yaml.safe_dump({"instances": entries}))

    def write(self, text: str) -> None:
        """Put another file in the place of this one, at once."""
        other = self.file.with_suffix(".new")
        other.write_text(text)
        other.rename(self.file)

    def register(self, *options: str, host: str = "") -> subprocess.Popen[bytes]:
        """Start a register of the file."""
        return self.run("--static", str(self.file), *options, host=host)

    def run(self, *options: str, host: str = "") -> subprocess.Popen[bytes]:
        """Start a register with these options."""
        admin = free_port()
        command = [str(Path(sys.executable).with_name("mooring")), "register", "--registry", self.address]
        command += ["--host", host or self.host, "--ttl", str(TTL_SECONDS)]
        command += ["--admin", f"127.0.0.1:{admin}", "--log-format", "json", *options]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.processes.append(process)
        self.admins[process.pid] = admin
        return process

    def ask(self, process: subprocess.Popen[bytes], path: str) -> tuple[int, str]:
        """Ask a register's admin server; status 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admins[process.pid]}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def counted(self, process: subprocess.Popen[bytes], name: str) -> float:
        """Return what a register has counted under a name, over all labels."""
        lines = self.ask(process, "/metrics")[1].splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def end(self) -> None:
        """End whatever still runs."""
        for process in self.processes:
            self.kill(process)
        self.store.close()

    def ready(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Wait until a register has listed and written."""
        until(lambda: self.ask(process, "/readyz")[0] == 200)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a register without a word."""
        process.kill()
        process.wait()

    def stop(self, process: subprocess.Popen[bytes]) -> float:
        """Ask a register to end, which it must do well, and return the seconds that it took."""
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=DEADLINE_SECONDS) == 0
        return time.monotonic() - began

    def keys(self) -> dict[str, KeyValue]:
        """Return what is written below the prefix."""
        return {found.key: found for found in self.store.list(f"{self.prefix}/").items}

    def ports(self) -> set[int]:
        """Return the ports of the instances that are written."""
        return {one.address.port for one in self.instances()}

    def instances(self) -> list[Instance]:
        """Return the instances that are written."""
        return [decode_instance(found.value, where=found.key) for found in self.keys().values()]

    def logged(self) -> str:
        """Return what all registers have logged."""
        return self.log.read_text()
