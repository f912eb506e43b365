"""What a register tells of itself: how old what it knows is, what waits, and that it is alive while others are not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.registers import Site
from tests.parts import Part
from tests.servers import EtcdServer
from tests.waiting import wait_until

OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"


@pytest.fixture
def site(own_etcd_server: EtcdServer, tmp_path: Path, namespace: str) -> Iterator[Site]:
    """Give a place to register at, whose etcd is the test's own."""
    one = Site(own_etcd_server, tmp_path, namespace)
    yield one
    one.close()


def registry(register: Part) -> dict[str, Any]:
    """Return what a register tells of its only registry."""
    (told,) = register.state()["registries"]
    assert isinstance(told, dict)
    return told


def test_what_waits_shows_its_age_and_the_lease_what_remains_of_it(site: Site, own_etcd_server: EtcdServer) -> None:
    """While etcd stands still both tell how bad it is, and the register is alive; afterwards nothing waits."""
    site.declare(8001)
    register = site.register().ready()
    wait_until(lambda: not registry(register)["undelivered seconds"], "all to be written")
    assert registry(register)["lease remaining seconds"] > 0
    own_etcd_server.pause()
    site.declare(8001, 8002)
    wait_until(lambda: registry(register)["undelivered seconds"] > 1, "the change to show its age")
    assert register.metric("mooring_register_undelivered_seconds") > 1
    wait_until(lambda: registry(register)["lease remaining seconds"] < 0, "the lease to be overdue")
    assert register.ask("/healthz") == (200, "ok\n")
    own_etcd_server.resume()
    wait_until(lambda: site.ports() == {8001, 8002}, "the change to be written")
    wait_until(lambda: not registry(register)["undelivered seconds"], "nothing to wait any more")
    wait_until(lambda: registry(register)["lease remaining seconds"] > 0, "what is written to be kept alive again")


def test_what_people_are_told_to_look_at_is_there(site: Site) -> None:
    """Every metric of register that the document for the night names is served, and each thread shows its turns."""
    site.write("instances:\n  - {service: web, address: '127.0.0.1:8001'}\n  - {service: web, weight: 1}\n")
    register = site.register().ready()
    served = set(re.findall(r"^# TYPE (\w+)", register.ask("/metrics")[1], re.MULTILINE))
    named = set(re.findall(r"mooring_register_[a-z_]+", OPERATIONS.read_text()))
    assert named
    assert not {name for name in named if name not in served}
    assert register.metric("mooring_register_skipped_total") == 1
    assert register.metric("mooring_register_last_keep_alive_timestamp_seconds") > 0
    turns = register.state()["threads turned seconds ago"]
    assert {name.split()[0] for name in turns} >= {"writer", "keep-alive"}
