"""Real registers at a real etcd by its v2 API: what readers find there by plain HTTP, and what befalls it."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from mooring.etcd2.address import parse_etcd2_address
from mooring.etcd2.client import HttpKeys
from mooring.etcd2.store import ABSENT
from mooring.model import Address, Instance, parse_address
from mooring_register.ownership import Claim
from mooring_register.registries import registry_at
from mooring_register.writers.etcd2 import Etcd2Writer
from mooring_register.writers.etcd2_keys import OwnKeys
from mooring_register.writers.writer import Terms
from tests.integration.registers import PATIENT, TTL_SECONDS, Registers, Site
from tests.layouts import PREFIXES, THOSE, golden
from tests.parts import Part
from tests.servers import HOST, EtcdServer, free_port
from tests.waiting import holds_for, wait_until

Nodes = Mapping[str, Mapping[str, Any]]


def read(address: str, directory: str) -> dict[str, Any]:
    """Return what a reader of the v2 API is told of a directory, as curl would show it."""
    answer = requests.get(f"http://{address}/v2/keys{directory}?recursive=true", timeout=10)
    found: dict[str, Any] = answer.json()
    return found


def leaves(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the keys below a directory as etcd shows it."""
    for one in node.get("nodes", ()):
        yield from leaves(one) if one.get("dir") else (one,)


class OldSite(Registers):
    """An etcd that speaks v2, a directory in it, and registers that write there."""

    def __init__(self, etcd: EtcdServer, directory: Path, namespace: str) -> None:
        super().__init__(f"etcd2://{etcd.address}/{namespace}", directory, namespace)
        self.etcd = etcd
        self.prefix = f"/{namespace}"
        self.host_key = f"/mooring/hosts/{namespace}"

    def nodes(self, directory: str = "") -> Nodes:
        """Return the keys below a directory, by default the site's own, by their names."""
        node = read(self.etcd.address, directory or self.prefix).get("node", {})
        return {one["key"]: one for one in leaves(node)}

    def values(self) -> dict[str, str]:
        """Return what is written below the prefix, without that."""
        return {key.removeprefix(self.prefix): one["value"] for key, one in self.nodes().items()}

    def ports(self) -> set[int]:
        """Return the ports of the instances that are written, and not going."""
        documents = [json.loads(value) for value in self.values().values()]
        return {int(one["host_port"]) for one in documents if one["state"] != "down"}

    def register_container(self, layout: str, name: str) -> None:
        """Start a register of one real container, in a layout, below a directory and for a host of that name."""
        where = ["--registry", f"{self.address}/{layout}", "--layout", layout, "--host", f"{self.host}-{layout}"]
        container = ["--filter", f"name={name}", "--ip", "10.170.71.226"]
        part = Part(self.directory / f"register-{layout}", "register", [*where, *container])
        self.parts.append(part)
        part.launch()
        part.ready()

    def holder(self) -> str:
        """Return who writes for the host, nothing if nobody does."""
        found = read(self.etcd.address, self.host_key)
        return str(json.loads(found["node"]["value"])["token"]) if "node" in found else ""


@pytest.fixture(scope="module")
def v2_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """Run an etcd that speaks v2 for all tests of this file that do it no harm."""
    with EtcdServer(tmp_path_factory.mktemp("etcd2"), "--enable-v2") as server:
        yield server


@pytest.fixture
def own_v2_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """Run an etcd that speaks v2 for one test, which may do with it what it likes."""
    with EtcdServer(tmp_path_factory.mktemp("own-etcd2"), "--enable-v2") as server:
        yield server


@pytest.fixture
def site(v2_server: EtcdServer, tmp_path: Path, namespace: str) -> Iterator[OldSite]:
    """Give a place to register at."""
    one = OldSite(v2_server, tmp_path, namespace)
    yield one
    one.close()


@pytest.fixture
def own_site(own_v2_server: EtcdServer, tmp_path: Path, namespace: str) -> Iterator[OldSite]:
    """Give a place to register at whose etcd is the test's own."""
    one = OldSite(own_v2_server, tmp_path, namespace)
    yield one
    one.close()


def renewals(part: Part, more: int = 1) -> None:
    """Wait until everything was renewed so many times more."""
    name = "mooring_register_keep_alives_total"
    before = part.metric(name)
    wait_until(lambda: part.metric(name) >= before + more, "everything to be renewed")


# -- what readers find


@pytest.mark.parametrize("layout", PREFIXES, ids=["registrator-R-K", "embassy-E-E1", "backends-D-1", "skydns-R-K"])
def test_byte_for_byte(own_v2_server: EtcdServer, layout: str) -> None:
    """What curl shows is exactly the golden file: keys and values of the documented formats, each with its TTL."""
    address = parse_etcd2_address(f"etcd2://{own_v2_server.address}{PREFIXES[layout]}")
    registry = registry_at(address, layout)
    claim = Claim(host="h1", engine="E1", ttl_seconds=60, version="0.1", started="now")
    terms = Terms(
        claim=claim,
        resync_seconds=60.0,
        clock=lambda: 100.0,
        tokens=lambda: "token",
        owner_idle_seconds=lambda: 0.0,
    )
    writer = registry.writer(terms)
    assert isinstance(writer, Etcd2Writer)
    wanted: Mapping[Any, Instance] = {one.key: one for one in THOSE}
    writer.mailbox.deliver(wanted, {})
    writer.turn()
    found = [one for one in leaves(read(own_v2_server.address, "/")["node"]) if not one["key"].startswith("/mooring/")]
    lines = sorted(f"{one['key']} {one['value']}\n" for one in found)
    assert "".join(lines) == golden(layout)
    assert all(0 < one["ttl"] <= 60 for one in found)
    registry.close()


def test_directories_as_their_readers_walk_them(site: OldSite) -> None:
    """[D-1] A service is a directory, as docker-discover and embassy expect, with the port beside the backends."""
    site.write("instances: [{service: web, address: '127.0.0.1:8001', port: '80'}]")
    site.register("--layout", "backends").ready()
    services = read(site.etcd.address, site.prefix)["node"]["nodes"]
    assert [(one["key"], one["dir"]) for one in services] == [(f"{site.prefix}/web", True)]
    assert {one["key"].rpartition("/")[2] for one in services[0]["nodes"]} == {"127.0.0.1:web:8001", "port"}
    assert site.values() == {"/web/127.0.0.1:web:8001": "127.0.0.1:8001", "/web/port": "80"}


def test_a_layout_for_each_registry(site: OldSite, tmp_path: Path) -> None:
    """One register writes Mooring's documents through v3, and what registrator's readers know through v2."""
    site.declare(8001)
    new = Site(site.etcd, tmp_path, site.host)
    site.address += "?layout=registrator"
    site.register("--registry", new.address).ready()
    assert site.values() == {"/web/127.0.0.1:web:8001": "127.0.0.1:8001"}
    assert new.ports() == {8001}
    new.close()


@pytest.mark.docker
def test_a_real_container(site: OldSite, whoami_image: str) -> None:
    """[D-1] [R-N1] [R-K] A container with a published port, as each of the three earlier registrars writes it."""
    client = docker.from_env()
    one = client.containers.run(
        whoami_image, name=f"{site.host}.0", ports={"80/tcp": None}, labels={"SERVICE_NAME": "whoami"}, detach=True
    )
    try:
        for layout in ("registrator", "embassy", "backends"):
            site.register_container(layout, one.name or "")
        one.reload()
        port = next(binding["HostPort"] for binding in one.ports["80/tcp"] or ())
        found = site.values()
        short, host = (one.id or "")[:12], site.host
        assert found[f"/registrator/whoami/{host}-registrator:{one.name}:80"] == f"10.170.71.226:{port}"
        assert found[f"/backends/whoami/{short}"] == f"10.170.71.226:{port}"
        assert found["/backends/whoami/port"] == "80"
        document = json.loads(found[f"/embassy/whoami/80/{port}/{short}"])
        assert (document["ipaddress"], document["host_port"], document["port"]) == ("10.170.71.226", port, "80")
        assert len(found) == 4
    finally:
        one.remove(force=True)
        client.close()
    wait_until(lambda: not site.values(), "everything to be withdrawn")


# -- registers that come and go


@pytest.mark.parametrize("layout", ["native", "registrator"])
def test_kill_and_restart(site: OldSite, layout: str) -> None:
    """[F-1] [R-K] Restarted in time, register writes nothing and renews what it finds; once killed, all expires."""
    site.declare(8001, 8002)
    site.register("--layout", layout, *PATIENT).ready().kill()
    before = site.values()
    assert len(before) == 2
    successor = site.register("--layout", layout).ready()
    renewals(successor, TTL_SECONDS + 1)
    assert site.values() == before
    assert successor.metric("mooring_register_puts_total") == 0
    successor.kill()
    assert site.values() == before
    wait_until(lambda: not site.nodes(), "the keys to expire")
    wait_until(lambda: not site.holder(), "the host to expire")


@pytest.mark.parametrize("layout", ["native", "registrator", "embassy"])
def test_what_changed_meanwhile(site: OldSite, layout: str) -> None:
    """A successor withdraws at once what went while nobody looked, and writes what came; the rest is left as it is."""
    site.declare(8001, 8002)
    site.register("--layout", layout, *PATIENT).ready().end()
    site.declare(8002, 8003)
    successor = site.register("--layout", layout).ready()
    assert len(site.nodes()) == 2
    assert "8001" not in str(site.values())
    assert successor.metric("mooring_register_deletes_total") == 1


def test_the_last_one_writes(site: OldSite) -> None:
    """Of two registers of one engine the last one writes; the first stands by, and takes over when it is alone."""
    site.declare(8001)
    first = site.register().ready()
    second = site.register().ready()
    wait_until(lambda: "another register" in first.ask("/readyz")[1], "the first to stand by")
    site.declare(8001, 8002)
    wait_until(lambda: site.ports() == {8001, 8002}, "both to be written")
    assert (first.metric("mooring_register_puts_total"), second.metric("mooring_register_puts_total")) == (1, 1)
    second.kill()
    first.ready()
    site.declare(8003)
    wait_until(lambda: site.ports() == {8003}, "the change to be written")


def test_one_that_slept(site: OldSite) -> None:
    """A register that was frozen while its successor took over wakes, finds out, and leaves everything alone."""
    site.declare(8001)
    first = site.register().ready()
    first.pause()
    site.register().ready()
    holder = site.holder()
    site.declare(8002)
    wait_until(lambda: site.ports() == {8002}, "the successor to write")
    first.resume()
    wait_until(lambda: "another register" in first.ask("/readyz")[1], "the first to stand by")
    holds_for(TTL_SECONDS, lambda: (site.ports(), site.holder()) == ({8002}, holder), "the successor's word")
    assert first.metric("mooring_register_puts_total") == 1


def test_another_engine(site: OldSite) -> None:
    """Another engine under the same host name is refused by name; it writes nothing, and waits."""
    site.declare(8001)
    record = json.dumps({"engine": "ANOTHER", "token": "x", "ttl": 60})
    key = f"http://{site.etcd.address}/v2/keys{site.host_key}"
    requests.put(key, data={"value": record, "ttl": "60"}, timeout=10).raise_for_status()
    process = site.register()
    wait_until(lambda: "is held by engine ANOTHER" in process.ask("/readyz")[1], "the other engine to be named")
    assert site.nodes() == {}
    requests.delete(key, timeout=10).raise_for_status()
    process.ready()
    assert site.ports() == {8001}


def test_two_hosts_of_one_id(site: OldSite) -> None:
    """An id that another host holds is reported naming both, also where the value does not say whose it is."""
    site.declare(8001)
    site.register("--layout", "registrator", host=f"{site.host}-first").ready()
    other = site.directory / "other.yaml"
    other.write_text("instances: [{service: web, id: '127.0.0.1:web:8001', address: '127.0.0.1:9'}]")
    said = site.run("--static", str(other), "--layout", "registrator").ready().ask("/state")[1]
    assert f"held by host '{site.host}-first' in service 'web', this is host '{site.host}'" in said
    assert site.values() == {"/web/127.0.0.1:web:8001": "127.0.0.1:8001"}


def test_the_port_of_a_service_outlives_a_host(site: OldSite) -> None:
    """[D-2] [D-5] [D-12] Of two hosts one is killed: the other's backend and the port of both are never missing."""
    site.declare(8001)
    first = site.register("--layout", "backends", "--ttl", "6").ready()
    other = site.directory / "other.yaml"
    other.write_text("instances: [{service: web, address: '127.0.0.1:8002', port: '8001'}]")
    site.run("--static", str(other), "--layout", "backends", "--ttl", "6", host=f"{site.host}-2").ready()
    assert len(site.nodes()) == 3
    first.kill()

    def first_is_gone() -> bool:
        found = site.values()
        assert found["/web/port"] == "8001"
        assert "127.0.0.1:8002" in found.values()
        return len(found) == 2

    wait_until(first_is_gone, "the first host's keys to expire")


@pytest.mark.parametrize("layout", ["native", "backends"])
def test_withdraw(site: OldSite, layout: str) -> None:
    """`--withdraw-on-exit`, and `--withdraw` afterwards, leave nothing of a host behind."""
    site.declare(8001, 8002)
    site.register("--layout", layout, "--withdraw-on-exit").ready().end()
    assert (site.values(), site.holder()) == ({}, "")
    site.register("--layout", layout, *PATIENT).ready().end()
    assert len(site.nodes()) >= 2
    assert site.register("--layout", layout, "--withdraw").status() == 0
    assert (site.values(), site.holder()) == ({}, "")
    assert site.nodes(f"/mooring/keys/{site.host}") == {}


def test_churn(site: OldSite) -> None:
    """[F-5] After many changes in a row the last one stands, and nothing that went before it."""
    site.declare(8000)
    process = site.register("--layout", "registrator").ready()
    for number in range(1, 40):
        site.declare(8000 + number, 9000 + number % 3)
    wait_until(
        lambda: set(site.values().values()) == {"127.0.0.1:8039", "127.0.0.1:9000"}, "the last change to be written"
    )
    renewals(process, TTL_SECONDS + 1)
    assert set(site.values().values()) == {"127.0.0.1:8039", "127.0.0.1:9000"}
    assert process.state()["registries"][0]["conflicts"] == []


def test_a_thousand_keys(v2_server: EtcdServer, namespace: str, measured: Callable[[str], None]) -> None:
    """Each of a thousand keys has its whole TTL again after a round, and its value."""
    keys = HttpKeys([parse_address(v2_server.address)])
    own = OwnKeys(keys, 600, 32)
    names = [f"/{namespace}/{number}" for number in range(1000)]
    for name in names:
        keys.put(name, name.encode(), 60, ABSENT)
    own.take_over({node.key: node for node in keys.list(f"/{namespace}")})
    began = time.monotonic()
    own.renew()
    measured(f"1000 keys renewed by etcd's v2 API in {time.monotonic() - began:.2f} s")
    found = {node.key: node for node in keys.list(f"/{namespace}")}
    assert sorted(found) == sorted(names)
    assert all(node.value.decode() == name and (node.ttl_seconds or 0) > 60 for name, node in found.items())
    keys.close()


# -- servers that come and go


def test_killed_and_replaced(own_site: OldSite) -> None:
    """[F-6] While etcd is away register waits; back, with or without its past, etcd gets what is wanted now."""
    own_site.declare(8001)
    process = own_site.register().ready()
    own_site.etcd.kill()
    own_site.declare(8001, 8002)
    wait_until(lambda: process.ask("/readyz")[0] == 503, "the loss of etcd to be noticed")
    own_site.etcd.restart(keep_data=True)
    process.ready()
    wait_until(lambda: own_site.ports() == {8001, 8002}, "both to be written")
    own_site.etcd.restart(keep_data=False)
    wait_until(lambda: own_site.ports() == {8001, 8002}, "both to be written")
    assert process.runs()


def test_frozen(own_site: OldSite) -> None:
    """An etcd that froze for longer than the TTL lets everything expire when it wakes, and gets everything again."""
    own_site.declare(8001, 8002)
    process = own_site.register("--layout", "registrator").ready()
    own_site.etcd.pause()
    wait_until(lambda: process.state()["registries"][0]["keep-alive problem"], "the silence to be noticed")
    own_site.declare(8002, 8003)
    wait_until(lambda: process.ask("/readyz")[0] == 503, "the writer to notice it too")
    own_site.etcd.resume()
    process.ready()
    wanted = {"127.0.0.1:8002", "127.0.0.1:8003"}
    wait_until(lambda: set(own_site.values().values()) == wanted, "what is wanted to be written")
    renewals(process, TTL_SECONDS + 1)
    assert set(own_site.values().values()) == wanted


def test_one_of_two_endpoints_is_dead(site: OldSite) -> None:
    """[E-E9] With an endpoint that nobody listens on, and one that never answers, the third is used."""
    site.declare(8001)
    with socket.create_server((HOST, 0)) as silent:
        others = f"{Address(HOST, free_port())},{Address(HOST, silent.getsockname()[1])}"
        site.address = site.address.replace("etcd2://", f"etcd2://{others},")
        process = site.register().ready()
        assert site.ports() == {8001}
        renewals(process, TTL_SECONDS + 1)
        assert site.ports() == {8001}


def test_ended_by_a_signal_while_nobody_answers(own_site: OldSite) -> None:
    """SIGTERM ends register in time, although requests are under way that nobody answers."""
    own_site.declare(8001)
    process = own_site.register().ready()
    own_site.etcd.pause()
    own_site.declare(8001, 8002)
    wait_until(lambda: process.ask("/readyz")[0] == 503, "the silence to be noticed")
    process.send(signal.SIGTERM)
    assert process.status() == 0
    own_site.etcd.resume()
