"""`mooring stop` on the whole line: what is open ends by itself, nothing new comes, and only then a container stops.

Docker's own stop is beside it for comparison: it takes along what is open after the seconds that it gives.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from socket import create_connection, socket
from typing import Self

import pytest
from docker.models.containers import Container

from tests.e2e.line import Line, running_line
from tests.e2e.whoamis import Whoamis, bridge_gateway, whoamis
from tests.load import Load
from tests.parts import MOORING
from tests.waiting import holds_for, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.e2e, pytest.mark.timeout(150)]

RATE = 200.0
SERVICE = f"e2e-stop-{os.getpid()}"
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Run the whole line against the real engine."""
    own = ["--explicit", "--filter", f"name={SERVICE}-*"]
    options = ["--docker", "unix:///var/run/docker.sock", "--ip", bridge_gateway(), *own]
    with running_line(tmp_path_factory.mktemp("line"), options) as running:
        yield running


@pytest.fixture(scope="module")
def web(line: Line, whoami_image: str) -> Iterator[Whoamis]:
    """Give the service whose containers are stopped; one stays."""
    with whoamis(whoami_image, SERVICE, line.publish) as service:
        service.start("stays")
        yield service


@pytest.fixture
def container(web: Whoamis, line: Line) -> Container:
    """Start one more, and wait until both proxies lead there."""
    one = web.start(f"goes-{next(NUMBERS)}")
    with Load(line.targets, 50.0, "first-contact") as first:
        first.await_answers(lambda seen: {t for t, name in seen if name == hostname(one)} == set(line.targets))
    return one


def hostname(container: Container) -> str:
    """Return the name under which a container answers."""
    return str(container.attrs["Config"]["Hostname"])


class Stop:
    """`mooring stop` as a process, and what it prints."""

    def __init__(self, line: Line, *arguments: str) -> None:
        admin = f"127.0.0.1:{line.register.port}"
        self._command = [str(MOORING), "stop", "--redis", line.redis.url, "--admin", admin, *arguments]
        self._output = line.register.directory / f"stop-{next(NUMBERS)}"

    def __enter__(self) -> Self:
        """Begin."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_: object) -> None:
        """End it, whatever it waits for."""
        with self._process:
            self._process.kill()

    def said(self) -> str:
        """Return what it has printed so far."""
        return self._output.read_text()

    def says(self, words: str) -> None:
        """Wait until it has printed this."""
        wait_until(lambda: words in self.said(), lambda: f"{words!r}, not {self.said()!r}")

    def status(self) -> int:
        """Return its exit status, once it has ended."""
        return self._process.wait(30)


@contextmanager
def half_a_request(line: Line, web: Whoamis, container: Container) -> Iterator[socket]:
    """Give a connection that has reached that very container, and has sent half of a request."""
    with ExitStack() as ending:
        for _ in range(20):
            request = f"long-{next(NUMBERS)}"
            one = ending.enter_context(create_connection(("127.0.0.1", line.publish), timeout=15))
            one.sendall(f"GET / HTTP/1.1\r\nX-Request-Id: {request}\r\n".encode())
            if _receiver(web, request) == container:
                yield one
                return
            one.close()
        raise AssertionError("no connection ever led there")


def _receiver(web: Whoamis, request: str) -> Container:
    """Return the container that a request has reached."""
    found: list[Container] = []

    def is_there() -> bool:
        found[:] = [one for one in web.containers if request in web.received(one)]
        return bool(found)

    wait_until(is_there, "a container to have the request")
    return found[0]


def answer(one: socket) -> str:
    """Send the other half of the request, and return the answer; nothing when there is none."""
    try:
        one.sendall(b"\r\n")
        return one.recv(4096).decode()
    except ConnectionError:
        return ""


def runs(container: Container) -> bool:
    """Tell whether a container runs."""
    container.reload()
    return str(container.status) == "running"


def test_nothing_is_lost_when_a_container_is_stopped(line: Line, web: Whoamis, container: Container) -> None:
    """A request that takes its time is answered before the container goes; two hundred a second notice nothing."""
    with Load(line.targets, RATE) as load, half_a_request(line, web, container) as long:
        with Stop(line, str(container.name)) as stop:
            stop.says("waiting: 1 open at ")
            holds_for(1.0, lambda: runs(container), "the container runs on")
            assert f"instance={hostname(container)}" in answer(long)
            long.close()
            assert stop.status() == 0, stop.said()
            assert f"{container.name}: stopped, after " in stop.said()
        assert not runs(container)
        load.await_answers(lambda seen: seen.total() > RATE / 2)
    assert load.failures == ()


def test_docker_alone_takes_along_what_is_open(line: Line, web: Whoamis, container: Container) -> None:
    """The same request is broken by `docker stop`: what the test above holds is not held by itself."""
    with half_a_request(line, web, container) as long:
        container.stop(timeout=1)
        assert answer(long) == ""


def test_what_is_open_for_too_long_is_told_and_ended(line: Line, web: Whoamis, container: Container) -> None:
    """When the time is over the container is stopped all the same, and it is said what was still open."""
    with half_a_request(line, web, container), Stop(line, "--timeout", "2", str(container.short_id)) as stop:
        assert stop.status() == 0, stop.said()
        assert f"{container.short_id}: stopping: the 2 s are over: 1 open at " in stop.said()
    assert not runs(container)


def test_a_command_that_is_killed_leaves_nothing_behind(line: Line, web: Whoamis, container: Container) -> None:
    """The container is up again after some seconds, and given connections."""
    with half_a_request(line, web, container), Stop(line, str(container.name)) as stop:
        stop.says("waiting: 1 open at ")
    with Load(line.targets, RATE) as load:
        load.await_answers(lambda seen: hostname(container) in {name for _, name in seen})
    assert runs(container)


def test_a_register_that_is_restarted_meanwhile_breaks_nothing(line: Line, web: Whoamis, container: Container) -> None:
    """It is told again, and before it drains again nothing is stopped."""
    with (
        Load(line.targets, RATE) as load,
        half_a_request(line, web, container) as long,
        Stop(line, str(container.name)) as stop,
    ):
        stop.says("waiting: 1 open at ")
        line.register.stop()
        stop.says("waiting: register does not answer")
        line.register.start()
        assert f"instance={hostname(container)}" in answer(long)
        long.close()
        assert stop.status() == 0, stop.said()
    assert load.failures == ()


def test_who_cannot_be_drained_is_not_stopped(line: Line, container: Container) -> None:
    """Without a register to tell, the container stays; unless somebody insists."""
    line.register.stop()
    with Stop(line, "--timeout", "1", str(container.name), "nobody") as stop:
        assert stop.status() == 1
        assert "nobody: not stopped: there is no such container" in stop.said()
        assert f"{container.name}: not stopped: register does not answer (127.0.0.1:" in stop.said()
    assert runs(container)
    with Stop(line, "--timeout", "1", "--force", str(container.name)) as stop:
        assert stop.status() == 0, stop.said()
        assert f"{container.name}: stopping by force: register does not answer" in stop.said()
    assert not runs(container)
    line.register.start()
    with Stop(line, str(container.name)) as stop:
        assert (stop.status(), stop.said()) == (0, f"{container.name}: does not run\n")


def test_what_is_not_registered_is_just_stopped(line: Line, web: Whoamis) -> None:
    """Nobody was ever sent there, so nobody is waited for; several containers go at once."""
    ignored = [web.start(f"ignored-{number}", SERVICE_IGNORE="true") for number in range(2)]
    with Stop(line, "--timeout", "20", *(str(one.name) for one in ignored)) as stop:
        assert stop.status() == 0, stop.said()
        assert stop.said().count("stopping: is not registered") == len(ignored)
    assert not any(runs(one) for one in ignored)
