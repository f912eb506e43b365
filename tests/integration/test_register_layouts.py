"""Real registers against a real etcd, in layouts of other systems: what their readers find there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.registers import INHERITED, INHERITED_SECONDS, PATIENT, Site
from tests.servers import EtcdServer
from tests.waiting import wait_until


@pytest.fixture
def site(etcd_server: EtcdServer, tmp_path: Path, namespace: str) -> Iterator[Site]:
    """Give a place to register at."""
    one = Site(etcd_server, tmp_path, namespace)
    yield one
    one.close()


def values(site: Site) -> dict[str, str]:
    """Return what is written below the site's prefix, without that."""
    return {key.removeprefix(site.prefix): found.value.decode() for key, found in site.keys().items()}


def test_plain_addresses_are_adopted(site: Site) -> None:
    """[R-K] An address is written, renewed, and left to a successor that writes nothing; then it expires."""
    site.declare(8001)
    site.register("--layout", "registrator", *INHERITED).ready().kill()
    before = site.keys()
    assert values(site) == {"/web/127.0.0.1:web:8001": "127.0.0.1:8001"}
    successor = site.register("--layout", "registrator", *INHERITED).ready()
    site.await_renewals_past_its_end(successor)
    assert site.keys() == before
    successor.kill()
    wait_until(lambda: not site.keys(), "the lease to end", 3.0 * INHERITED_SECONDS)


def test_the_port_of_a_service_outlives_a_host(site: Site) -> None:
    """[D-5] [D-12] Of two hosts one is killed: the other's backend and the port that both share are never missing."""
    site.declare(8001)
    first = site.register("--layout", "backends").ready()
    other_file = site.directory / "other.yaml"
    other_file.write_text("instances: [{service: web, address: '127.0.0.1:8002', port: '8001'}]")
    site.run("--static", str(other_file), "--layout", "backends", host=f"{site.host}-2").ready()
    assert len(site.keys()) == 3
    first.kill()

    def first_is_gone() -> bool:
        found = values(site)
        assert found["/web/port"] == "8001"
        assert "127.0.0.1:8002" in found.values()
        return len(found) == 2

    wait_until(first_is_gone, "the first host's lease to end")


def test_from_one_layout_to_another(site: Site) -> None:
    """Restarted with another layout, register takes out what it wrote in the one before."""
    site.declare(8001)
    site.register(*PATIENT).ready().kill()
    site.register("--layout", "embassy", *PATIENT).ready()
    ((key, value),) = values(site).items()
    assert key == "/web/8001/8001/127.0.0.1:web:8001"
    assert '"host_port":"8001"' in value
