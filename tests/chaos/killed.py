"""The parts as processes of their own that end by SIGKILL at a chosen call; the next process is a normal one.

Each runs the part's own code with all its threads, and a trap between it and the world. Processes are forked off one
that has everything imported, which takes milliseconds.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock
from types import FrameType
from typing import Any

from mooring import threads
from mooring.etcd.address import EtcdAddress
from mooring.etcd.client import connect_to
from mooring.etcd.store import Store
from mooring.keys import RedisNames
from mooring.model import Address
from mooring_discover import main as discover
from mooring_discover.sources.etcd import EtcdSource
from mooring_discover.suspects import Policy
from mooring_proxy import state_dir
from mooring_proxy.presence import Presence, presence
from mooring_proxy.proxy import Standing
from mooring_proxy.stored_table import decode_known
from mooring_proxy.stream import StreamFollower
from mooring_register.registries import EtcdRegistry, Registry
from mooring_register.service import Service
from mooring_register.settings import RegistryAddress, Settings, layout_for
from tests.chaos.commands import struck_stream
from tests.chaos.crashing import Crash, Life, Trap
from tests.chaos.seams import STORE
from tests.chaos.tables import Table
from tests.servers import HOST
from tests.waiting import wait_until

KILLED = -signal.SIGKILL
LEAD_SECONDS = 0.5
PROXY = "h1:1936"

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])
_one_at_a_time = Lock()


class Mortal:
    """A part that is started again whenever it was killed; the crash is in that one of its processes."""

    def __init__(self, log: Path, crash: Crash | None = None, process: int = 1) -> None:
        self.deaths = 0
        self._log = log
        self._crash = crash
        self._until_crash = process
        self._process: BaseProcess | None = None
        self._begin: tuple[Callable[..., None], tuple[Any, ...]] | None = None

    def start(self, body: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401 -- whatever the body takes
        """Run this in a process: `body(*arguments, crash)`."""
        self._begin = body, arguments
        self._until_crash -= 1
        crash = self._crash if self._until_crash == 0 else None
        self._process = _started(_quietly, self._log, body, (*arguments, crash))

    def lives(self) -> bool:
        """Tell whether it runs; if it was killed it is started again. Whatever else ended it is a failure."""
        assert self._process is not None
        status = _status(self._process)
        if status is None:
            return True
        assert status == KILLED, f"ended with {status}:\n{self._log.read_text()}"
        self.deaths += 1
        assert self._begin is not None
        body, arguments = self._begin
        self.start(body, *arguments)
        return False

    def end(self) -> None:
        """Ask it to end, and wait for it; that it is killed over it may be what the crash is about."""
        assert self._process is not None
        assert self._process.pid is not None
        if _status(self._process) is None:
            os.kill(self._process.pid, signal.SIGTERM)
        # One that was only just started again does not listen to signals yet.
        self._ended_with(0, KILLED, -signal.SIGTERM)

    def ended(self) -> bool:
        """Wait until it ended by itself; tell whether it was not killed."""
        return self._ended_with(0, KILLED) == 0

    def _ended_with(self, *allowed: int) -> int:
        assert self._process is not None
        status = _waited_for(self._process)
        assert status in allowed, f"ended with {status}:\n{self._log.read_text()}"
        self.deaths += status == KILLED
        return status

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until it runs and something is so."""
        wait_until(lambda: self.lives() and condition(), lambda: f"{what}:\n{self._log.read_text()[-2000:]}")

    def was_killed(self) -> None:
        """Wait until it was killed: what it was killed after may be seen before it is dead."""
        wait_until(lambda: self.deaths > 0 or not self.lives(), "the crash")

    def kill(self) -> None:
        """End it whatever it does."""
        if self._process is not None and _status(self._process) is None:
            self._process.kill()
            _waited_for(self._process)


def _started(body: Callable[..., None], *arguments: Any) -> BaseProcess:  # noqa: ANN401 -- whatever the body takes
    process = _processes.Process(target=body, args=arguments)
    with _one_at_a_time:
        process.start()
    return process


def _status(process: BaseProcess) -> int | None:
    # The library reads a status once, and whoever reads at the same moment is told another.
    with _one_at_a_time:
        return process.exitcode


def _waited_for(process: BaseProcess) -> int:
    wait_until(lambda: _status(process) is not None, "a process to end")
    status = _status(process)
    assert status is not None
    return status


def _quietly(log: Path, body: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    with log.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    body(*arguments)


def _trap(crash: Crash | None) -> Trap:
    return Trap(crash) if crash else Trap()


def _struck_store(trap: Trap) -> Callable[[EtcdAddress], Store]:
    return lambda address: trap.guard(connect_to(address), STORE, Life())


def _struck_registry(trap: Trap) -> Callable[[RegistryAddress, str], Registry]:
    def connect(address: RegistryAddress, layout: str) -> Registry:
        assert isinstance(address, EtcdAddress)
        return EtcdRegistry(_struck_store(trap)(address), address, layout_for(address, layout))

    return connect


# -- what runs in the processes


def run_register(settings: Settings, crash: Crash | None) -> None:
    """Register until SIGTERM."""
    Service(settings, connect=_struck_registry(_trap(crash))).run()


def withdraw_register(settings: Settings, crash: Crash | None) -> None:
    """Take the host out of the registry."""
    Service(settings, connect=_struck_registry(_trap(crash))).withdraw()


def run_discover(source: EtcdAddress, url: str, namespace: str, stream_length: int, crash: Crash | None) -> None:
    """Discover until SIGTERM."""
    trap = _trap(crash)
    discover.run(
        [EtcdSource(str(source), _struck_store(trap)(source), source.prefix)],
        struck_stream(url, RedisNames(namespace), trap, Life()),
        Policy(hold_seconds=3.0),
        lead_seconds=LEAD_SECONDS,
        stream_length=stream_length,
        admin_address=Address(HOST, 0),
        admin_file=None,
    )


def run_proxy(url: str, namespace: str, directory: Path, crash: Crash | None) -> None:
    """Follow the stream, store what it comes to and announce it, until killed."""
    trap, names = _trap(crash), RedisNames(namespace)
    saver = state_dir.Saver(directory)
    table = Table(saver.put)

    def fields() -> dict[str, str]:
        standing = Standing(position=table.known.position if table.known else None)
        return presence(standing, host="h1", driver="relay", connections=0)

    threads.start("state-dir", saver.run)
    threads.start("presence", Presence(struck_stream(url, names, trap, Life()), PROXY, fields).run)
    reader = struck_stream(url, names, trap, Life())
    StreamFollower(reader, table, clock=time.monotonic, jitter=random.random, block_seconds=0.2).run()


# -- a file that is written in several steps


def save_and_die_at_line(directory: Path, text: str, line: int) -> int:
    """Store a table in a process that is killed before that line of `save` that is carried out; return its status."""
    return _waited_for(_started(_save_traced, directory, text, line))


def save_and_die_at_byte(directory: Path, text: str, most_bytes: int) -> int:
    """Store a table in a process that ends when a file of its grows longer than that; return its status."""
    return _waited_for(_started(_save_limited, directory, text, most_bytes))


def _save_traced(directory: Path, text: str, line: int) -> None:
    carried_out = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 -- itself, or None
        nonlocal carried_out
        if frame.f_code is not state_dir.save.__code__:
            return None
        carried_out += event == "line"
        if carried_out == line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    known = decode_known(text)
    sys.settrace(trace)
    state_dir.save(directory, known)


def _save_limited(directory: Path, text: str, most_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    # Python ignores it, and then the write fails; as it is by default, the kernel ends us amid the write.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    state_dir.save(directory, decode_known(text))
