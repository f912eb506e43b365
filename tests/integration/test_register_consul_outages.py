"""A real register at a Consul agent that is killed, emptied or frozen."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.consul import ConsulServer
from tests.integration.consul_hosts import ConsulHost
from tests.integration.registers import Site
from tests.servers import EtcdServer
from tests.waiting import wait_until

pytestmark = pytest.mark.consul


@pytest.fixture
def own_host(own_consul_server: ConsulServer, tmp_path: Path, namespace: str) -> Iterator[ConsulHost]:
    """Give a host at an agent of the test's own."""
    one = ConsulHost(own_consul_server, tmp_path, namespace)
    yield one
    one.close()


def test_agent_crashes(own_host: ConsulHost) -> None:
    """An agent that was killed keeps its services; register goes on with them as soon as it answers."""
    own_host.declare(8001, 8002)
    register = own_host.register().ready()
    own_host.consul.kill()
    own_host.declare(8002, 8003)
    wait_until(lambda: not register.answers(), "register to say that it cannot write")
    assert register.runs()
    own_host.consul.start()
    wait_until(lambda: own_host.passing() == {8002, 8003}, lambda: f"the change: {own_host.passing()}", 60)
    assert register.answers()


def test_agent_loses_everything(own_host: ConsulHost) -> None:
    """An agent that comes back empty gets everything again."""
    own_host.declare(8001, 8002)
    own_host.register().ready()
    own_host.consul.restart(keep_data=False)
    wait_until(lambda: own_host.passing() == {8001, 8002}, lambda: f"all again: {own_host.logged()}", 60)


def test_frozen_agent(own_host: ConsulHost, etcd_server: EtcdServer, tmp_path: Path, namespace: str) -> None:
    """An agent that does not answer delays no etcd beside it; it gets the latest when it does."""
    site = Site(etcd_server, tmp_path, namespace)

    def has(ports: set[int]) -> bool:
        return site.ports() == ports

    own_host.declare(8001)
    register = own_host.register("--registry", site.address).ready()
    own_host.consul.pause()
    try:
        for port in (8002, 8003, 8004):
            own_host.declare(port)
            wait_until(functools.partial(has, {port}), "etcd to have the change")
        assert register.runs()
    finally:
        own_host.consul.resume()
        site.close()
    wait_until(lambda: own_host.ports() == {8004}, lambda: f"Consul to have it too: {own_host.ports()}", 60)


def test_ended_at_a_frozen_agent(own_host: ConsulHost) -> None:
    """A register that is to withdraw everything from an agent that does not answer ends all the same, and says so."""
    own_host.declare(8001)
    register = own_host.register("--withdraw-on-exit").ready()
    own_host.consul.pause()
    try:
        register.end()
    finally:
        own_host.consul.resume()
    assert register.events("not everything could be withdrawn in time")
