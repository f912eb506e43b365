"""Watching a static file."""

import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from mooring.threads import start
from mooring_register.observations import Declared, Observation, Unreadable
from mooring_register.static_file import StaticFile

DEADLINE_SECONDS = 10.0
ONE = "instances:\n  - {service: web, address: 'h:1'}\n"
TWO = ONE + "  - {service: web, address: 'h:2'}\n"


@pytest.fixture
def told() -> SimpleQueue[Observation]:
    """Give a queue of what is told."""
    return SimpleQueue()


@pytest.fixture
def path(tmp_path: Path, told: SimpleQueue[Observation]) -> Iterator[Path]:
    """Give a file that is watched."""
    path = tmp_path / "static.yaml"
    path.write_text(ONE)
    file = StaticFile(path, "h", told.put, time.time)
    thread = start("static", file.watch)
    yield path
    file.stop()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def declared(told: SimpleQueue[Observation]) -> int:
    """Return how many instances the next observation declares."""
    observation = told.get(timeout=DEADLINE_SECONDS)
    assert isinstance(observation, Declared), observation
    return len(observation.instances)


def test_read_and_watched(path: Path, told: SimpleQueue[Observation]) -> None:
    """The file is read at once, and again when it changed, also when another one takes its place."""
    assert declared(told) == 1
    path.write_text(TWO)
    assert declared(told) == 2
    other = path.with_suffix(".new")
    other.write_text(ONE)
    other.rename(path)
    assert declared(told) == 1


def test_broken_and_repaired(path: Path, told: SimpleQueue[Observation]) -> None:
    """A file that cannot be read is told as that, with its name; when it is repaired it counts again."""
    assert declared(told) == 1
    path.write_text("instances: [")
    broken = told.get(timeout=DEADLINE_SECONDS)
    assert isinstance(broken, Unreadable)
    assert broken.problem.where == "static.yaml"
    path.unlink()
    gone = told.get(timeout=DEADLINE_SECONDS)
    assert isinstance(gone, Unreadable)
    assert "cannot be read" in gone.problem.reason
    path.write_text(TWO)
    assert declared(told) == 2


def test_unchanged_is_not_told(path: Path, told: SimpleQueue[Observation]) -> None:
    """A file that did not change is told once."""
    assert declared(told) == 1
    with pytest.raises(Empty):
        told.get(timeout=1.2)
