"""A stream written by hand, and the commands that read it: run to their end, or followed while things happen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from mooring.facts import EpochBegan, Fact, InstanceAdded, SettingChanged
from mooring.keys import RedisNames
from mooring.model import Address, Instance
from mooring.redis.client import RedisStream
from mooring.redis.stream import Appended
from tests.parts import MOORING
from tests.servers import RedisServer
from tests.streams import batch_of, begun
from tests.waiting import DEADLINE_SECONDS, wait_until

WEB = Instance(service="web", id="a", address=Address("10.0.0.5", 80), port=8000)
LIFE = "life"


@contextmanager
def hand_written(server: RedisServer, namespace: str) -> Iterator[RedisStream]:
    """Give a stream with four entries, and all beside it as discover writes it."""
    with closing(RedisStream.from_url(server.url, RedisNames(namespace))) as stream:
        stream.lead("tests", expiry_seconds=60)
        begun(stream, LIFE)
        append(stream, EpochBegan("tests"), InstanceAdded(WEB), SettingChanged("a", "1"), SettingChanged("a", "2", "1"))
        yield stream


def append(stream: RedisStream, *facts: Fact) -> None:
    """Append facts, and let what stands beside them be as it was."""
    head = stream.head()
    assert head is not None
    ports, sources = {"8000/tcp": "web"}, {"s:state": "following"}
    assert stream.append(batch_of(head, *facts, ports=ports, sources=sources, complete=True)) == Appended(
        head.sequence + len(facts)
    )


def options(server: RedisServer, namespace: str) -> tuple[str, ...]:
    """Return the options by which a command finds a stream."""
    return "--redis", server.url, "--namespace", namespace


def run(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `mooring …` to its end; `env` is what the environment says of Mooring."""
    return subprocess.run(
        [MOORING, *words],
        env=environment(env or {}),
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE_SECONDS,
        check=False,
    )


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return our environment with nothing of Mooring's but this."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("MOORING_")}, **more}


class Onlooker:
    """A command that follows, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[bytes], printed: Path) -> None:
        self._process = process
        self._printed = printed

    def lines(self) -> list[str]:
        """Return the lines that are whole."""
        return self._printed.read_text().split("\n")[:-1]

    def documents(self) -> list[dict[str, Any]]:
        """Return them as JSON objects."""
        return [json.loads(line) for line in self.lines()]

    def wait_for(self, what: str) -> None:
        """Wait until a line contains this."""
        wait_until(
            lambda: any(what in line for line in self.lines()),
            lambda: "\n".join((f"a line with {what!r} among", *self.lines())),
        )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def pause(self) -> None:
        """Let it stand still, and return when it does."""
        self.send(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def status(self) -> int:
        """Return its exit status, once it has ended."""
        return self._process.wait(DEADLINE_SECONDS)


@contextmanager
def onlooker(directory: Path, words: Sequence[str]) -> Iterator[Onlooker]:
    """Run `mooring …` until the end of the block."""
    printed = directory / "printed"
    with printed.open("wb") as out:
        process = subprocess.Popen(
            [MOORING, *words], env=environment({}), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        yield Onlooker(process, printed)
    finally:
        process.kill()
        process.wait()
