"""The ways to an engine, each laid for real and taken by a real register."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mooring.errors import Unavailable
from mooring_register.engine.address import parse_docker_address
from mooring_register.engine.docker_engine import DockerEngine
from tests.engine_doors import Haproxy, Sshd
from tests.integration.journeys import Journey, begun
from tests.parts import Part
from tests.servers import EtcdServer
from tests.tls import make_certificates
from tests.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.sshd]

DEADLINE_SECONDS = 30.0
# Shorter than the life of a container that nothing happens to.
IDLE_SECONDS = 1.5
CUT_SECONDS = 120.0

Way = Callable[[Path, ExitStack], tuple[list[str], dict[str, str]]]


def by_tcp(directory: Path, ending: ExitStack) -> tuple[list[str], dict[str, str]]:
    """In the clear."""
    door = ending.enter_context(Haproxy(directory))
    return ["--docker", f"tcp://127.0.0.1:{door.port}"], {}


def by_ipv6(directory: Path, ending: ExitStack) -> tuple[list[str], dict[str, str]]:
    """In the clear, over IPv6."""
    door = ending.enter_context(Haproxy(directory, address="::1"))
    return ["--docker", f"http://[::1]:{door.port}"], {}


def by_tls(directory: Path, ending: ExitStack) -> tuple[list[str], dict[str, str]]:
    """With certificates that the address names; whom this process believes otherwise does not matter."""
    made = make_certificates(directory)
    door = ending.enter_context(Haproxy(directory, certificates=made))
    files = f"ca={made}/ca.pem&cert={made}/client.pem&key={made}/client.key"
    return ["--docker", f"tcp://127.0.0.1:{door.port}?{files}"], {"REQUESTS_CA_BUNDLE": f"{made}/other.pem"}


def by_variables(directory: Path, ending: ExitStack) -> tuple[list[str], dict[str, str]]:
    """As Docker's variables say."""
    made = make_certificates(directory)
    for name, like in {"cert.pem": "client.pem", "key.pem": "client.key"}.items():
        (made / name).write_bytes((made / like).read_bytes())
    door = ending.enter_context(Haproxy(directory, certificates=made))
    where = {"DOCKER_HOST": f"tcp://127.0.0.1:{door.port}", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(made)}
    return [], where


def by_ssh(directory: Path, ending: ExitStack) -> tuple[list[str], dict[str, str]]:
    """Through an SSH server that the home of whoever asks knows."""
    door = ending.enter_context(Sshd(directory))
    return ["--docker", f"ssh://{door.user}@127.0.0.1:{door.port}"], {"HOME": str(door.home)}


@pytest.fixture
def journey(etcd_server: EtcdServer, tmp_path: Path, namespace: str, whoami_image: str) -> Iterator[Journey]:
    """Give a registry for it to write to."""
    with begun(etcd_server, tmp_path, namespace, whoami_image) as one:
        yield one


@pytest.mark.parametrize("way", [by_tcp, by_ipv6, by_tls, by_variables, by_ssh])
def test_every_way_leads_to_the_engine(way: Way, journey: Journey, tmp_path: Path) -> None:
    """Whichever way it takes, register hears at once what starts and what ends."""
    ran = journey.container()
    with ExitStack() as ending:
        register = journey.register(*way(tmp_path, ending)).ready()
        journey.await_only(ran)
        started = journey.container()
        journey.await_only(ran, started)
        ran.kill()
        journey.await_only(started)
        assert register.state()["engine lost since"] is None
        register.end()


@pytest.mark.parametrize("way", [by_tcp, by_tls, by_ssh])
def test_events_end_when_they_are_closed(
    way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespace: str
) -> None:
    """Over every way another thread can end a subscription, once or twice, and the next one works."""
    with ExitStack() as ending:
        options, variables = way(tmp_path, ending)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        engine = DockerEngine(parse_docker_address(options[1]))
        for _ in range(2):
            events = engine.events(int(engine.identity().now * 1e9))
            heard = threading.Thread(target=lambda events=events: list(events), daemon=True)
            heard.start()
            events.close()
            events.close()
            heard.join(DEADLINE_SECONDS)
            assert not heard.is_alive()


def test_another_key_than_the_one_that_is_known(journey: Journey, tmp_path: Path) -> None:
    """An SSH server with another key than that of the last time is not believed, and register says so and waits."""
    with Sshd(tmp_path / "sshd") as door:
        door.know(door.home / ".ssh" / "id_ed25519.pub")
        way = ["--docker", f"ssh://{door.user}@127.0.0.1:{door.port}"], {"HOME": str(door.home)}
        register = journey.register(*way)
        wait_until(lambda: "Host key for server" in register.ask("/readyz")[1], "the wrong key to be told")
        door.know(door.data / "host_key.pub")
        register.ready()


def test_a_certificate_that_is_not_known(tmp_path: Path) -> None:
    """An engine whose certificate another authority signed is not asked anything."""
    made = make_certificates(tmp_path)
    with Haproxy(tmp_path / "door", certificates=made) as door:
        files = f"ca={made}/other.pem&cert={made}/client.pem&key={made}/client.key"
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            DockerEngine(parse_docker_address(f"tcp://127.0.0.1:{door.port}?{files}")).identity()


@pytest.mark.parametrize(
    ("allowed", "path"),
    [
        (("info", "events", "containers"), "/version"),
        (("version", "events", "containers"), "/info"),
        (("version", "info", "events"), "/containers/json"),
        (("version", "info", "containers"), "/events"),
    ],
)
def test_a_proxy_that_forbids_too_much(journey: Journey, tmp_path: Path, allowed: tuple[str, ...], path: str) -> None:
    """What a proxy forbids is told by its path, with what register needs; nothing is registered by guesses."""
    with Haproxy(tmp_path / "door", allowed=allowed) as door:
        register = journey.register(["--docker", f"tcp://127.0.0.1:{door.port}"], {})
        wait_until(
            lambda: f"{path} is answered with 403: register needs GET of /version, " in register.ask("/state")[1],
            lambda: f"{path} to be told:\n{register.tail()}",
        )


@pytest.mark.timeout(CUT_SECONDS + 60)
def test_a_proxy_that_cuts_what_is_idle(journey: Journey, tmp_path: Path, measured: Callable[[str], None]) -> None:
    """Cut again and again, register misses nothing, writes nothing, and raises no alarm."""
    with Haproxy(tmp_path / "door", idle_seconds=IDLE_SECONDS) as door:
        stays = journey.container()
        register = journey.register(["--docker", f"tcp://127.0.0.1:{door.port}"], {}).ready()
        journey.await_only(stays)
        before = journey.keys()
        subscribed = register.metric("mooring_register_docker_subscriptions_total")

        def cuts() -> float:
            assert register.state()["engine lost since"] is None
            return register.metric("mooring_register_docker_subscriptions_total") - subscribed

        # What others do on this engine is heard too, and keeps a subscription from being idle.
        seconds = wait_until(lambda: cuts() >= 2, "subscriptions to be cut", CUT_SECONDS)
        measured(f"a proxy that cuts events idle for {IDLE_SECONDS} s: {cuts():.0f} cuts in {seconds:.1f} s, 0 writes")
        assert journey.keys() == before
        assert register.metric("mooring_register_source_failures_total") == 0
        came = journey.container()
        journey.await_only(stays, came)
        stays.kill()
        journey.await_only(came)
        assert "the engine does not answer" not in register.log.read_text()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """Every file that an address names and that cannot be used is told at once, and nothing is started."""
    engine = f"tcp://engine?ca={tmp_path}/a&cert=/no/b&key=/no/c"
    part = Part(tmp_path / "register", "register", ["--dry-run", "--ip", "nowhere", "--docker", engine])
    part.launch()
    assert part.status() == 2
    said = part.log.read_text()
    for file in (f"{tmp_path}/a", "/no/b", "/no/c"):
        assert f"{file}: No such file or directory" in said
    assert "'nowhere' does not appear to be an IPv4 or IPv6 address" in said
