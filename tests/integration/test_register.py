"""A real register against a real etcd: what stays, what goes, and what costs no write."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mooring.etcd.store import Put, Store
from tests.integration.registers import INHERITED, PATIENT, TTL_SECONDS, Site
from tests.servers import EtcdServer
from tests.waiting import wait_until


@pytest.fixture
def site(etcd_server: EtcdServer, tmp_path: Path, namespace: str) -> Iterator[Site]:
    """Give a place to register at."""
    one = Site(etcd_server, tmp_path, namespace)
    yield one
    one.close()


def test_kill_and_expire(site: Site) -> None:
    """After `kill -9` the instances stay until the lease expires, and then go."""
    site.declare(8001, 8002)
    process = site.register().ready()
    began = time.monotonic()
    process.kill()
    assert site.ports() == {8001, 8002}
    wait_until(lambda: not site.keys(), "the lease to end")
    assert time.monotonic() - began > TTL_SECONDS / 2
    assert site.store.get(f"/mooring/hosts/{site.host}") is None


def test_kill_and_restart(site: Site) -> None:
    """Restarted before the lease expires, register writes none of what did not change."""
    site.declare(8001, 8002)
    site.register(*INHERITED).ready().kill()
    before = site.keys()
    process = site.register(*INHERITED).ready()
    assert site.keys() == before
    site.await_renewals_past_its_end(process)
    assert site.keys() == before


def test_stop_and_restart(site: Site, measured: Callable[[str], None]) -> None:
    """SIGTERM ends with status 0 and leaves the keys to the successor, which writes none of them."""
    site.declare(8001, 8002)
    seconds = site.register(*PATIENT).ready().end()
    before = site.keys()
    assert len(before) == 2
    measured(f"register stopped in {seconds:.2f} s")
    site.register(*PATIENT).ready()
    assert site.keys() == before


def test_what_changed_meanwhile(site: Site) -> None:
    """A successor writes what changed while nobody looked, and nothing else."""
    site.declare(8001, 8002)
    site.register(*PATIENT).ready().end()
    before = site.keys()
    site.declare(8002, 8003)
    site.register(*PATIENT).ready()
    wait_until(lambda: site.ports() == {8002, 8003}, "what changed to be written")
    unchanged = f"{site.prefix}/web/127.0.0.1:web:8002"
    assert site.keys()[unchanged] == before[unchanged]


def test_another_ttl(site: Site) -> None:
    """A successor with another TTL moves the keys to a lease of its own; nobody sees another value."""
    site.declare(8001)
    site.register(*PATIENT).ready().end()
    ((key, before),) = site.keys().items()
    site.register("--ttl", "7").ready()
    after = site.keys()[key]
    assert after.value == before.value
    lease = site.store.lease(after.lease)
    assert lease is not None
    assert lease.granted_seconds == 7
    assert site.store.lease(before.lease) is None


def test_the_last_one_writes(site: Site) -> None:
    """Of two registers of one engine the last one writes; the first stands by, and takes over when it is alone."""
    site.declare(8001)
    first = site.register().ready()
    second = site.register().ready()
    wait_until(lambda: "another register" in first.ask("/readyz")[1], "the first to stand by")
    site.declare(8001, 8002)
    wait_until(lambda: site.ports() == {8001, 8002}, "both to be written")
    assert (
        first.metric("mooring_register_puts_total"),
        second.metric("mooring_register_puts_total"),
    ) == (1, 1)
    before = site.keys()
    second.kill()
    first.ready()
    assert site.keys() == before
    site.declare(8003)
    wait_until(lambda: site.ports() == {8003}, "the change to be written")


def test_another_engine(site: Site) -> None:
    """Another engine under the same host name is refused by name; it writes nothing, and waits."""
    site.declare(8001)
    record = {"engine": "ANOTHER", "lease": "0", "token": "x", "ttl": TTL_SECONDS}
    lease = site.store.grant(60)
    record["lease"] = f"{lease:x}"
    key = f"/mooring/hosts/{site.host}"
    put(site.store, key, json.dumps(record), lease)
    process = site.register()
    wait_until(lambda: "is held by engine ANOTHER" in process.ask("/readyz")[1], "the other engine to be named")
    assert site.keys() == {}
    site.store.revoke(lease)
    process.ready()
    assert site.ports() == {8001}


def put(store: Store, key: str, value: str, lease: int = 0) -> None:
    """Write a key without any condition."""
    store.commit((), (Put(key, value.encode(), lease),))


def test_broken_entries(site: Site) -> None:
    """A broken entry is reported, counted and shown, and the others are registered; a broken file changes nothing."""
    site.write("instances:\n  - {service: web, address: '127.0.0.1:8001'}\n  - {service: web, weight: 1}\n")
    process = site.register().ready()
    assert site.ports() == {8001}
    assert "instance 2: address is missing" in process.ask("/state")[1]
    assert process.metric("mooring_register_problems_total") == 1
    assert site.logged().count("instance 2: address is missing") == 1
    site.write("instances: [")
    wait_until(lambda: "not YAML" in process.ask("/state")[1], "the broken file to be told")
    assert site.ports() == {8001}


def test_an_id_of_another_host(site: Site) -> None:
    """An id that another host holds is reported naming both, and everything else is registered."""
    site.declare(8001, 8002)
    site.register(host=f"{site.host}-first").ready()
    process = site.register().ready()
    said = process.ask("/state")[1]
    assert f"held by host '{site.host}-first' in service 'web', this is host '{site.host}'" in said
    assert {one.host for one in site.instances()} == {f"{site.host}-first"}


def test_withdraw_on_exit(site: Site) -> None:
    """A register that was asked to withdraws everything, with the host, before it ends in time."""
    site.declare(8001, 8002)
    site.register("--withdraw-on-exit").ready().end()
    assert site.keys() == {}
    assert site.store.get(f"/mooring/hosts/{site.host}") is None


def test_withdraw(site: Site) -> None:
    """`--withdraw` retires a host whose register has ended, and ends by itself."""
    site.declare(8001, 8002)
    site.register(*PATIENT).ready().end()
    assert len(site.keys()) == 2
    assert site.register("--withdraw").status() == 0
    assert site.keys() == {}
    assert site.store.get(f"/mooring/hosts/{site.host}") is None


def test_etcd_away(own_etcd_server: EtcdServer, tmp_path: Path, namespace: str) -> None:
    """While etcd is away register waits; when it is back, with or without its past, it gets what is wanted now."""
    site = Site(own_etcd_server, tmp_path, namespace)
    try:
        site.declare(8001)
        process = site.register().ready()
        own_etcd_server.kill()
        site.declare(8001, 8002)
        wait_until(lambda: process.ask("/readyz")[0] == 503, "the loss of etcd to be noticed")
        own_etcd_server.restart(keep_data=True)
        process.ready()
        wait_until(lambda: site.ports() == {8001, 8002}, "both to be written")
        own_etcd_server.restart(keep_data=False)
        wait_until(lambda: site.ports() == {8001, 8002}, "both to be written")
        assert process.runs()
    finally:
        site.close()


def test_an_admin_port_that_is_taken(site: Site) -> None:
    """A port that somebody else has is a wrong configuration: status 2, named, and nothing half-started."""
    site.declare(8001)
    first = site.register().ready()
    taken = f"127.0.0.1:{first.port}"
    second = site.register("--admin", taken, host=f"{site.host}-second")
    assert second.status() == 2
    assert f"--admin: {taken}: Address already in use" in site.logged()
    assert site.store.get(f"/mooring/hosts/{site.host}-second") is None
