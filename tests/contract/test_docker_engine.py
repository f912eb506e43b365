"""What register needs of a Docker engine: one suite for its twin, for the twin behind HTTP, and for a real engine."""

import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import APIError

from mooring.errors import Unavailable
from mooring.threads import start
from mooring_register.containers import Container, read_container
from mooring_register.engine.address import parse_docker_address
from mooring_register.engine.docker_engine import DockerEngine
from mooring_register.engine.memory_engine import MemoryEngine
from mooring_register.engine.seam import DockerEvent, Engine
from tests.containers.systems import ensure_engine
from tests.engines import KEPT, copy_images, engines
from tests.engines import Engine as RealEngine
from tests.http_engine import HttpEngine
from tests.machines import ADDRESSES, Machine, switch
from tests.waiting import wait_until

DEADLINE_SECONDS = 20.0
ADDRESS = "unix:///var/run/docker.sock"


class Bench(ABC):
    """An engine, and what is done to its containers behind its back."""

    engine: Engine

    @abstractmethod
    def run(self, name: str, labels: dict[str, str], environment: dict[str, str]) -> str:
        """Run a container that publishes port 80, and return its id."""

    @abstractmethod
    def act(self, action: str, container: str, *arguments: str) -> None:
        """Do something to a container: stop, kill, pause, unpause, rename, remove, start."""


class MemoryBench(Bench):
    """The twin."""

    def __init__(self) -> None:
        self.twin = MemoryEngine(time.time)
        self.engine = self.twin

    def run(self, name: str, labels: dict[str, str], environment: dict[str, str]) -> str:
        """See `Bench.run`."""
        return self.twin.run(name, "mooring-whoami", ports=("80/tcp",), labels=labels, environment=environment)

    def act(self, action: str, container: str, *arguments: str) -> None:
        """See `Bench.act`."""
        getattr(self.twin, action)(container, *arguments)


class HttpBench(Bench):
    """The twin behind HTTP, asked by the real client."""

    def __init__(self, served: HttpEngine) -> None:
        self.engine = DockerEngine(parse_docker_address(served.address))
        self._served = served

    def run(self, name: str, labels: dict[str, str], environment: dict[str, str]) -> str:
        """See `Bench.run`."""
        options = {"ports": ["80/tcp"], "labels": labels, "environment": environment}
        (container,) = self._served.told(("run", [name, "mooring-whoami"], options))
        return str(container)

    def act(self, action: str, container: str, *arguments: str) -> None:
        """See `Bench.act`."""
        self._served.told((action, [container, *arguments], {}))


class DockerBench(Bench):
    """A real engine; containers that a test leaves behind are removed."""

    def __init__(self, image: str, address: str) -> None:
        self.engine = DockerEngine(parse_docker_address(address))
        self._image = image
        self._client = docker.DockerClient(base_url=address)
        self._made: list[str] = []

    def run(self, name: str, labels: dict[str, str], environment: dict[str, str]) -> str:
        """See `Bench.run`."""
        container = self._client.containers.run(
            self._image, name=name, labels=labels, environment=environment, ports={"80/tcp": None}, detach=True
        )
        assert container.id is not None
        self._made.append(container.id)
        return container.id

    def act(self, action: str, container: str, *arguments: str) -> None:
        """See `Bench.act`."""
        found = self._client.containers.get(container)
        if action == "remove":
            found.remove(force=True)
        elif action == "stop":
            # One that has hardly started does not know the signal yet.
            found.stop(timeout=1)
        else:
            getattr(found, action)(*arguments)

    def close(self) -> None:
        """Remove what is left."""
        for container in self._made:
            with contextlib.suppress(APIError):
                self._client.containers.get(container).remove(force=True)
        self._client.close()


@pytest.fixture(scope="module")
def http_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpEngine]:
    """Run the twin behind HTTP once for all tests."""
    with HttpEngine(tmp_path_factory.mktemp("engine")) as served:
        yield served


@pytest.fixture(scope="module")
def later_engine(tmp_path_factory: pytest.TempPathFactory, whoami_image: str) -> Iterator[str]:
    """Run the engine of a later Debian than this machine's once for all tests, and give its address."""
    with switch() as between:
        machine = Machine(between, "later", ADDRESSES[0], tmp_path_factory.mktemp("later"), KEPT)
        engine = RealEngine(machine, root=ensure_engine())
        with engines(engine):
            copy_images([whoami_image], [engine])
            yield engine.address


@pytest.fixture(
    params=[
        "memory",
        "http",
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("later", marks=[pytest.mark.docker, pytest.mark.machines]),
    ]
)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Give the twin, then the twin behind HTTP, then this machine's engine, then one of a later version."""
    if request.param == "memory":
        yield MemoryBench()
        return
    if request.param == "http":
        yield HttpBench(request.getfixturevalue("http_engine"))
        return
    address = ADDRESS if request.param == "docker" else request.getfixturevalue("later_engine")
    one = DockerBench(request.getfixturevalue("whoami_image"), address)
    yield one
    one.close()


class Heard:
    """Events of one container, listened to in a thread."""

    def __init__(self, engine: Engine, since_nano: int) -> None:
        self.events: list[DockerEvent] = []
        self._stream = engine.events(since_nano)
        self._thread = start("events", self._listen)

    def _listen(self) -> None:
        for event in self._stream:
            self.events.append(event)

    def wait_for(self, container: str, action: str) -> list[DockerEvent]:
        """Wait until a container did something, and return all that it did."""
        wait_until(
            lambda: any(event.action == action for event in self._of(container)),
            lambda: f"{action!r}, not only {self._of(container)}",
            DEADLINE_SECONDS,
        )
        return self._of(container)

    def _of(self, container: str) -> list[DockerEvent]:
        return [event for event in list(self.events) if event.container_id == container]

    def close(self) -> bool:
        """Close the stream; say whether whoever listens came to an end."""
        self._stream.close()
        self._thread.join(DEADLINE_SECONDS)
        return not self._thread.is_alive()


@pytest.fixture
def heard(bench: Bench) -> Iterator[Heard]:
    """Give everything that happens from now on."""
    one = Heard(bench.engine, int(bench.engine.identity().now * 1e9))
    yield one
    assert one.close()


def inspected(bench: Bench, container: str) -> Container:
    """Return a container that must be there."""
    document = bench.engine.inspect(container)
    assert document is not None
    return read_container(document)


def is_running(bench: Bench, container: str) -> bool:
    """Say whether a listing shows a container."""
    return container in {one.id for one in bench.engine.running()}


def fingerprint(bench: Bench, container: str) -> str:
    """Return the fingerprint of a running container."""
    return next(one.fingerprint for one in bench.engine.running() if one.id == container)


def test_identity(bench: Bench) -> None:
    """An engine says who it is, always the same, and what time it has."""
    first, second = bench.engine.identity(), bench.engine.identity()
    assert first.id
    assert (first.id, first.host) == (second.id, second.host)
    assert abs(first.now - time.time()) < 60


def test_a_running_container(bench: Bench, namespace: str) -> None:
    """A container that runs is listed, and inspected with everything that register reads."""
    container = bench.run(namespace, {"SERVICE_NAME": "web"}, {"SERVICE_TAGS": "a,b"})
    assert is_running(bench, container)
    found = inspected(bench, container)
    assert (found.id, found.name, found.image) == (container, f"/{namespace}", "mooring-whoami")
    assert (found.running, found.paused, found.health) == (True, False, "")
    assert found.labels == {"SERVICE_NAME": "web"}
    assert found.environment == {"SERVICE_TAGS": "a,b"}
    assert abs(found.started_at - time.time()) < 60
    (port, *_) = [port for port in found.ports if port.host_port]
    assert (port.port, port.proto) == (80, "tcp")
    assert not found.ports_pending
    assert found.networks[0].ipv4


def test_an_unknown_container(bench: Bench) -> None:
    """A container that is not there is no error."""
    assert bench.engine.inspect("0" * 64) is None


def test_stopping(bench: Bench, heard: Heard, namespace: str) -> None:
    """A stop is the stop signal and then the death, in this order, and the container runs no more."""
    container = bench.run(namespace, {}, {})
    bench.act("stop", container)
    heard.wait_for(container, "stop")
    told = heard.wait_for(container, "die")
    actions = [event.action for event in told]
    # Engines before 23 say `die` before they clean up, later ones after that.
    for order in (["connect", "start", "kill", "die"], ["kill", "disconnect", "stop"]):
        assert [actions.index(action) for action in order] == sorted(actions.index(action) for action in order)
    assert next(event.attributes["signal"] for event in told if event.action == "kill") == "15"
    assert int(next(event.attributes["exitCode"] for event in told if event.action == "die")) >= 0
    assert [event.time_nano for event in told] == sorted(event.time_nano for event in told)
    assert not is_running(bench, container)
    assert not inspected(bench, container).running


def test_killing(bench: Bench, heard: Heard, namespace: str) -> None:
    """A container that was killed says so by its exit code, in the event and when it is inspected."""
    container = bench.run(namespace, {}, {})
    bench.act("kill", container)
    told = heard.wait_for(container, "die")
    assert next(event.attributes["exitCode"] for event in told if event.action == "die") == "137"
    wait_until(lambda: not is_running(bench, container), "the container to have ended", DEADLINE_SECONDS)
    assert inspected(bench, container).exit_code == 137


def test_starting_again(bench: Bench, heard: Heard, namespace: str) -> None:
    """A container that is started again has a later start."""
    container = bench.run(namespace, {}, {})
    before = inspected(bench, container).started_at
    bench.act("kill", container)
    heard.wait_for(container, "die")
    bench.act("start", container)
    assert inspected(bench, container).running
    assert inspected(bench, container).started_at > before


def test_pausing(bench: Bench, heard: Heard, namespace: str) -> None:
    """A paused container is listed, says that it is paused, and has another fingerprint."""
    container = bench.run(namespace, {}, {})
    before = fingerprint(bench, container)
    bench.act("pause", container)
    heard.wait_for(container, "pause")
    assert inspected(bench, container).paused
    assert fingerprint(bench, container) != before
    bench.act("unpause", container)
    heard.wait_for(container, "unpause")
    assert not inspected(bench, container).paused
    assert fingerprint(bench, container) == before


def test_renaming(bench: Bench, heard: Heard, namespace: str) -> None:
    """A renamed container has its new name and another fingerprint."""
    container = bench.run(namespace, {}, {})
    before = fingerprint(bench, container)
    bench.act("rename", container, f"{namespace}-renamed")
    heard.wait_for(container, "rename")
    assert inspected(bench, container).name == f"/{namespace}-renamed"
    assert [one.name for one in bench.engine.running() if one.id == container] == [f"{namespace}-renamed"]
    assert fingerprint(bench, container) != before


def test_removing(bench: Bench, heard: Heard, namespace: str) -> None:
    """A removed container is gone, and its removal is told."""
    container = bench.run(namespace, {}, {})
    bench.act("remove", container)
    heard.wait_for(container, "destroy")
    assert bench.engine.inspect(container) is None
    assert not is_running(bench, container)


def test_the_past_is_replayed(bench: Bench, namespace: str) -> None:
    """Whoever asks since a moment hears what happened then, the event of that very moment included."""
    since = int(bench.engine.identity().now * 1e9)
    container = bench.run(namespace, {}, {})
    first = Heard(bench.engine, since)
    started = next(event for event in first.wait_for(container, "start") if event.action == "start")
    assert first.close()
    second = Heard(bench.engine, started.time_nano)
    assert started in second.wait_for(container, "start")
    assert second.close()
    later = Heard(bench.engine, started.time_nano + 1)
    bench.act("pause", container)
    assert started not in later.wait_for(container, "pause")
    assert later.close()


def test_signals_of_the_past_are_told_at_once(bench: Bench, namespace: str) -> None:
    """Whoever asks for a span of time is told the signals that were sent in it, in order, and waits for nothing."""
    since = int(bench.engine.identity().now * 1e9)
    container = bench.run(namespace, {}, {})
    bench.act("kill", container)
    wait_until(lambda: not is_running(bench, container), "the container to have ended", DEADLINE_SECONDS)
    now = int(bench.engine.identity().now * 1e9)
    told = [one for one in bench.engine.signals(since, now) if one.container_id == container]
    assert [(one.action, one.attributes["signal"]) for one in told] == [("kill", "9")]
    assert since <= told[0].time_nano <= now
    assert container not in {one.container_id for one in bench.engine.signals(since, told[0].time_nano - 1)}
    assert container not in {one.container_id for one in bench.engine.signals(now, now + 1)}


def test_what_ended_is_told_with_its_exit_code(bench: Bench, namespace: str) -> None:
    """As long as the container is there, and does not run."""
    container = bench.run(namespace, {}, {})
    assert container not in bench.engine.exited()
    bench.act("kill", container)
    wait_until(lambda: bench.engine.exited().get(container) == 137, "the end to be told", DEADLINE_SECONDS)
    bench.act("start", container)
    assert container not in bench.engine.exited()
    bench.act("remove", container)
    assert container not in bench.engine.exited()


def test_closing_twice(bench: Bench) -> None:
    """A stream that has ended can be closed again."""
    events = bench.engine.events(int(bench.engine.identity().now * 1e9))
    events.close()
    events.close()
    assert list(events) == []


def test_several_threads(bench: Bench, namespace: str) -> None:
    """One engine answers several threads at once."""
    container = bench.run(namespace, {}, {})
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(bench.engine.inspect(container) is not None)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    assert answers == [True] * 4


@pytest.fixture(params=["memory", "docker"])
def nobody(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Give an engine that does not answer: the twin, and the real client where no socket is."""
    if request.param == "docker":
        return DockerEngine(parse_docker_address(f"unix://{tmp_path}/docker.sock"))
    twin = MemoryEngine(time.time)
    twin.fail()
    return twin


def test_an_engine_that_does_not_answer(nobody: Engine) -> None:
    """Whatever is asked of an engine that is not there, the answer is that it is unavailable."""
    for question in (nobody.identity, nobody.running, lambda: nobody.inspect("x"), lambda: nobody.events(0)):
        with pytest.raises(Unavailable):
            question()
