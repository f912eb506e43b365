"""The demo for real: it plays its story, says so when it cannot, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from attrs import frozen
from click.testing import CliRunner

from mooring.cli import main
from mooring_stack.story import STORY
from tests.parts import MOORING
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

DEADLINE_SECONDS = 60.0


@frozen
class Demo:
    """A demo that runs: its process, what it has said so far, and where it keeps its directory."""

    process: subprocess.Popen[bytes]
    output: Path
    temporary: Path

    @property
    def said(self) -> str:
        """Everything that it printed."""
        return self.output.read_text(errors="replace")

    def status(self) -> int:
        """Wait for its end and return its status."""
        return self.process.wait(DEADLINE_SECONDS)

    def wait_until_it_says(self, text: str) -> None:
        """Wait for a text, and fail when the demo ends without it."""
        wait_until(lambda: text in self.said or self.process.poll() is not None, repr(text), DEADLINE_SECONDS)
        assert text in self.said, self.said

    def processes(self) -> dict[str, int]:
        """Return what it started and what still runs: command line → process id."""
        mark = f"TMPDIR={self.temporary}".encode()
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found[(folder / "cmdline").read_text().replace("\0", " ")] = int(folder.name)
            except OSError:
                continue  # it ended just now, or is not ours
        return found

    def process_of(self, part: str) -> int:
        """Return the process id of the one part whose command line has these words."""
        (pid,) = [pid for command, pid in self.processes().items() if part in command]
        return pid


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[Demo]:
    """Run a demo that keeps its directory in the given one."""
    temporary = folder / "temporary"
    temporary.mkdir(parents=True)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [MOORING, "demo", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
    try:
        yield Demo(process, folder / "output", temporary)
    finally:
        process.kill()
        process.wait()


def assert_nothing_is_left(one: Demo) -> None:
    """No process and no directory of it is there any more."""
    assert not one.processes()
    assert not list(one.temporary.iterdir())


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    """Undo what a command does to the logs of the process that it runs in, which here is everybody's."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("logs_as_before")
def test_the_demo_plays_its_story_and_every_step_is_as_it_should_be() -> None:
    """Every step is told, its facts are those of the stream, and the status is 0."""
    result = CliRunner().invoke(main, ["demo", "--once"])
    print(result.output)
    assert result.exit_code == 0
    for number, step in enumerate(STORY, start=1):
        assert f"{number}. {step.sentence}" in result.output
    assert result.output.count("  instance-added  ") == sum(len(step.arriving) for step in STORY)
    assert result.output.count("  instance-removed  ") == sum(len(step.leaving) for step in STORY)


def test_two_demos_play_at_the_same_time_and_leave_nothing_behind(tmp_path: Path) -> None:
    """Neither takes a port or a directory from the other; no process and no directory is left of either."""
    with demo(tmp_path / "one", "--once") as one, demo(tmp_path / "other", "--once") as other:
        assert (one.status(), other.status()) == (0, 0), one.said + other.said
        for each in (one, other):
            assert each.said.splitlines()[-1] == "Every step was as it should be."
            assert_nothing_is_left(each)


@pytest.mark.parametrize("part", ["mooring discover", "mooring_stack.whoami"])
def test_a_part_that_dies_fails_the_step_and_is_named(tmp_path: Path, part: str) -> None:
    """Status 1, who ended and how in the last line, the ends of the logs before it; and nothing is left."""
    with demo(tmp_path, "--once") as one:
        one.wait_until_it_says("1. Three instances")
        wait_until(lambda: any(part in command for command in one.processes()), f"{part} to run", DEADLINE_SECONDS)
        os.kill(next(pid for command, pid in one.processes().items() if part in command), signal.SIGKILL)
        assert one.status() == 1, one.said
        last = one.said.splitlines()[-1]
        assert last.startswith("FAILED at step "), one.said
        assert part.removeprefix("mooring ").removeprefix("mooring_stack.") in last
        assert "ended by itself with status 137" in last
        assert "--- the end of register.log" in one.said
        assert_nothing_is_left(one)


def test_a_demo_that_is_played_with_goes_on_until_it_is_told_to_end(tmp_path: Path) -> None:
    """An instance that its user kills is taken off the list; Ctrl-C ends everything with status 0."""
    with demo(tmp_path) as one:
        one.wait_until_it_says("What the stream says from now on:")
        assert "redis-cli -p" in one.said
        os.kill(one.process_of("--name whoami-1"), signal.SIGKILL)
        one.wait_until_it_says("whoami-1 is gone: it is taken off the list")
        wait_until(
            lambda: one.said.rpartition("taken off the list")[2].count("instance-removed") == 1,
            "the removal to be told",
            DEADLINE_SECONDS,
        )
        one.process.send_signal(signal.SIGINT)
        assert one.status() == 0, one.said
        assert_nothing_is_left(one)


def test_a_demo_that_is_told_to_end_within_its_story_ends_at_once(tmp_path: Path) -> None:
    """SIGTERM ends everything then and there; a story that was to be checked, but was not, is no success."""
    with demo(tmp_path, "--once") as one:
        one.wait_until_it_says("redis ")
        one.process.send_signal(signal.SIGTERM)
        assert one.status() == 1, one.said
        assert "Ending." in one.said
        assert_nothing_is_left(one)


def test_a_demo_that_is_killed_takes_all_its_processes_along(tmp_path: Path) -> None:
    """After kill -9 the kernel ends them; the directory is removed by the next demo."""
    with demo(tmp_path / "killed", "--once") as one:
        one.wait_until_it_says("1. Three instances")
        one.process.kill()
        wait_until(lambda: not one.processes(), "all processes to end", DEADLINE_SECONDS)
    forgotten = list(one.temporary.iterdir())
    assert forgotten
