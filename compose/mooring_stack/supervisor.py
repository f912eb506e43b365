"""Child processes by name: each with a log file of its own, watched, ended in the reverse order of their start.

It does not know what the children are. No child outlives it: `close` ends them one by one, and should this process be
killed before that, the kernel ends them (see tether.py). That promise is bound to the thread that started the child,
so a supervisor belongs to the main thread.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from mooring_stack import tether

# A part promises to end within two seconds of SIGTERM, a proxy after its drain, which the demo sets to one second.
STOP_SECONDS: Final = 5.0
_TETHER: Final = (sys.executable, "-I", "-S", str(Path(tether.__file__)))


@frozen
class Death:
    """A child ended that nobody asked to end; `status` as the shell says it (137: SIGKILL)."""

    name: str
    status: int

    def __str__(self) -> str:
        """Return the sentence that a person reads."""
        return f"{self.name} ended by itself with status {self.status}"


class Supervisor:
    """Starts children into the directory of logs, and is the only one who ends them."""

    def __init__(self, logs: Path, environment: Mapping[str, str], stop_seconds: float = STOP_SECONDS) -> None:
        self._logs = logs
        self._stop_seconds = stop_seconds
        self._environment = dict(environment)
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str]) -> int:
        """Start a child, its output going to `<name>.log`, and return its process id.

        Raises:
            ValueError: a child of that name is running.
        """
        if name in self._children:
            raise ValueError(f"{name} is running")
        with self.log(name).open("ab") as log:
            self._children[name] = subprocess.Popen(  # noqa: S603 -- the commands are our own, without a shell
                [*_TETHER, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                # A session of its own: Ctrl-C on the terminal is for us, who end the children in order.
                start_new_session=True,
            )
        return self._children[name].pid

    def log(self, name: str) -> Path:
        """Return the file that a child writes to."""
        return self._logs / f"{name}.log"

    def tail(self, name: str, lines: int = 15) -> list[str]:
        """Return the last lines that a child wrote."""
        try:
            return self.log(name).read_text(errors="replace").splitlines()[-lines:]
        except FileNotFoundError:
            return []

    def deaths(self) -> list[Death]:
        """Return the children that ended by themselves, in the order of their start."""
        polled = ((name, child.poll()) for name, child in self._children.items())
        return [Death(name, status if status >= 0 else 128 - status) for name, status in polled if status is not None]

    def kill(self, name: str) -> None:
        """End a child without a word, as a crash would, and wait until it is gone."""
        child = self._children.pop(name)
        child.kill()
        child.wait()

    def forget(self, name: str) -> None:
        """Take note of a child's death: it is no longer one of ours."""
        self._children.pop(name).wait()

    def stop(self, name: str) -> int:
        """Ask a child to end, insist after `stop_seconds`, and return its status (negative: the signal's number)."""
        child = self._children.pop(name)
        child.send_signal(signal.SIGTERM)
        try:
            return child.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    def close(self) -> None:
        """End all children, the last one started first, so that nobody loses what it stands on."""
        for name in reversed(tuple(self._children)):
            self.stop(name)
