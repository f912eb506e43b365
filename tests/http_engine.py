"""A Docker engine that speaks HTTP on a Unix socket, in a process of its own, and has no containers.

Behind it stands register's twin of an engine (`MemoryEngine`); held to the same contract as the real one. What is asked
of it goes the whole way, through the Docker client, a socket and JSON as large as a real engine's: so the costs of ten
thousand containers can be seen where nobody could run them. Each inspection takes as long as a real engine's.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import socketserver
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self, TypeAlias
from urllib.parse import parse_qs, urlsplit

from mooring_register.engine.memory_engine import MemoryEngine
from mooring_register.engine.seam import DockerEvent
from tests.waiting import wait_until

Call: TypeAlias = tuple[str, Sequence[object], Mapping[str, object]]
"""One thing that containers are told: a method of the twin, with what it is given."""

INSPECTION_SECONDS: Final = 0.0007  # what a real engine was seen to take
START_SECONDS: Final = 20.0
ANSWER_SECONDS: Final = 60.0

# What a real engine says of a usual container, beside what the twin knows.
_USUAL: Final = Path(__file__).parent / "bench" / "inspected.json"
_VERSION = re.compile(r"^/v[0-9.]+(?=/)")
_INSPECT = re.compile(r"/containers/(?P<id>[0-9a-f]+)/json")
_TWIN: Final = "/twin"


class _Containers:
    """The twin, and what is said of each of its containers, as bytes."""

    def __init__(self) -> None:
        self.twin = MemoryEngine(time.time, engine_id="HTTP", host=socket.gethostname())
        self._usual = json.loads(_USUAL.read_text())
        self._lock = Lock()
        self._inspected: dict[str, bytes] = {}
        self._listed: dict[str, bytes] = {}
        self._silent: set[str] = set()

    def told(self, calls: Sequence[Call]) -> list[object]:
        """Let containers do what they are told, and return what the twin answers to each."""
        return [self._told(*call) for call in calls]

    def _told(self, method: str, arguments: Sequence[object], options: Mapping[str, object]) -> object:
        # Whoever hears of it and asks, waits until the answer is the new one.
        with self._lock:
            answer = getattr(self.twin, method)(*arguments, **options)
            container_id = str(arguments[0] if method != "run" else answer)
            if method == "stall":
                self._silent.add(container_id)
                return answer
            self._inspected.pop(container_id, None)
            self._listed.pop(container_id, None)
            document = self.twin.inspect(container_id)
            if document is not None:
                whole = _merged(self._usual, document)
                self._inspected[container_id] = json.dumps(whole).encode()
                if whole["State"]["Running"]:
                    self._listed[container_id] = json.dumps(_entry(whole)).encode()
            return answer

    def listed(self) -> bytes:
        """Return what `docker ps` is answered."""
        with self._lock:
            return b"[%s]" % b",".join(self._listed.values())

    def ended(self) -> bytes:
        """Return what `docker ps --all --filter status=exited` is answered."""
        codes = self.twin.exited()
        return json.dumps([{"Id": one, "Status": f"Exited ({codes[one]}) 2 minutes ago"} for one in codes]).encode()

    def is_silent_about(self, container_id: str) -> bool:
        """Return whether it was told to give no answer about a container."""
        return container_id in self._silent

    def inspected(self, container_id: str) -> bytes | None:
        """Return what `docker inspect` is answered; None for no such container."""
        with self._lock:
            return self._inspected.get(container_id)


def _merged(usual: Any, said: Any) -> Any:  # noqa: ANN401 -- Docker's JSON
    """Return what is said, and what is usual where nothing is; lists of one follow those of the other."""
    if isinstance(usual, dict) and isinstance(said, dict):
        return {key: _merged(usual.get(key), said.get(key, usual.get(key))) for key in {**usual, **said}}
    return [*usual, *said] if isinstance(usual, list) and isinstance(said, list) and said is not usual else said


def _entry(document: Any) -> dict[str, object]:  # noqa: ANN401 -- Docker's JSON
    """Return what a listing says of a container."""
    state, networks = document["State"], document["NetworkSettings"]
    health = f" ({state['Health']['Status']})" if state.get("Health") else ""
    ports = [
        {"IP": one["HostIp"], "PrivatePort": int(port), "PublicPort": int(one["HostPort"]), "Type": proto}
        for (port, _, proto), published in ((text.partition("/"), them) for text, them in networks["Ports"].items())
        for one in published
    ]
    return {
        "Id": document["Id"],
        "Names": [document["Name"]],
        "Image": document["Config"]["Image"],
        "Labels": document["Config"]["Labels"],
        "Ports": ports,
        "State": "paused" if state["Paused"] else "running",
        "Status": f"Up 2 minutes{health}",
        "NetworkSettings": {"Networks": networks["Networks"]},
    }


def _event(event: DockerEvent) -> bytes:
    """Return an event as Docker tells it."""
    actor = {"ID": event.container_id, "Attributes": dict(event.attributes)}
    kind = "container"
    if event.action in ("connect", "disconnect"):
        kind, actor = "network", {"ID": "0" * 64, "Attributes": {"container": event.container_id}}
    said = {"Type": kind, "Action": event.action, "Actor": actor, "timeNano": event.time_nano}
    return json.dumps(said).encode() + b"\n"


def _nanoseconds(text: str) -> int:
    """Read a time as Docker takes it: seconds, and after the point nine digits."""
    seconds, _, nanoseconds = text.partition(".")
    return int(seconds) * 10**9 + int(nanoseconds or 0)


class _Connection(socketserver.StreamRequestHandler):
    """One connection of a client, kept for as many requests as it likes."""

    server: _Engine

    def handle(self) -> None:
        """Answer until the client goes."""
        while line := self.rfile.readline():
            method, target, _ = line.decode().split()
            length = 0
            while (header := self.rfile.readline().strip()) != b"":
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            self._answer(method, urlsplit(target), self.rfile.read(length))

    def _answer(self, method: str, target: Any, body: bytes) -> None:  # noqa: ANN401 -- a split address
        path, containers = _VERSION.sub("", target.path), self.server.containers
        query = parse_qs(target.query)
        if path == "/events" and "until" in query:
            signals = containers.twin.signals(_nanoseconds(query["since"][0]), _nanoseconds(query["until"][0]))
            self._send(b"".join(map(_event, signals)))
        elif path == "/events":
            self._stream(query["since"][0])
        elif found := _INSPECT.fullmatch(path):
            if containers.is_silent_about(found["id"]):
                # Until the client has lost its patience.
                self.rfile.read(1)
                return
            time.sleep(INSPECTION_SECONDS)
            self._send(containers.inspected(found["id"]))
        elif path == "/containers/json":
            self._send(containers.ended() if query.get("all") == ["1"] else containers.listed())
        elif path == "/version":
            self._send(json.dumps({"ApiVersion": "1.41", "Version": "20.10"}).encode())
        elif path == "/info":
            who = containers.twin.identity()
            now = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(who.now))}.{int(who.now % 1 * 1e6):06d}Z"
            self._send(json.dumps({"ID": who.id, "Name": who.host, "SystemTime": now}).encode())
        elif path == _TWIN and method == "POST":
            self._send(json.dumps(containers.told(json.loads(body))).encode())
        else:
            self._send(None)

    def _send(self, body: bytes | None) -> None:
        status = HTTPStatus.NOT_FOUND if body is None else HTTPStatus.OK
        body = json.dumps({"message": "No such container"}).encode() if body is None else body
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        self.wfile.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def _stream(self, since: str) -> None:
        events = self.server.containers.twin.events(_nanoseconds(since))
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in events:
            chunk = _event(event)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))


class _Engine(socketserver.ThreadingUnixStreamServer):
    """All connections, a thread for each."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: str) -> None:
        self.containers = _Containers()
        super().__init__(path, _Connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that go while they are answered."""


class HttpEngine:
    """The engine as a child of a test; its `with` block ends it. `told` lets containers do something."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it is, as `--docker` takes it."""
        return f"unix://{self._path}"

    def told(self, *calls: Call) -> list[Any]:
        """Let containers do all of this, one after the other, and return what each call of the twin returns."""
        connection = http.client.HTTPConnection("engine", timeout=ANSWER_SECONDS)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self._path))
        connection.request("POST", _TWIN, json.dumps(calls))
        answers: list[Any] = json.loads(connection.getresponse().read())
        connection.close()
        return answers

    def __enter__(self) -> Self:
        self._process = subprocess.Popen([sys.executable, "-m", __name__, str(self._path)])
        try:
            wait_until(self._answers, "the engine to answer", START_SECONDS)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._path)) == 0


if __name__ == "__main__":
    _Engine(sys.argv[1]).serve_forever()
