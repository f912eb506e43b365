"""The whoami as a process and as a container: its log tells what had reached it, and it ends as it was asked to."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import docker
import pytest

from mooring_stack.whoami import Settings, serve
from tests.waiting import DEADLINE_SECONDS, wait_until

HOST = "127.0.0.1"
COMMAND = [sys.executable, "-m", "mooring_stack.whoami", "--address", HOST, "--port", "0", "--name", "alpha"]


def wait_for(text: str, log: Callable[[], str]) -> str:
    """Wait until a log holds a match of the pattern, and give the first group of the first."""
    found: list[re.Match[str]] = []

    def is_there() -> bool:
        found.extend(re.finditer(text, log()))
        return bool(found)

    wait_until(is_there, lambda: f"{text!r} in {log()!r}")
    return found[0][1] if found[0].lastindex else found[0][0]


def received(client: socket.socket) -> str:
    """Give all that comes until the other side closes."""
    return b"".join(iter(lambda: client.recv(4096), b"")).decode()


def fetch(port: int, path: str) -> str:
    """Make one request and give all that comes back until the other side closes."""
    with socket.create_connection((HOST, port), timeout=DEADLINE_SECONDS) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nX-Request-Id: 17\r\n\r\n".encode())
        return received(client)


@contextmanager
def running(log: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a whoami as a process, with its log in a file, and give the process and its port."""
    with log.open("wb") as output, subprocess.Popen([*COMMAND, *options], stdout=output) as process:
        try:
            yield process, int(wait_for(r"listening port=(\d+)", log.read_text))
        finally:
            process.kill()


def test_a_killed_instance_leaves_evidence_of_what_had_reached_it(tmp_path: Path) -> None:
    """After a kill -9 the log still tells the request that was answered from the one that had only begun to arrive."""
    log = tmp_path / "log"
    with running(log) as (process, port):
        assert "instance=alpha" in fetch(port, "/whole")
        with socket.create_connection((HOST, port)) as client:
            client.sendall(b"GET /begun HTTP/1.1\r\nX-Request-Id: 18\r\n")
            wait_for(r"received port=\d+ bytes=\d+ request=18\n", log.read_text)
            process.kill()
            process.wait()
    assert re.findall(r"answered port=\d+ status=(\d+) request=(\S+)", log.read_text()) == [("200", "17")]


def test_a_grace_is_served_out_and_cut_short(tmp_path: Path) -> None:
    """After SIGTERM new requests are answered as long as the grace lasts; a second SIGTERM ends it, with status 0."""
    log = tmp_path / "log"
    with running(log, "--grace-seconds", "600") as (process, port):
        process.send_signal(signal.SIGTERM)
        wait_for("ending grace_seconds=600", log.read_text)
        assert "path=/late" in fetch(port, "/late")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 0


def test_who_waits_at_the_end_is_still_served(capfd: pytest.CaptureFixture[str]) -> None:
    """Clients whose connections were not yet accepted when the service was told to end get their answers."""
    listener = socket.create_server((HOST, 0))
    listener.setblocking(False)
    port: int = listener.getsockname()[1]
    ending, told = socket.socketpair()
    with closing(listener), ending, told, ExitStack() as waiting:
        address = (HOST, port)
        clients = [waiting.enter_context(socket.create_connection(address, DEADLINE_SECONDS)) for _ in range(3)]
        for client in clients:
            client.sendall(b"GET /waiting HTTP/1.1\r\n\r\n")
        told.sendall(b"x")
        serve(listener, ending, Settings(HOST, port, "alpha", 0.0))
        answers = [received(client) for client in clients]
    assert all(f"instance=alpha pid={os.getpid()} path=/waiting" in answer for answer in answers)
    assert "ending grace_seconds=0" in capfd.readouterr().out


def test_a_client_without_a_request_is_let_go(tmp_path: Path) -> None:
    """Who connects and closes without a word (a connect check) is logged as that, and gets nothing."""
    log = tmp_path / "log"
    with running(log) as (_, port):
        socket.create_connection((HOST, port)).close()
        wait_for(r"closed port=\d+ without a request", log.read_text)


@pytest.mark.docker
def test_the_image_does_the_same(whoami_image: str) -> None:
    """In a container it answers with the container's host name, logs the request, and stops when Docker asks it to."""
    with closing(docker.DockerClient.from_env()) as client:
        container = client.containers.run(whoami_image, detach=True, hostname="web1", ports={"80/tcp": (HOST, 0)})
        try:
            wait_for("listening", lambda: container.logs().decode())
            container.reload()
            port = int(container.attrs["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])
            assert "instance=web1 pid=1 path=/" in fetch(port, "/")
            container.stop(timeout=60)
            container.reload()
            assert container.attrs["State"]["ExitCode"] == 0
            wait_for(r"answered port=\d+ status=200 request=17", lambda: container.logs().decode())
        finally:
            container.remove(force=True)
