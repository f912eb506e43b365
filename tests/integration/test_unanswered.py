"""Commands that look at an engine once, when it gives no answer about some containers: named, and no harm to others."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.http_engine import HttpEngine
from tests.parts import MOORING
from tests.servers import free_port

SILENT, ALL = 3, 10
END_SECONDS = 60.0

pytestmark = pytest.mark.timeout(30 + END_SECONDS)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[HttpEngine]:
    """Give an engine on which nothing runs."""
    with HttpEngine(tmp_path) as one:
        yield one


def asked(engine: HttpEngine, *command: str) -> subprocess.Popen[str]:
    """Start a command at an engine."""
    where = ["--docker", engine.address, "--ip", "10.0.0.1", "--host", "h"]
    return subprocess.Popen([MOORING, *command, *where], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_what_is_not_answered_is_named(engine: HttpEngine) -> None:
    """A dry run and an explanation tell everything of the others, and of these that there is no answer."""
    there = engine.told(*(("run", [f"one.{number}"], {"ports": ["80/tcp"]}) for number in range(ALL)))
    engine.told(*(("stall", [container], {}) for container in there[:SILENT]))
    nowhere = ["--admin", f"127.0.0.1:{free_port()}"]
    commands = [
        asked(engine, "register", "--dry-run"),
        asked(engine, "explain", *nowhere),
        asked(engine, "explain", "one.0", there[5], *nowhere),
    ]
    with ExitStack() as ending:
        for command in commands:
            ending.enter_context(command)
            ending.callback(command.kill)
        said = [command.communicate(timeout=END_SECONDS) for command in commands]
    assert [command.returncode for command in commands] == [0, 1, 1]
    (dry, dry_errors), (everything, _), (two, _) = said
    names = {f"one.{number}" for number in range(ALL)}
    silent = {f"one.{number}" for number in range(SILENT)}
    assert {name for name in names if f'"name":"/{name}"' in dry} == names - silent
    assert {name for name in names if f"the engine gives no answer about '{name}': unix://" in dry_errors} == silent
    assert {name for name in names if f"\n{name}  " in everything} == names - silent
    assert {name for name in names if f"the engine gives no answer about '{name}': unix://" in everything} == silent
    assert {name for name in names if f"\n{name}  " in two} == {"one.5"}
    assert {name for name in names if f"the engine gives no answer about '{name}': unix://" in two} == {"one.0"}
