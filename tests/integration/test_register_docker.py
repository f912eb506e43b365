"""A real register of a real Docker engine, at a real etcd; the engine can be cut off."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.documents import decode_instance
from mooring.etcd.store import KeyValue
from mooring.model import State
from tests.integration.docker_hosts import ENGINE, Host, open_host
from tests.integration.registers import PATIENT
from tests.servers import EtcdServer
from tests.waiting import wait_until

pytestmark = pytest.mark.docker


@pytest.fixture
def host(etcd_server: EtcdServer, tmp_path: Path, namespace: str, whoami_image: str) -> Iterator[Host]:
    """Give a register that has listed the engine."""
    with open_host(etcd_server, tmp_path, namespace, whoami_image) as one:
        yield one


def test_the_life_of_a_container(host: Host) -> None:
    """A container is published when it starts, drains at its stop signal, and is withdrawn with its cause."""
    since = host.site.store.list(host.site.prefix).revision
    name = host.container().name
    assert name is not None
    wait_until(lambda: name in host.published(), "the container to be published")
    host.client.containers.get(name).stop(timeout=1)
    said = host.site.told(name, since)
    assert said == [(State.UP, "started"), (State.DRAINING, "stopping"), (State.DOWN, "stopped")]


def test_killed(host: Host) -> None:
    """A container that was killed is withdrawn with its exit code."""
    since = host.site.store.list(host.site.prefix).revision
    one = host.container()
    assert one.name is not None
    name = one.name
    wait_until(lambda: name in host.published(), "the container to be published")
    one.kill()
    assert host.site.told(name, since)[-1] == (State.DOWN, "exited 137")


def test_restarted_on_another_port(host: Host) -> None:
    """A container that is restarted is published once, on the port that it has then."""
    one = host.container()
    wait_until(lambda: one.name in host.published(), "the container to be published")
    one.restart(timeout=1)
    one.reload()
    port = next(int(binding["HostPort"]) for binding in one.ports["80/tcp"] or ())
    wait_until(lambda: [found.address.port for found in host.published().values()] == [port], "the new port only")


def test_renamed(host: Host) -> None:
    """A renamed container changes its id; no moment in between is without it."""
    one = host.container()
    wait_until(lambda: one.name in host.published(), "the container to be published")
    since = host.site.store.list(host.site.prefix).revision
    one.rename(f"{one.name}-renamed")
    wait_until(lambda: list(host.published()) == [f"{one.name}-renamed"], "the new name only")
    watch = host.site.store.watch(host.site.prefix, since)
    (_, first, *_) = itertools.islice(watch, 2)
    watch.cancel()
    states = {decode_instance(change.value, where=change.key).state for change in first if isinstance(change, KeyValue)}
    assert states == {State.DOWN, State.UP}


def test_a_broken_label(host: Host) -> None:
    """A broken label is reported with its value and reason, and the container is registered all the same."""
    one = host.container(WEIGHT="heavy")
    wait_until(lambda: one.name in host.published(), "the container to be published")
    assert f"{one.name}: SERVICE_WEIGHT='heavy': expected a whole number" in host.process.ask("/state")[1]
    assert host.process.metric("mooring_register_problems_total") >= 1


def test_cut_off(host: Host) -> None:
    """While the engine is away nothing is withdrawn; when it is back, what happened without a word is found."""
    stays, dies = host.container(), host.container()
    wait_until(lambda: set(host.published()) == {stays.name, dies.name}, "both to be published")
    before = host.keys()
    host.passage.cut()
    wait_until(lambda: host.process.state()["engine lost since"], "the loss of the engine to be noticed")
    dies.kill()
    new = host.container()
    assert host.keys() == before
    host.passage.restore()
    wait_until(lambda: set(host.published()) == {stays.name, new.name}, "what happened meanwhile to be found")
    wait_until(lambda: not host.process.state()["engine lost since"], "the return of the engine to be noticed")
    unchanged = f"{host.site.prefix}/{host.site.host}/{host.site.host}:{stays.name}:80"
    assert host.keys()[unchanged] == before[unchanged]


def test_successor(host: Host) -> None:
    """A successor finds everything as it is and writes nothing; not even what its predecessor wrote last."""
    one = host.container()
    wait_until(lambda: one.name in host.published(), "the container to be published")
    host.process.end()
    before = host.keys()
    host.site.run("--docker", f"unix://{ENGINE}", "--ip", "127.0.0.1", *PATIENT).ready()
    assert len(before) == 1
    assert host.keys() == before


def test_the_engine_comes_later(host: Host) -> None:
    """A register that starts before the engine waits for it, says so, and ends in time when it is told to."""
    host.process.end()
    host.passage.cut()
    process = host.site.run("--docker", f"unix://{host.passage.path}", "--ip", "127.0.0.1")
    wait_until(lambda: "the engine does not answer" in process.ask("/readyz")[1], "the missing engine to be told")
    host.passage.restore()
    process.ready()
    process.end()
