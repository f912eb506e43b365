"""What the images' HEALTHCHECK relies on: every long-running command tells where it is asked, and it is asked fast."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.test_signals import options_of
from tests.parts import Part
from tests.servers import EtcdServer, RedisServer

CHECKS = 9


def health_of(file: Path) -> subprocess.CompletedProcess[str]:
    """Run the health check as an image does."""
    command = [sys.executable, "-m", "mooring.healthcheck", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["register", "discover", "proxy"])
def test_a_command_is_found_by_its_file_as_long_as_it_lives(
    name: str, tmp_path: Path, etcd_server: EtcdServer, redis_server: RedisServer, namespace: str
) -> None:
    """The check answers `ready` while the command runs; after a clean end the file is gone."""
    file = tmp_path / "admin"
    options = [*options_of(name, tmp_path, etcd_server, redis_server, namespace), "--admin-file", str(file)]
    with Part(tmp_path, name, options) as part:
        check = health_of(file)
        assert (check.returncode, check.stdout, check.stderr) == (0, "ready\n", "")
        part.end()
        assert not file.exists()


def test_a_command_that_was_killed_is_unhealthy_until_it_is_back(
    tmp_path: Path, etcd_server: EtcdServer, redis_server: RedisServer, namespace: str
) -> None:
    """The file that a killed command left leads nowhere; its successor writes it anew."""
    file = tmp_path / "admin"
    options = [*options_of("proxy", tmp_path, etcd_server, redis_server, namespace), "--admin-file", str(file)]
    with Part(tmp_path, "proxy", options) as part:
        part.kill()
        assert file.exists()
        check = health_of(file)
        assert (check.returncode, check.stderr) == (1, "")
        assert "refused" in check.stdout
        part.start()
        assert health_of(file).returncode == 0


def test_how_long_a_check_takes_is_measured(tmp_path: Path, measured: Callable[[str], None]) -> None:
    """A whole check, interpreter included, of a command that is not there."""
    durations_ms = []
    for _ in range(CHECKS):
        began = time.monotonic()
        assert health_of(tmp_path / "none").returncode == 1
        durations_ms.append(1000 * (time.monotonic() - began))
    measured(f"health check: median {statistics.median(durations_ms):.0f} ms, n={CHECKS}")
