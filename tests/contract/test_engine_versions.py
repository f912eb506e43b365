"""What engines of other versions answer, from files, read by the real client; see tests/golden/engines/README.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mooring.errors import Unavailable
from mooring_register.containers import PortMapping, read_container
from mooring_register.engine.address import parse_docker_address
from mooring_register.engine.docker_engine import DockerEngine
from tests.servers import HOST

GOLDEN = Path(__file__).parents[1] / "golden" / "engines"
VERSIONS = ("26.1", "29")
_PATH = re.compile(r"/(?:v(?P<version>[0-9.]+)/)?(?P<asked>[a-z]+)(?P<rest>/.*)?")


class Answers(ThreadingHTTPServer):
    """Answers as an engine of some version would; that can be changed, as by an upgrade."""

    daemon_threads = True

    def __init__(self, version: str) -> None:
        super().__init__((HOST, 0), _Request)
        self.version = version

    @property
    def engine(self) -> DockerEngine:
        """A client."""
        return DockerEngine(parse_docker_address(f"tcp://{HOST}:{self.server_address[1]}"))

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return status and text for a path."""
        found = _PATH.fullmatch(path.partition("?")[0])
        assert found is not None, path
        refusal = self._refusal(found["version"])
        if refusal:
            return HTTPStatus.BAD_REQUEST, json.dumps({"message": refusal}).encode()
        name = found["asked"]
        if name == "containers" and found["rest"] != "/json":
            name = "inspect"
        kind = "jsonl" if name == "events" else "json"
        return HTTPStatus.OK, (GOLDEN / self.version / f"{name}.{kind}").read_bytes()

    def _refusal(self, asked: str | None) -> str:
        spoken = json.loads((GOLDEN / self.version / "version.json").read_text())
        if asked and _number(asked) < _number(spoken["MinAPIVersion"]):
            return f"client version {asked} is too old. Minimum supported API version is {spoken['MinAPIVersion']}"
        if asked and _number(asked) > _number(spoken["ApiVersion"]):
            return f"client version {asked} is too new. Maximum supported API version is {spoken['ApiVersion']}"
        return ""


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Answers

    def do_GET(self) -> None:
        """Answer in chunks, as engines do."""
        status, body = self.server.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(params=VERSIONS)
def answers(request: pytest.FixtureRequest) -> Iterator[Answers]:
    """Give what answers as each version."""
    with Answers(request.param) as one:
        thread = Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def test_what_is_read(answers: Answers) -> None:
    """Of an engine of each version the same is read: who it is, what runs there, and where it is reached."""
    engine = answers.engine
    assert engine.identity().host == "host1"
    (listed,) = engine.running()
    document = engine.inspect(listed.id)
    assert document is not None
    container = read_container(document)
    assert (container.id, container.name, container.image) == (listed.id, "/web.1", "mooring-whoami")
    assert (container.running, container.health, container.network_mode) == (True, "healthy", "back")
    assert (container.labels, container.environment) == ({"SERVICE_NAME": "web"}, {"SERVICE_TAGS": "a,b"})
    assert {one.name: one.ipv4 for one in container.networks} == {"back": "172.18.0.2", "bridge": "172.17.0.2"}
    assert container.ports == (
        PortMapping(53, "udp", "0.0.0.0", 5353),
        PortMapping(53, "udp", "::", 5353),
        PortMapping(80, "tcp", "0.0.0.0", 32768),
        PortMapping(80, "tcp", "::", 32768),
    )
    assert not container.ports_pending


def test_what_is_heard(answers: Answers) -> None:
    """Of an engine of each version the same events are heard, in its order, of the same container."""
    engine = answers.engine
    (listed,) = engine.running()
    events = list(engine.events(0))
    actions = ["connect", "start", "connect", "health_status: healthy", "kill", "disconnect", "disconnect", "stop"]
    assert [event.action for event in events][: len(actions)] == actions
    assert {event.container_id for event in events} == {listed.id}
    assert next(event.attributes["signal"] for event in events if event.action == "kill") == "15"
    assert [event.time_nano for event in events] == sorted(event.time_nano for event in events)


@pytest.mark.parametrize("answers", ["29"], indirect=True)
def test_an_engine_that_is_exchanged(answers: Answers) -> None:
    """An engine that does not speak the version of the API that the last one did is understood after one failure."""
    engine = answers.engine
    assert len(engine.running()) == 1
    answers.version = "26.1"
    with pytest.raises(Unavailable, match="too new"):
        engine.identity()
    assert engine.identity().host == "host1"
