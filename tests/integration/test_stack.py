"""The demo's ground with real processes and ports: children that never outlive us, ports that stay ours, servers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from mooring.errors import SettingsError
from mooring_stack.embedded import (
    ETCD,
    REDIS,
    Program,
    Sought,
    etcd_answers,
    etcd_command,
    find,
    redis_answers,
    redis_command,
)
from mooring_stack.patience import Failed, Interrupted, Patience
from mooring_stack.ports import Ports
from mooring_stack.supervisor import Death, Supervisor
from tests.waiting import DEADLINE_SECONDS, wait_until


def runs(pid: int) -> bool:
    """Tell whether a process is there and not merely waiting for its parent to notice its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Supervise children until the test is over; half a second is patience enough for a stubborn one."""
    made = Supervisor(tmp_path, os.environ, stop_seconds=0.5)
    with closing(made):
        yield made


def test_a_child_writes_into_its_own_log(supervisor: Supervisor) -> None:
    """Both outputs of a child stand in a file that bears its name."""
    supervisor.start("talker", ["sh", "-c", "echo one; echo two >&2; exec sleep 60"])
    wait_until(lambda: supervisor.tail("talker") == ["one", "two"], "both lines")
    assert supervisor.tail("talker", 1) == ["two"]


def test_a_child_that_ends_by_itself_is_reported_with_its_status(supervisor: Supervisor) -> None:
    """A death is news, whether by its own exit or by a signal from elsewhere; a stop of ours is none."""
    supervisor.start("leaver", ["sh", "-c", "exit 3"])
    victim = supervisor.start("victim", ["sleep", "60"])
    supervisor.start("stays", ["sleep", "60"])
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(supervisor.deaths()) == 2, "two deaths")
    assert supervisor.deaths() == [Death("leaver", 3), Death("victim", 137)]
    supervisor.stop("stays")
    assert len(supervisor.deaths()) == 2


def test_children_end_in_the_reverse_order_of_their_start(supervisor: Supervisor, tmp_path: Path) -> None:
    """Nobody loses what it stands on before it ended itself."""
    for name in ("first", "second", "third"):
        script = f"trap 'echo {name} >> {tmp_path}/ended; exit' TERM; echo up; while :; do sleep 0.01; done"
        supervisor.start(name, ["sh", "-c", script])
        wait_until(lambda name=name: supervisor.tail(name) == ["up"], f"{name} to be up")  # type: ignore[misc]
    supervisor.close()
    assert (tmp_path / "ended").read_text().split() == ["third", "second", "first"]


def test_a_child_that_does_not_listen_is_killed(supervisor: Supervisor) -> None:
    """A stop ends in any case."""
    supervisor.start("stubborn", ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.01; done"])
    wait_until(lambda: supervisor.tail("stubborn") == ["up"], "the child to be up")
    assert supervisor.stop("stubborn") == -signal.SIGKILL


def test_a_killed_child_is_gone_and_no_news(supervisor: Supervisor) -> None:
    """What we killed ourselves is not reported as a death, and its name is free again."""
    pid = supervisor.start("victim", ["sleep", "60"])
    supervisor.kill("victim")
    assert not runs(pid)
    assert not supervisor.deaths()
    supervisor.start("victim", ["sleep", "60"])


def test_a_name_belongs_to_one_child(supervisor: Supervisor) -> None:
    """A second child of one name would be lost to us: that is a bug, and loud."""
    supervisor.start("one", ["sleep", "60"])
    with pytest.raises(ValueError, match="one is running"):
        supervisor.start("one", ["sleep", "60"])


def test_children_die_with_their_parent_even_when_it_is_killed(tmp_path: Path) -> None:
    """After kill -9 of the supervising process the kernel ends the children."""
    program = (
        "import os, pathlib, sys, time\n"
        "from mooring_stack.supervisor import Supervisor\n"
        "supervisor = Supervisor(pathlib.Path(sys.argv[1]), os.environ)\n"
        "print(supervisor.start('child', ['sleep', '60']), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            wait_until(lambda: Path(f"/proc/{child}/cmdline").read_bytes() == b"sleep\0" + b"60\0", "the child to run")
            parent.kill()
            wait_until(lambda: not runs(child), "the child to end")
        finally:
            parent.kill()
            if runs(child):
                os.kill(child, signal.SIGKILL)


def test_waiting_ends_with_the_condition_a_death_the_deadline_or_the_users_wish(supervisor: Supervisor) -> None:
    """Whatever happens first is what the waiting says."""
    stopping = Event()
    patience = Patience(supervisor, stopping)
    assert patience.until(lambda: True, what="nothing", seconds=0) < DEADLINE_SECONDS
    with pytest.raises(Failed, match="a miracle: not within 0 s"):
        patience.until(lambda: False, what="a miracle", seconds=0)
    supervisor.start("leaver", ["sh", "-c", "exit 3"])
    with pytest.raises(Failed, match="leaver ended by itself with status 3"):
        patience.until(lambda: False, what="a miracle", seconds=DEADLINE_SECONDS)
    stopping.set()
    with pytest.raises(Interrupted):
        patience.until(lambda: False, what="a miracle", seconds=DEADLINE_SECONDS)


def test_a_held_port_is_ours_and_yet_a_server_can_listen_on_it() -> None:
    """Nobody else gets the port, before, while and after a server of ours listens there."""
    with Ports() as ports:
        port = ports.hold()
        with socket.create_server(("127.0.0.1", port)):
            pass
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))
    with socket.socket() as anybody:
        anybody.bind(("127.0.0.1", port))


def test_two_demos_never_hold_the_same_port() -> None:
    """However many are held, each is held once."""
    with Ports() as some, Ports() as others:
        held = [ports.hold() for ports in (some, others) for _ in range(100)]
    assert len(set(held)) == len(held)


def test_a_port_can_be_held_on_two_addresses() -> None:
    """Two proxies publish one service on the same port of an address each."""
    with Ports() as ports:
        port = ports.hold("127.0.0.1", "127.0.0.2")
        for host in ("127.0.0.1", "127.0.0.2"):
            with socket.create_server((host, port)):
                pass


def test_an_address_of_another_machine_cannot_be_held() -> None:
    """The error is the system's own."""
    with Ports() as ports, pytest.raises(OSError, match="assign"):
        ports.hold("127.0.0.1", "192.0.2.1")


@pytest.fixture(params=["on the path", "from the package"])
def path(request: pytest.FixtureRequest) -> str:
    """Search where a server installed by the system is, or nowhere, so that the packaged one is taken."""
    if request.param == "from the package":
        return ""
    own = str(Path(sys.executable).parent)
    return os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if folder != own)


def test_an_embedded_etcd_starts_and_answers(path: str, supervisor: Supervisor, tmp_path: Path) -> None:
    """Found on PATH or in its package, it serves on the port that it was given."""
    with Ports() as ports:
        port = ports.hold()
        assert not etcd_answers(port)
        program = find(ETCD, path)
        supervisor.start("etcd", etcd_command(program, tmp_path / "data", port, ports.hold()))
        wait_until(lambda: etcd_answers(port), "etcd to answer")
        assert not supervisor.deaths()
        assert program.version[0].isdigit()


def test_an_embedded_redis_starts_and_answers(path: str, supervisor: Supervisor, tmp_path: Path) -> None:
    """Found on PATH or in its package, it serves on the port that it was given."""
    with Ports() as ports:
        port = ports.hold()
        assert not redis_answers(port)
        program = find(REDIS, path)
        supervisor.start("redis", redis_command(program, tmp_path, port))
        wait_until(lambda: redis_answers(port), "Redis to answer")
        assert not supervisor.deaths()
        assert program.version[0].isdigit()


def test_a_program_on_the_path_is_preferred(tmp_path: Path) -> None:
    """What the machine's owner installed goes before what a package brings."""
    own = tmp_path / "etcd"
    own.write_text("#!/bin/sh\necho etcd Version: 9.8.7\n")
    own.chmod(0o755)
    assert find(ETCD, str(tmp_path)) == Program("etcd", str(own), "9.8.7")


def test_our_own_environments_scripts_are_not_the_path() -> None:
    """The `etcd` beside our interpreter is the packaged one under another name."""
    assert "etcdbin" in find(ETCD, str(Path(sys.executable).parent)).path


def test_a_program_that_is_nowhere_is_named_with_its_remedy() -> None:
    """The message says what to install."""
    sought = Sought("etcd", ("no-such-etcd",), "no-such-distribution", "no_such_package", "etcd")
    with pytest.raises(SettingsError, match="no no-such-etcd on PATH, and the package no-such-distribution is not"):
        find(sought)


@pytest.mark.parametrize(("version", "cautioned"), [("3.5.1", True), ("3.5.16", False), ("3.4.23", False)])
def test_an_etcd_that_can_lose_writes_says_so(version: str, cautioned: bool) -> None:
    """3.5.0 to 3.5.2 are for a demo, never for a deployment; others are for both."""
    assert bool(Program("etcd", "etcd", version).caution) == cautioned
