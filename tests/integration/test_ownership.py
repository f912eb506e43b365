"""Several registers that want to write for one host: no fighting, no wrong delete, and each says what it is about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.integration.docker_hosts import ENGINE, Host, open_host
from tests.integration.registers import TTL_SECONDS, Site
from tests.parts import Part
from tests.servers import EtcdServer
from tests.waiting import holds_for, wait_until


@pytest.fixture
def site(etcd_server: EtcdServer, tmp_path: Path, namespace: str) -> Iterator[Site]:
    """Give a place to register at."""
    one = Site(etcd_server, tmp_path, namespace)
    yield one
    one.close()


@pytest.fixture
def host(etcd_server: EtcdServer, tmp_path: Path, namespace: str, whoami_image: str) -> Iterator[Host]:
    """Give a register that has listed the engine, and end it with all its containers."""
    with open_host(etcd_server, tmp_path, namespace, whoami_image, "--ttl", str(TTL_SECONDS)) as one:
        yield one


def stands_by(register: Part) -> None:
    """Wait until a register says that another one writes for its host, and see that it holds nothing."""
    wait_until(lambda: "another register" in register.ask("/readyz")[1], "it to say that it stands by")
    ((registry),) = register.state()["registries"]
    assert registry["holds the host"] is False


def test_a_register_that_was_paused_writes_nothing_when_it_wakes(site: Site) -> None:
    """Frozen for longer than its lease while another adopted that, it stands by; and takes over when it is alone."""
    site.declare(8001)
    first = site.register().ready()
    first.pause()
    second = site.register().ready()
    site.declare(8001, 8002)
    wait_until(lambda: site.ports() == {8001, 8002}, "the second to write what is new")
    kept = site.keys()
    holds_for(TTL_SECONDS + 1, lambda: site.keys() == kept, "the adopted lease is renewed by the second alone")
    first.resume()
    stands_by(first)
    assert first.metric("mooring_register_puts_total") == 1
    assert site.keys() == kept
    second.kill()
    first.ready()
    assert site.keys() == kept
    site.declare(8003)
    wait_until(lambda: site.ports() == {8003}, "the first to write again")


@pytest.mark.docker
def test_a_late_death_leaves_the_successor_alone(host: Host) -> None:
    """A register that wakes to the death of a container whose place another one has taken touches nothing."""
    said = f"{host.site.host}-id"
    old = host.container(ID=said)
    wait_until(lambda: written_for(host, old), "the old container to be published")
    host.process.pause()
    second = host.site.run("--docker", f"unix://{ENGINE}", "--ip", "127.0.0.1", "--resync", "5").ready()
    old.remove(force=True)
    new = host.container(ID=said)
    wait_until(lambda: written_for(host, new), "the new container to be published in its place")
    kept, (published,) = host.keys(), host.published().values()
    host.process.resume()
    stands_by(host.process)
    wait_until(
        lambda: any(f"{said} {published.address}" in line for line in host.process.state()["instances"]),
        "the first to have heard of all that happened",
    )
    assert host.process.metric("mooring_register_deletes_total") == 0
    assert host.keys() == kept
    assert second.state()["registries"][0]["holds the host"] is True


def written_for(host: Host, container: Container) -> bool:
    """Whether what is written is this container's, and nothing else is."""
    return {one.container for one in host.published().values()} == {container.id}


@pytest.mark.docker
def test_two_hosts_with_one_name(host: Host) -> None:
    """The second is refused by name and waits, whatever happens on it; the first notices nothing."""
    container = host.container()
    wait_until(lambda: written_for(host, container), "the container to be published")
    kept = host.keys()
    host.site.declare(8001)
    second = host.site.register()
    wait_until(lambda: "is held by engine" in second.ask("/readyz")[1], "the second to name who holds the host")
    assert "--host" in second.ask("/readyz")[1]
    host.site.declare(8001, 8002)
    holds_for(TTL_SECONDS + 1, lambda: host.keys() == kept, "nothing of the first is touched")
    assert host.process.ask("/readyz")[0] == 200
    host.process.kill()
    second.ready()
    wait_until(lambda: host.site.ports() == {8001, 8002}, "the second to have the name once the first lease is over")
