"""Docker engines of their own: one on each of several machines, with its own containers, images, networks and name.

They and the engine of this machine do not notice each other: a machine has its own network and mounts (see `machines`),
and what is shared, the control groups, they keep under names of their own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import docker
from docker.errors import DockerException

from tests.machines import Machine
from tests.waiting import wait_until

START_SECONDS = 30.0
CLEAN_SECONDS = 10.0
# What an engine keeps; /etc/docker holds its identity, in versions before 23.
KEPT = ("/var/lib/docker", "/etc/docker")
PID_FILE = "/run/docker.pid"
PIECE_BYTES = 1 << 20
CGROUPS = Path("/sys/fs/cgroup")


class Engine:
    """The Docker engine of one machine, and the clients that speak with it from outside."""

    def __init__(self, machine: Machine, *options: str, root: Path | None = None) -> None:
        """The machine keeps KEPT. `root` is a system whose engine it is, another one than this machine's own."""
        self.machine = machine
        self._options = options
        self._root = root
        self._socket = machine.directory / "docker.sock"
        self._log = machine.directory / "dockerd.log"
        self._cgroup = f"test-{os.getpid()}-{machine.name}"

    @property
    def address(self) -> str:
        """Where it answers, outside its machine too."""
        return f"unix://{self._socket}"

    @property
    def group(self) -> int:
        """The group that may speak with it, by number; it runs."""
        return self._socket.stat().st_gid

    def start(self) -> None:
        """Start it and wait until it answers. The machine is on; containers that are to restart always do."""
        self._socket.unlink(missing_ok=True)
        if self._root is not None:
            self.machine.run("sh", "-euc", "\n".join(self._mounts(self._root)))
        # Whatever the machine's own manager of control groups is: it knows nothing of this engine.
        options = ["--exec-opt=native.cgroupdriver=cgroupfs", f"--cgroup-parent=/{self._cgroup}", *self._options]
        hosts = ["--host=unix:///run/docker.sock", f"--host={self.address}"]
        changed = ["chroot", str(self._root)] if self._root is not None else []
        self.machine.launch(self._log, *changed, "dockerd", f"--pidfile={PID_FILE}", *hosts, *options)
        wait_until(self._answers, lambda: f"an engine on {self.machine.name}:\n{self._log_end()}", START_SECONDS)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it alone, and wait until it has ended; what becomes of its containers is up to it."""
        kill = f'pid=$(cat {PID_FILE}); kill -{number} "$pid"; while [ -e "/proc/$pid" ]; do sleep 0.05; done'
        self.machine.run("sh", "-euc", kill)

    def power_off(self) -> None:
        """Cut the power of its machine, with everything that runs there."""
        self.machine.power_off()
        # A real one loses them with its power.
        wait_until(self._forgot_cgroups, f"the control groups of {self.machine.name} to be empty", CLEAN_SECONDS)

    def forget(self) -> None:
        """Remove all that it kept; its machine is off."""
        for place in KEPT:
            shutil.rmtree(self.machine.kept(place))

    def power_on(self) -> None:
        """Start its machine, and it."""
        self.machine.power_on()
        self.start()

    @contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        """Give a client."""
        client = docker.DockerClient(self.address)
        try:
            yield client
        finally:
            client.close()

    def command(self, *words: str) -> list[str]:
        """Return the command line of `docker` that speaks with it."""
        return ["docker", "--host", self.address, *words]

    def _mounts(self, root: Path) -> Iterator[str]:
        """Yield what lets the other system see this one's processes and devices, and what the machine keeps."""
        seen = ["/proc", "/sys", "/dev", "/run", str(self.machine.directory), *KEPT]
        yield f"if mountpoint -q {root}; then exit; fi"
        yield f"mount --bind {root} {root}"
        for place in seen:
            yield f"mkdir -p {root}{place}"
            yield f"mount --rbind {place} {root}{place}"

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except DockerException:
            return False

    def _log_end(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])

    def _forgot_cgroups(self) -> bool:
        # In version 1 each controller has a tree of its own, in version 2 there is one.
        for root in (CGROUPS, *(folder for folder in CGROUPS.iterdir() if folder.is_dir())):
            for folder, _, _ in os.walk(root / self._cgroup, topdown=False):
                try:
                    Path(folder).rmdir()
                except OSError:
                    return False
        return True


@contextmanager
def engines(*made: Engine) -> Iterator[None]:
    """Power these on, and off in the end. Their images are large: nothing is kept but what the engines wrote."""
    with ExitStack() as ending:
        for engine in made:
            ending.callback(engine.forget)
            ending.callback(engine.power_off)
            engine.power_on()
        yield


def copy_images(names: Sequence[str], engines: Sequence[Engine]) -> None:
    """Load images of this machine's engine into others, read once and written to all at the same time."""
    with ExitStack() as ending:
        saving = ending.enter_context(subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE))
        loading = [
            ending.enter_context(
                subprocess.Popen(engine.command("load", "--quiet"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            )
            for engine in engines
        ]
        assert saving.stdout is not None
        while piece := saving.stdout.read(PIECE_BYTES):
            for one in loading:
                assert one.stdin is not None
                one.stdin.write(piece)
    statuses = [one.returncode for one in (saving, *loading)]
    assert not any(statuses), f"docker save and docker load ended with {statuses}"
