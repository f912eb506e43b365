"""What a real engine's containers do while they run, are ill, are frozen and end, as it is seen in etcd."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from docker.models.containers import Container

from mooring.model import State
from tests.integration.docker_hosts import ENGINE, Host, open_host
from tests.integration.registers import PATIENT
from tests.servers import EtcdServer
from tests.waiting import wait_until

pytestmark = pytest.mark.docker

MOST_ATTEMPTS: Final = 5
SECOND: Final = 10**9
# As process 1 of its container it is deaf to every signal that can be refused.
DEAF: Final = {"entrypoint": ["sleep", "1000"]}
CHECK: Final = {"test": ["CMD", "test", "-e", "/well"], "interval": SECOND // 5, "start_period": 60 * SECOND}
UP: Final = (State.UP, "started")
STOPPING: Final = (State.DRAINING, "stopping")


@pytest.fixture
def host(etcd_server: EtcdServer, tmp_path: Path, namespace: str, whoami_image: str) -> Iterator[Host]:
    """Give a register that has listed the engine."""
    with open_host(etcd_server, tmp_path, namespace, whoami_image) as one:
        yield one


def become(host: Host, container: Container, wanted: tuple[State, str] | None, seconds: float = 15) -> None:
    """Wait until this is written of a container: state and cause, or nothing at all."""

    def written() -> tuple[State, str] | None:
        found = host.published().get(str(container.name))
        return None if found is None else (found.state, found.cause)

    wait_until(lambda: written() == wanted, lambda: f"{wanted}, not {written()}", seconds)


def run(host: Host, **options: Any) -> Container:  # noqa: ANN401 -- Docker's own
    """Run a container with these options, and return it when it is published."""
    one = host.run({**DEAF, **options})
    become(host, one, UP)
    return one


def now(host: Host) -> int:
    """Return the revision up to which etcd has been written."""
    return host.site.store.list(host.site.prefix).revision


def test_a_health_check_decides(host: Host) -> None:
    """[R-L] Starting until it is well, then up; taken out while it is ill; up again when it has recovered."""
    since = now(host)
    one = host.run({**DEAF, "healthcheck": {**CHECK, "retries": 1}})
    become(host, one, (State.STARTING, "started"))
    one.exec_run(["touch", "/well"])
    become(host, one, (State.UP, "healthy"))
    one.exec_run(["rm", "/well"])
    assert host.site.told(str(one.name), since)[-1] == (State.DOWN, "unhealthy")
    one.exec_run(["touch", "/well"])
    become(host, one, (State.UP, "healthy"))


def test_a_health_check_that_is_turned_off_is_none(host: Host) -> None:
    """A container is up as soon as it runs, whatever check its image has."""
    run(host, healthcheck={"test": ["NONE"]})


def test_a_frozen_container_is_taken_out(host: Host) -> None:
    """[R-L] Paused it answers nobody; it is up again when it goes on."""
    since = now(host)
    one = run(host)
    one.pause()
    assert host.site.told(str(one.name), since) == [UP, (State.DOWN, "paused")]
    one.unpause()
    become(host, one, (State.UP, "unpaused"))


def test_its_own_stop_signal_drains_a_container_until_it_has_survived_it(host: Host) -> None:
    """By name, by number, counted from the real-time signals; `docker stop` with more time than declared, too.

    How long somebody waits who says `docker stop --time` is in no event: what a container declares is believed.
    """
    since = now(host)
    declared = {"SIGQUIT": "QUIT", "15": "SIGTERM", "RTMIN+3": "37"}
    sent = {run(host, stop_signal=signal, stop_timeout=0): as_sent for signal, as_sent in declared.items()}
    stopped = run(host, stop_timeout=0)
    threading.Thread(target=stopped.stop, kwargs={"timeout": 10}).start()
    for one, signal in sent.items():
        one.kill(signal)
    for one in (*sent, stopped):
        become(host, one, STOPPING)
    for one in sent:
        become(host, one, (State.UP, "survived its stop signal"))
    survived = (State.UP, "survived its stop signal")
    assert host.site.told(str(stopped.name), since) == [UP, STOPPING, survived, (State.DOWN, "exited 137")]


def test_signals_that_mean_something_else_drain_nothing(host: Host) -> None:
    """To reload is not to end, not even for who declares so; nor is what would end another container."""
    since = now(host)
    ordinary, reloads = run(host, stop_signal="SIGQUIT"), run(host, stop_signal="SIGHUP")
    for one in (ordinary, reloads):
        for signal in ("HUP", "WINCH", "USR1", "TERM"):
            one.kill(signal)
    ordinary.kill("QUIT")
    become(host, ordinary, STOPPING)
    for one, ending in ((ordinary, [STOPPING, (State.DOWN, "stopped")]), (reloads, [(State.DOWN, "exited 137")])):
        one.kill("KILL")
        assert host.site.told(str(one.name), since) == [UP, *ending]


def test_a_container_that_docker_starts_again_is_out_meanwhile(host: Host) -> None:
    """[R-L] It is withdrawn with its exit code each time it dies, and published each time it runs."""
    since = now(host)
    one = host.run(
        {"entrypoint": ["sh", "-c", "sleep 1; exit 3"], "host_config": {"restart_policy": {"Name": "always"}}}
    )
    assert host.site.told(str(one.name), since) == [UP, (State.DOWN, "exited 3")]
    become(host, one, UP)
    one.reload()
    assert one.attrs["RestartCount"] >= 1


def test_a_container_that_ran_out_of_memory(host: Host) -> None:
    """It is withdrawn with that cause, if Docker tells of it before the end; else as one that somebody killed."""
    ran_out, killed = (State.DOWN, "out of memory"), (State.DOWN, "exited 137")
    greedy = ["sh", "-c", "sleep 3; tail /dev/zero"]
    ends: list[tuple[State, str]] = []
    # On a busy machine Docker may tell of it after the end.
    while ran_out not in ends and len(ends) < MOST_ATTEMPTS:
        since = now(host)
        one = host.run({"entrypoint": greedy, "host_config": {"mem_limit": "8m", "memswap_limit": "8m"}})
        up, end = host.site.told(str(one.name), since)
        assert up == UP
        assert end in {ran_out, killed}
        ends.append(end)
    assert ran_out in ends


def test_a_register_that_is_restarted_meanwhile_lets_a_container_drain_on(host: Host) -> None:
    """Its successor knows of the signal at once: the container is never given connections again in between."""
    one = run(host, stop_timeout=60)
    one.kill("TERM")
    become(host, one, STOPPING)
    since = now(host)
    host.process.end()
    host.site.run("--docker", f"unix://{ENGINE}", "--ip", "127.0.0.1", *PATIENT).ready()
    one.kill("KILL")
    assert host.site.told(str(one.name), since) == [(State.DOWN, "stopped")]


def test_what_failed_stays_visible_if_that_is_wanted(host: Host) -> None:
    """[R-L] On success: what ended well is taken out, what failed is down until it runs again or is removed."""
    host.process.end()
    options = ["--docker", f"unix://{ENGINE}", "--ip", "127.0.0.1", "--deregister", "on-success", *PATIENT]
    first = host.site.run(*options).ready()
    since = now(host)
    codes = (0, 1, 137)
    well, failed, killed = (host.run({"entrypoint": ["sh", "-c", f"sleep 3; exit {code}"]}) for code in codes)
    for one in (well, killed):
        assert host.site.told(str(one.name), since)[0] == UP
    wait_until(lambda: states(host) == {failed.name: "exited 1"}, lambda: f"one that failed, not {states(host)}")
    before = host.keys()
    first.end()
    host.site.run(*options).ready()
    assert host.keys() == before
    failed.start()
    become(host, failed, UP)
    wait_until(lambda: states(host) == {failed.name: "exited 1"}, lambda: f"one that failed, not {states(host)}")
    failed.remove()
    wait_until(lambda: not host.keys(), lambda: f"nothing, not {states(host)}")


def states(host: Host) -> dict[str, str]:
    """Return the causes of what is down; what is not is there with its state."""
    return {name: one.cause if one.state is State.DOWN else one.state for name, one in host.published().items()}
