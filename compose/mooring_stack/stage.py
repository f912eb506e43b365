"""Where the story is played for real: processes, the file that register watches, the stream, requests.

It carries out what a step says and reports what was seen; whether that is as it should be, story.py judges.
"""

from __future__ import annotations

import http.client
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, assert_never

from mooring.entries import Entry, decode_entry
from mooring.redis.stream import StreamReader
from mooring_stack.patience import Patience
from mooring_stack.pipeline import Places, state
from mooring_stack.ports import LOOPBACK, Ports
from mooring_stack.story import (
    SERVICE,
    Action,
    Enlist,
    Kill,
    Observed,
    Start,
    Step,
    arrivals,
    changes,
    departures,
    instances_file,
    line,
    pipeline_seconds,
)
from mooring_stack.supervisor import Supervisor

# A machine that does nothing else needs a tenth of a second; a loaded one may take its time before we call it broken.
WAIT_SECONDS: Final = 20.0
# Divides by two and by three: round robin shares it evenly.
REQUESTS: Final = 12
_ANSWER_SECONDS: Final = 5.0
_INSTANCE: Final = re.compile(rb"instance=(\S+)")


class Stage:
    """The service's processes and everything that is to be seen of them, through the pipeline between."""

    def __init__(
        self,
        at: Places,
        *,
        ports: Ports,
        supervisor: Supervisor,
        patience: Patience,
        stream: StreamReader,
        tell: Callable[[str], None],
    ) -> None:
        self._at = at
        self._ports = ports
        self._supervisor = supervisor
        self._patience = patience
        self._stream = stream
        self._tell = tell
        self._cursor = 0
        self._running: dict[str, tuple[int, int]] = {}
        self._listed: tuple[str, ...] = ()

    @property
    def processes(self) -> Mapping[str, int]:
        """The instances that run: name → process id."""
        return {name: pid for name, (_, pid) in self._running.items()}

    def play(self, step: Step) -> Observed:
        """Carry a step out and return what was seen.

        Raises:
            Failed: the facts that it should lead to, or the proxies, did not come in time; or a process died.
            Interrupted: the user wishes to end.
        """
        entries = self.follow()
        for action in step.actions:
            self.perform(action)
        stream_seconds = self._see_in_stream(step, entries)
        proxies_seconds = stream_seconds + self._see_in_proxies(step)
        failures: list[str] = []
        answers = {f"{host}:{self._at.published}": self._ask_often(host, failures) for host in self._at.proxies}
        entries += self.follow()
        return Observed(
            arrived=arrivals(entries),
            left=departures(entries),
            changed=changes(entries),
            answers=answers,
            failures=tuple(failures),
            stream_seconds=stream_seconds,
            proxies_seconds=proxies_seconds,
            pipeline_seconds=pipeline_seconds(entries),
        )

    def perform(self, action: Action) -> None:
        """Carry out one action."""
        match action:
            case Start(name):
                self._start(name)
            case Kill(name):
                self._supervisor.kill(name)
                del self._running[name]
            case Enlist(names):
                self._listed = names
                ports = {name: self._running[name][0] for name in names}
                write_instances(self._at, ports)
            case _:
                assert_never(action)

    def bury(self) -> bool:
        """Take instances that died by themselves off the list; whether there were any."""
        dead = [death.name for death in self._supervisor.deaths() if death.name in self._running]
        for name in dead:
            self._tell(f"{name} is gone: it is taken off the list")
            self._supervisor.forget(name)
            del self._running[name]
        if dead:
            self.perform(Enlist(tuple(name for name in self._listed if name in self._running)))
        return bool(dead)

    def follow(self, block_seconds: float = 0.0) -> list[Entry]:
        """Return the entries that came since the last time, and tell them."""
        came: list[Entry] = []
        for raw in self._stream.read(self._cursor, block_seconds=block_seconds):
            self._cursor = raw.sequence
            entry = decode_entry(raw.sequence, raw.fields)
            if entry is not None:
                self._tell(line(entry))
                came.append(entry)
        return came

    def _start(self, name: str) -> None:
        port = self._ports.hold()
        command = (sys.executable, "-m", "mooring_stack.whoami", "--address", LOOPBACK, "--port", str(port))
        self._running[name] = port, self._supervisor.start(name, (*command, "--name", name))
        self._patience.until(lambda: _answer_of(LOOPBACK, port) == name, what=f"{name} answers", seconds=WAIT_SECONDS)

    def _see_in_stream(self, step: Step, entries: list[Entry]) -> float:
        """Add the entries that the step leads to, and return how many seconds they took."""
        wanted = len(step.arriving) + len(step.leaving)

        def seen() -> bool:
            entries.extend(self.follow())
            return len(arrivals(entries)) + len(departures(entries)) >= wanted

        return self._patience.until(seen, what=f"{wanted} facts in the stream", seconds=WAIT_SECONDS)

    def _see_in_proxies(self, step: Step) -> float:
        """Return how many seconds it took until both proxies go by what is in the stream.

        They say so themselves, and whoever arrives has answered through both: the first instance of a service needs a
        port, of which a proxy learns a moment later than of the instance.
        """
        missing = {host: set(step.arriving) for host in self._at.proxies}

        def applied() -> bool:
            for host, names in missing.items():
                if names:
                    names.discard(_answer_of(host, self._at.published))
            told = (state(admin).get("sequence") or 0 for admin in self._at.proxies.values())
            return not any(missing.values()) and all(sequence >= self._cursor for sequence in told)

        return self._patience.until(applied, what=f"both proxies at entry {self._cursor}-0", seconds=WAIT_SECONDS)

    def _ask_often(self, host: str, failures: list[str]) -> Counter[str]:
        answers: Counter[str] = Counter()
        for number in range(1, REQUESTS + 1):
            self._patience.look()
            try:
                answers[_ask(host, self._at.published)] += 1
            except (OSError, http.client.HTTPException) as error:
                failures.append(f"request {number} to {host}:{self._at.published}: {error!r}")
        return answers


def write_instances(at: Places, ports: Mapping[str, int]) -> None:
    """Write the file that register watches: `ports` maps an instance's name to where it listens on loopback."""
    # Renamed into place: register must never read half a list.
    new = at.instances_file.with_suffix(".new")
    new.write_text(instances_file(ports, at.published))
    new.replace(at.instances_file)


def _answer_of(host: str, port: int) -> str:
    """Return who answers there; empty when nobody does."""
    try:
        return _ask(host, port)
    except (OSError, http.client.HTTPException):
        return ""


def _ask(host: str, port: int) -> str:
    """Return the name of the instance that answers there, over a connection of its own."""
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", f"/{SERVICE}")
        found = _INSTANCE.search(connection.getresponse().read())
        return found[1].decode() if found else "somebody else"
    finally:
        connection.close()
