"""Mooring's commands as processes: started, asked at their admin servers, killed, frozen, and ended as asked.

Knows what every command has: `--admin`, a log of JSON lines, a status. What one of them does is its tests' business.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.servers import HOST, Server, ask
from tests.waiting import DEADLINE_SECONDS, wait_until

MOORING = Path(sys.executable).with_name("mooring")
ANSWER_SECONDS = 5.0
GRACE_SECONDS = 10.0  # Docker kills what takes longer to end


class Part(Server):
    """One of Mooring's commands as a process; it answers when `/readyz` says so.

    `start` waits until it does; `launch` does not wait, for those that shall not be ready yet, or never.
    """

    def __init__(
        self, directory: Path, name: str, options: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> None:
        """`variables` are what it finds in its environment besides ours."""
        super().__init__(directory, MOORING, options)
        self._name = name
        self._variables = variables or {}

    def environment(self) -> Mapping[str, str]:
        """See `Server.environment`."""
        return self._variables

    def command(self) -> list[str]:
        """See `Server.command`."""
        return [str(self.program), self._name, "--admin", f"{HOST}:{self.port}", "--log-format", "json", *self.options]

    def answers(self) -> bool:
        """See `Server.answers`."""
        return b" 200 " in ask(self.port, b"GET /readyz HTTP/1.0\r\n\r\n").partition(b"\r\n")[0]

    # -- its life

    def ready(self) -> Self:
        """Wait until it is ready, and return it."""
        wait_until(self.answers, lambda: f"{self._name} to be ready:\n{self.tail()}")
        return self

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._running.send_signal(number)

    def status(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Return its exit status, once it has ended."""
        return self._running.wait(seconds)

    def runs(self) -> bool:
        """Tell whether it has not ended, by itself or otherwise."""
        return self._process is not None and self._process.poll() is None

    def end(self) -> float:
        """Ask it to end, which it must do well before Docker would kill it, and return the seconds that it took."""
        began = time.monotonic()
        self.send(signal.SIGTERM)
        assert self.status(GRACE_SECONDS) == 0, self.tail()
        return time.monotonic() - began

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self._name} was not started, or was killed"
        return self._process

    # -- its admin server

    def ask(self, path: str) -> tuple[int, str]:
        """Ask its admin server, and return status and text; status 0 while it does not answer."""
        try:
            with urlopen(f"http://{HOST}:{self.port}{path}", timeout=ANSWER_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def state(self) -> dict[str, Any]:
        """Return what `/state` says."""
        state: dict[str, Any] = json.loads(self._answer("/state"))
        return state

    def metric(self, name: str) -> float:
        """Return the sum over all labels of a counter or gauge of `/metrics`."""
        lines = self._answer("/metrics").splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)

    def _answer(self, path: str) -> str:
        status, text = self.ask(path)
        assert status == HTTPStatus.OK, f"{self._name} answers {path} with {status}: {text}"
        return text

    # -- its log

    def events(self, sentence: str) -> list[dict[str, object]]:
        """Return the lines of the log that say this, as their fields."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == sentence]
