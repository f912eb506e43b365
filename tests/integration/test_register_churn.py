"""Real containers, started and stopped in any order while etcd is slow: what is written in the end is what runs.

`make bench-churn` does it with three hundred.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from mooring.etcd.client import connect
from mooring.etcd.store import Store
from mooring.model import parse_address
from tests.integration.registers import Registers
from tests.key_history import KeyHistory
from tests.parts import Part
from tests.servers import EtcdServer
from tests.slow_door import SlowDoor
from tests.waiting import wait_until

COUNT = int(os.environ.get("MOORING_CHURN_CONTAINERS", "12"))
SLOW_SECONDS = 0.2
PORT = 8000
AT_ONCE = 4
SETTLE_SECONDS = 60.0
# A container has come up, drains, is down, is deleted.
WRITES_OF_A_LIFE = 4

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180 + 5 * COUNT)]


@pytest.fixture
def containers(whoami_image: str, namespace: str) -> Iterator[list[Container]]:
    """Make containers that do not run yet, and leave none."""
    client = docker.from_env()
    made: list[Container] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def make(number: int) -> None:
            one = client.containers.create(
                whoami_image,
                name=f"{namespace}-{number}",
                ports={f"{PORT}/tcp": None},
                environment={"PORT": str(PORT), "GRACE_SECONDS": "0"},
                labels={"SERVICE_NAME": f"{namespace}-{number % 7}", "churn": namespace},
            )
            made.append(one)

        try:
            list(pool.map(make, range(COUNT)))
            yield made
        finally:
            list(pool.map(lambda one: one.remove(force=True), made))
            client.close()


@pytest.fixture
def store(etcd_server: EtcdServer) -> Iterator[Store]:
    """Give a way to etcd that is not slow."""
    one = connect([parse_address(etcd_server.address)])
    yield one
    one.close()


@pytest.fixture
def register(etcd_server: EtcdServer, tmp_path: Path, namespace: str) -> Iterator[Part]:
    """Run a register of these containers, which has etcd behind a slow door."""
    with ExitStack() as ending:
        door = ending.enter_context(SlowDoor(etcd_server.port, SLOW_SECONDS))
        registers = Registers(f"etcd://127.0.0.1:{door.port}/{namespace}", tmp_path, namespace)
        ending.callback(registers.close)
        where = ["--docker", "unix:///var/run/docker.sock", "--ip", "10.0.0.1", "--ttl", "15"]
        yield registers.run(*where, "--filter", f"label=churn={namespace}").ready()


def memory_bytes(part: Part) -> int:
    """Return how much memory a process has."""
    status = Path(f"/proc/{part.pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS:"))


def live(number: int, container: Container) -> int:
    """Start a container, and end and start it as chance wills; return how often it was started."""
    chance = random.Random(number)
    lives = chance.randint(1, 2)
    for life in range(lives):
        container.start()
        if life < lives - 1 or chance.random() < 0.5:
            container.kill() if chance.random() < 0.5 else container.stop(timeout=1)
    return lives


def expected(containers: list[Container]) -> dict[str, int]:
    """Return the host's port of each container that runs."""
    running = {}
    for one in containers:
        one.reload()
        if one.status == "running":
            assert one.id is not None
            running[one.id] = int(one.attrs["NetworkSettings"]["Ports"][f"{PORT}/tcp"][0]["HostPort"])
    return running


def test_churn(
    containers: list[Container],
    register: Part,
    store: Store,
    namespace: str,
    measured: Callable[[str], None],
) -> None:
    """However containers start and end, each key tells it in order, no more than once, and ends as Docker says."""
    empty_bytes = memory_bytes(register)
    with KeyHistory(store, f"/{namespace}/") as history:
        order = random.Random(1).sample(list(enumerate(containers)), COUNT)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            lives = sum(pool.map(lambda one: live(*one), order))
        running = expected(containers)

        def written() -> dict[str, int]:
            return {one.container: one.address.port for one in history.now().values()}

        wait_until(lambda: written() == running, lambda: f"{running}, not {written()}", SETTLE_SECONDS)
        assert not (faults := history.faults()), faults
        assert history.writes <= WRITES_OF_A_LIFE * lives
        each_bytes = (memory_bytes(register) - empty_bytes) / max(1, len(running))
        measured(
            f"churn of {COUNT} containers, etcd late by {SLOW_SECONDS} s: {lives} lives, {history.writes} writes, "
            f"{len(running)} run at the end, {each_bytes / 1024:.0f} KiB for each"
        )
