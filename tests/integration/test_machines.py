"""The machines that tests are given: whether they are apart where they should be, and gone when they should be."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.machines import ADDRESSES, OUTSIDE, Machine, Switch, machines, switch
from tests.waiting import DEADLINE_SECONDS, wait_until

pytestmark = pytest.mark.machines

PORT = 8000
CONNECT_SECONDS = 3.0
ROOT = Path(__file__).parents[2]
# Says on one line which network namespaces it made, and waits for its end.
HOLDING = """
import os, sys, pathlib
from tests.machines import ADDRESSES, Machine, machines, switch
with switch() as between:
    machine = Machine(between, "one", ADDRESSES[0], pathlib.Path(sys.argv[1]))
    with machines(machine):
        machine.launch(pathlib.Path(sys.argv[1]) / "log", "sleep", "1000")
        print(machine.run("readlink", "/proc/self/ns/net").strip(), flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def between() -> Iterator[Switch]:
    """Give a switch."""
    with switch() as made:
        yield made


@pytest.fixture
def three(between: Switch, tmp_path: Path) -> Iterator[list[Machine]]:
    """Give three machines with power."""
    names = ("one", "two", "three")
    made = [
        Machine(between, name, address, tmp_path / name, ["/var/lib/kept"])
        for name, address in zip(names, ADDRESSES, strict=False)
    ]
    with machines(*made):
        yield made


def _processes_in(network: str) -> list[str]:
    """Return the processes of a network namespace, as this machine numbers them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str((process / "ns/net").readlink()) == network:
                found.append(process.name)
        except OSError:
            continue
    return found


def _network_of(machine: Machine) -> str:
    return machine.run("readlink", "/proc/self/ns/net").strip()


def _reaches(source: Machine, target: Machine) -> bool:
    """Tell whether a connection from one machine to another comes about."""
    with target.network(), closing(socket.create_server((target.address, PORT))), source.network():
        try:
            with socket.create_connection((target.address, PORT), timeout=CONNECT_SECONDS):
                return True
        except OSError:
            return False


def test_machines_reach_each_other_and_us(three: list[Machine]) -> None:
    """Each has its name and its address, and whoever is on the switch reaches it there."""
    one, two, _ = three
    assert one.run("cat", "/proc/sys/kernel/hostname") == "one\n"
    assert _reaches(one, two)
    assert _reaches(two, one)
    with one.network():
        server = socket.create_server((one.address, PORT))
    with closing(server), socket.create_connection((one.address, PORT), timeout=DEADLINE_SECONDS) as connection:
        assert connection.getsockname()[0] == OUTSIDE


def test_two_that_are_kept_apart_still_reach_the_third(between: Switch, three: list[Machine]) -> None:
    """A cut between two machines is one between these two, and it heals."""
    one, two, three_ = three
    with between.apart(one.name, two.name):
        assert not _reaches(one, two)
        assert _reaches(one, three_)
        assert _reaches(three_, two)
    wait_until(lambda: _reaches(one, two), "the cut to have healed")


def test_a_power_cut_ends_everything_but_what_is_kept(three: list[Machine], tmp_path: Path) -> None:
    """Every process is gone, daemons too, and so are the mounts; what was written to a kept folder is there again."""
    one = three[0]
    network = _network_of(one)
    one.launch(tmp_path / "log", "sh", "-c", "setsid sleep 1000 & exec sleep 1000")
    one.run("sh", "-c", "echo 1 >/var/lib/kept/word; echo 1 >/run/word")
    wait_until(lambda: len(_processes_in(network)) >= 4, "both, and those that hold the machine, to run")
    one.power_off()
    assert _processes_in(network) == []
    assert "/var/lib/kept" not in Path("/proc/self/mounts").read_text()
    one.power_on()
    assert one.run("find", "/run", "/var/lib/kept", "-name", "word").split() == ["/var/lib/kept/word"]


def test_a_test_that_is_killed_leaves_no_machine(tmp_path: Path) -> None:
    """Killed without a chance to tidy up, a test takes switch, machines, processes and links with it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holding:
        assert holding.stdout is not None
        network = holding.stdout.readline().strip()
        link = Path(f"/sys/class/net/test-{holding.pid}")
        assert link.exists()
        assert _processes_in(network)
        holding.send_signal(signal.SIGKILL)
    wait_until(lambda: not _processes_in(network) and not link.exists(), "everything to be gone")
