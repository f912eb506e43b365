"""A real register against a real etcd: what stays, what goes, and what costs no write."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from mooring.documents import decode_instance
from mooring.etcd.address import parse_etcd_address
from mooring.etcd.client import connect_to
from mooring.etcd.store import KeyValue, Put, Store
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
        """Start a register."""
        admin = free_port()
        command = [str(Path(sys.executable).with_name("mooring")), "register", "--registry", self.address]
        command += ["--static", str(self.file), "--host", host or self.host, "--ttl", str(TTL_SECONDS)]
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


@pytest.fixture
def site(etcd_server: EtcdServer, tmp_path: Path, namespace: str) -> Iterator[Site]:
    """Give a place to register at."""
    one = Site(etcd_server, tmp_path, namespace)
    yield one
    for process in one.processes:
        process.kill()
        process.wait()
    one.store.close()


def test_kill_and_expire(site: Site) -> None:
    """After `kill -9` the instances stay until the lease expires, and then go."""
    site.declare(8001, 8002)
    process = site.ready(site.register())
    began = time.monotonic()
    site.kill(process)
    assert site.ports() == {8001, 8002}
    until(lambda: not site.keys())
    assert time.monotonic() - began > TTL_SECONDS / 2
    assert site.store.get(f"/mooring/hosts/{site.host}") is None


def test_kill_and_restart(site: Site) -> None:
    """Restarted before the lease expires, register writes none of what did not change."""
    site.declare(8001, 8002)
    site.kill(site.ready(site.register()))
    before = site.keys()
    process = site.ready(site.register())
    assert site.keys() == before
    # And so it remains when the adopted lease would have ended, had nobody renewed it.
    until(lambda: site.counted(process, "mooring_register_keep_alives_total") > TTL_SECONDS + 1)
    assert site.keys() == before


def test_stop_and_restart(site: Site) -> None:
    """SIGTERM ends with status 0 within two seconds and leaves the keys to the successor, which writes none of them."""
    site.declare(8001, 8002)
    seconds = site.stop(site.ready(site.register()))
    before = site.keys()
    assert len(before) == 2
    assert seconds < 2.0
    site.ready(site.register())
    assert site.keys() == before


def test_what_changed_meanwhile(site: Site) -> None:
    """A successor writes what changed while nobody looked, and nothing else."""
    site.declare(8001, 8002)
    site.stop(site.ready(site.register()))
    before = site.keys()
    site.declare(8002, 8003)
    site.ready(site.register())
    until(lambda: site.ports() == {8002, 8003})
    unchanged = f"{site.prefix}/web/127.0.0.1:web:8002"
    assert site.keys()[unchanged] == before[unchanged]


def test_another_ttl(site: Site) -> None:
    """A successor with another TTL moves the keys to a lease of its own; nobody sees another value."""
    site.declare(8001)
    site.stop(site.ready(site.register()))
    ((key, before),) = site.keys().items()
    site.ready(site.register("--ttl", "7"))
    after = site.keys()[key]
    assert after.value == before.value
    lease = site.store.lease(after.lease)
    assert lease is not None
    assert lease.granted_seconds == 7
    assert site.store.lease(before.lease) is None


def test_the_last_one_writes(site: Site) -> None:
    """Of two registers of one engine the last one writes; the first stands by, and takes over when it is alone."""
    site.declare(8001)
    first = site.ready(site.register())
    second = site.ready(site.register())
    until(lambda: "another register" in site.ask(first, "/readyz")[1])
    site.declare(8001, 8002)
    until(lambda: site.ports() == {8001, 8002})
    assert (
        site.counted(first, "mooring_register_puts_total"),
        site.counted(second, "mooring_register_puts_total"),
    ) == (1, 1)
    before = site.keys()
    site.kill(second)
    site.ready(first)
    assert site.keys() == before
    site.declare(8003)
    until(lambda: site.ports() == {8003})


def test_another_engine(site: Site) -> None:
    """Another engine under the same host name is refused by name; it writes nothing, and waits."""
    site.declare(8001)
    record = {"engine": "ANOTHER", "lease": "0", "token": "x", "ttl": TTL_SECONDS}
    lease = site.store.grant(60)
    record["lease"] = f"{lease:x}"
    key = f"/mooring/hosts/{site.host}"
    put(site.store, key, json.dumps(record), lease)
    process = site.register()
    until(lambda: "is held by engine ANOTHER" in site.ask(process, "/readyz")[1])
    assert site.keys() == {}
    site.store.revoke(lease)
    site.ready(process)
    assert site.ports() == {8001}


def put(store: Store, key: str, value: str, lease: int = 0) -> None:
    """Write a key without any condition."""
    store.commit((), (Put(key, value.encode(), lease),))


def test_broken_entries(site: Site) -> None:
    """A broken entry is reported, counted and shown, and the others are registered; a broken file changes nothing."""
    site.write("instances:\n  - {service: web, address: '127.0.0.1:8001'}\n  - {service: web, weight: 1}\n")
    process = site.ready(site.register())
    assert site.ports() == {8001}
    assert "instance 2: address is missing" in site.ask(process, "/state")[1]
    assert site.counted(process, "mooring_register_problems_total") == 1
    assert site.logged().count("instance 2: address is missing") == 1
    site.write("instances: [")
    until(lambda: "not YAML" in site.ask(process, "/state")[1])
    assert site.ports() == {8001}


def test_an_id_of_another_host(site: Site) -> None:
    """An id that another host holds is reported naming both, and everything else is registered."""
    site.declare(8001, 8002)
    site.ready(site.register(host=f"{site.host}-first"))
    process = site.ready(site.register())
    said = site.ask(process, "/state")[1]
    assert f"held by host '{site.host}-first' in service 'web', this is host '{site.host}'" in said
    assert {one.host for one in site.instances()} == {f"{site.host}-first"}


def test_withdraw_on_exit(site: Site) -> None:
    """A register that was asked to withdraws everything, with the host, before it ends in time."""
    site.declare(8001, 8002)
    assert site.stop(site.ready(site.register("--withdraw-on-exit"))) < 2.0
    assert site.keys() == {}
    assert site.store.get(f"/mooring/hosts/{site.host}") is None


def test_withdraw(site: Site) -> None:
    """`--withdraw` retires a host whose register has ended, and ends by itself."""
    site.declare(8001, 8002)
    site.stop(site.ready(site.register()))
    assert site.register("--withdraw").wait(timeout=DEADLINE_SECONDS) == 0
    assert site.keys() == {}
    assert site.store.get(f"/mooring/hosts/{site.host}") is None


def test_etcd_away(own_etcd_server: EtcdServer, tmp_path: Path, namespace: str) -> None:
    """While etcd is away register waits; when it is back, with or without its past, it gets what is wanted now."""
    site = Site(own_etcd_server, tmp_path, namespace)
    try:
        site.declare(8001)
        process = site.ready(site.register())
        own_etcd_server.kill()
        site.declare(8001, 8002)
        until(lambda: site.ask(process, "/readyz")[0] == 503)
        own_etcd_server.restart(keep_data=True)
        site.ready(process)
        until(lambda: site.ports() == {8001, 8002})
        own_etcd_server.restart(keep_data=False)
        until(lambda: site.ports() == {8001, 8002})
        assert process.poll() is None
    finally:
        for one in site.processes:
            site.kill(one)
        site.store.close()
