"""SIGTERM ends every command, whichever of its threads the kernel gives the signal to.

Python runs a signal's receiver in the main thread only, and a main thread that waits in the kernel is woken by a
signal of its own alone. The libraries that we use have threads that take signals.
"""

from __future__ import annotations

import ctypes
import signal
from pathlib import Path

import pytest

from tests.parts import GRACE_SECONDS, Part
from tests.servers import EtcdServer, RedisServer


def send_to_another_thread(process_id: int) -> None:
    """Send SIGTERM to a thread of a process that is not its main one."""
    threads = sorted(int(path.name) for path in Path(f"/proc/{process_id}/task").iterdir())
    another = next(thread for thread in threads if thread != process_id)
    assert ctypes.CDLL(None).tgkill(process_id, another, signal.SIGTERM) == 0


def options_of(name: str, directory: Path, etcd: EtcdServer, redis: RedisServer, namespace: str) -> list[str]:
    """Return what a command needs to run, and to have nothing to do."""
    registry, stream = f"etcd://{etcd.address}/{namespace}", ["--redis", redis.url, "--namespace", namespace]
    if name == "register":
        (directory / "static.yaml").write_text("instances: []\n")
        return ["--registry", registry, "--static", str(directory / "static.yaml"), "--host", namespace]
    if name == "discover":
        return ["--source", registry, *stream]
    if name == "sockets":
        return ["--path", str(directory / "sockets")]
    (directory / "catalog.json").write_text("[]")
    return ["--catalog", str(directory / "catalog.json"), "--publish", "none"]


@pytest.mark.parametrize("name", ["register", "discover", "proxy", "sockets"])
def test_a_signal_that_another_thread_takes_ends_the_command(
    name: str, tmp_path: Path, etcd_server: EtcdServer, redis_server: RedisServer, namespace: str
) -> None:
    """An idle command ends with status 0."""
    with Part(tmp_path, name, options_of(name, tmp_path, etcd_server, redis_server, namespace)) as part:
        send_to_another_thread(part.pid)
        assert part.status(GRACE_SECONDS) == 0
