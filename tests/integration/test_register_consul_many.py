"""Many services at one Consul agent: one call keeps all of them alive, and a restart registers none of them anew."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.consul import ConsulServer
from tests.integration.consul_hosts import ConsulHost
from tests.integration.registers import TTL_SECONDS
from tests.waiting import holds_for, wait_until

# `make bench-consul` says more.
SERVICES = int(os.environ.get("MOORING_TEST_CONSUL_SERVICES", "200"))
PATIENCE_SECONDS = 30.0 + SERVICES / 20
NAMES = 10

pytestmark = [pytest.mark.consul, pytest.mark.timeout(120 + int(4 * PATIENCE_SECONDS))]


@pytest.fixture
def host(own_consul_server: ConsulServer, tmp_path: Path, namespace: str) -> Iterator[ConsulHost]:
    """Give a host at an agent of the test's own."""
    one = ConsulHost(own_consul_server, tmp_path, namespace)
    yield one
    one.close()


def cpu_seconds(pid: int) -> float:
    """Return what a process has used of the processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def passing(host: ConsulHost) -> int:
    """Return how many services are handed out."""
    found: Any = [host.consul.tell("GET", f"/health/service/many{name}?passing=true") for name in range(NAMES)]
    return sum(map(len, found))


def test_many_stay_alive(host: ConsulHost, measured: Callable[[str], None]) -> None:
    """Thousands of services are alive by the node's one check over several TTLs, and after a restart of register."""
    host.declare(
        *(
            {"service": f"many{number % NAMES}", "address": f"10.0.{number // 250}.{1 + number % 250}:80"}
            for number in range(SERVICES)
        )
    )
    host.address += "?alive=node"
    register = host.register()
    agent = host.consul.pid
    seconds = wait_until(register.answers, lambda: f"all to be registered: {register.tail()}", PATIENCE_SECONDS)
    measured(f"{SERVICES} services in Consul: registered in {seconds:.1f} s, {cpu_seconds(agent):.1f} s of the agent")
    assert passing(host) == SERVICES
    before = cpu_seconds(agent)
    holds_for(3 * TTL_SECONDS, lambda: passing(host) == SERVICES, lambda: f"all are alive, not {passing(host)}")
    measured(f"{SERVICES} services alive for {3 * TTL_SECONDS} s: {cpu_seconds(agent) - before:.1f} s of the agent")
    register.end()
    successor = host.register()
    seconds = wait_until(successor.answers, "the successor to have compared everything", PATIENCE_SECONDS)
    measured(f"{SERVICES} services adopted in {seconds:.1f} s")
    assert successor.metric("mooring_register_puts_total") == 0
    assert passing(host) == SERVICES
    successor.kill()
    wait_until(lambda: passing(host) == 0, "none to be handed out when register is dead")
