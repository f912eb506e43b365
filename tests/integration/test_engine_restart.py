"""An engine that is restarted under a running register: one of its own, on a machine of its own, of either version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from mooring.documents import decode_instance
from mooring.etcd.store import KeyValue
from mooring.model import State
from tests.containers.systems import ensure_engine
from tests.engines import KEPT, Engine, copy_images, engines
from tests.integration.registers import Site
from tests.machines import ADDRESSES, Machine, switch
from tests.parts import Part
from tests.servers import EtcdServer
from tests.waiting import holds_for, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.machines]

DEADLINE_SECONDS = 60.0
# Past the end of the lease as it was when the engine ended.
PAST_LEASE_SECONDS = 5.0


class Restarted:
    """An engine, a register of it that runs elsewhere, and containers."""

    def __init__(self, engine: Engine, site: Site, client: docker.DockerClient, image: str) -> None:
        self.engine = engine
        self.site = site
        self._client = client
        self._image = image
        where = ["--docker", engine.address, "--ip", engine.machine.address, "--resync", "5"]
        self.register: Part = site.run(*where).ready()

    def container(self, name: str, *, restarts: bool = False, stop_signal: str = "SIGKILL") -> Container:
        """Run a container. One that has hardly started knows no other signal yet, and the engine would wait for it."""
        policy: Any = {"Name": "always" if restarts else "no", "MaximumRetryCount": 0}
        return self._client.containers.run(
            self._image,
            name=name,
            ports={"80/tcp": None},
            labels={"SERVICE_NAME": name},
            restart_policy=policy,
            stop_signal=stop_signal,
            detach=True,
        )

    def published(self) -> dict[str, KeyValue]:
        """Return what is written, by service."""
        return {key.split("/")[2]: found for key, found in self.site.keys().items()}

    def await_only(self, *names: str) -> dict[str, KeyValue]:
        """Wait until exactly these are published, and return what is written of them."""
        wait_until(
            lambda: self.published().keys() == set(names),
            lambda: f"{names} to be published, not {self.published().keys()}:\n{self.register.tail()}",
            DEADLINE_SECONDS,
        )
        return self.published()

    def is_lost(self) -> bool:
        """Tell whether register says that its engine is away."""
        return self.register.state()["engine lost since"] is not None


@pytest.fixture
def begin(
    request: pytest.FixtureRequest, etcd_server: EtcdServer, tmp_path: Path, namespace: str, whoami_image: str
) -> Iterator[Callable[[str], Restarted]]:
    """Give a way to run an engine with an option, and a register of it: this machine's version, then a later one."""
    root = ensure_engine() if request.param == "later" else None
    with ExitStack() as ending:

        def begun(*options: str) -> Restarted:
            between = ending.enter_context(switch())
            engine = Engine(Machine(between, "one", ADDRESSES[0], tmp_path / "one", KEPT), *options, root=root)
            ending.enter_context(engines(engine))
            copy_images([whoami_image], [engine])
            client = ending.enter_context(engine.client())
            site = Site(etcd_server, tmp_path, namespace)
            ending.callback(site.close)
            return Restarted(engine, site, client, whoami_image)

        yield begun


@pytest.mark.parametrize("begin", ["later"], indirect=True)
def test_the_lives_of_containers(begin: Callable[..., Restarted]) -> None:
    """What a container does is told as what it was: stopped, killed, paused, whatever the version."""
    one = begin()
    since = one.site.store.list(one.site.prefix).revision
    stopped, killed, paused = (one.container(name, stop_signal="SIGTERM") for name in ("stopped", "killed", "paused"))
    one.await_only("stopped", "killed", "paused")
    paused.pause()
    one.await_only("stopped", "killed")
    paused.unpause()
    one.await_only("stopped", "killed", "paused")
    stopped.stop(timeout=1)
    killed.kill()
    one.await_only("paused")
    up = (State.UP, "started")
    assert one.site.told("stopped", since) == [up, (State.DRAINING, "stopping"), (State.DOWN, "stopped")]
    assert one.site.told("killed", since) == [up, (State.DOWN, "exited 137")]
    assert one.site.told("paused", since) == [up, (State.DOWN, "paused")]


@pytest.mark.parametrize("begin", ["own", "later"], indirect=True)
def test_containers_outlive_their_engine(begin: Callable[..., Restarted]) -> None:
    """[F-2] With live-restore nothing that lives is touched; what died meanwhile, without a word, is withdrawn."""
    one = begin("--live-restore")
    one.container("stays")
    dies = one.container("dies")
    before = one.await_only("stays", "dies")
    dies.reload()
    one.engine.end()
    wait_until(one.is_lost, "the loss of the engine to be noticed")
    one.engine.machine.run("kill", "-9", str(dies.attrs["State"]["Pid"]))
    holds_for(PAST_LEASE_SECONDS, lambda: one.published() == before, "everything stays as it is")
    one.engine.start()
    after = one.await_only("stays")
    assert after["stays"] == before["stays"]
    dies.reload()
    # Which that is, with a container that nobody watched, is not the same in all versions.
    exit_code = dies.attrs["State"]["ExitCode"]
    assert one.site.told("dies", before["dies"].revision) == [(State.DOWN, f"exited {exit_code}")]
    wait_until(lambda: not one.is_lost(), "the return of the engine to be noticed")
    one.container("new")
    one.await_only("stays", "new")
    assert one.register.runs()


@pytest.mark.parametrize("begin", ["own"], indirect=True)
def test_containers_end_with_their_engine(begin: Callable[..., Restarted]) -> None:
    """[F-2] Without live-restore they end; what the engine starts again is published where it is then."""
    one = begin()
    stays = one.container("stays", restarts=True)
    one.container("dies")
    before = one.await_only("stays", "dies")
    one.engine.end()
    wait_until(one.is_lost, "the loss of the engine to be noticed")
    one.engine.start()
    wait_until(lambda: not one.is_lost(), "the return of the engine to be noticed", DEADLINE_SECONDS)
    after = one.await_only("stays")
    stays.reload()
    ports = {int(binding["HostPort"]) for binding in stays.ports["80/tcp"] or ()}
    assert decode_instance(after["stays"].value, where="stays").address.port in ports
    assert one.site.told("dies", before["dies"].revision)[-1] == (State.DOWN, "stopped")
    assert one.register.runs()
