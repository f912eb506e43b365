"""The small HTTP server of each long-running command: is it alive, is it ready, what is its state.

`/healthz` says that its loops turn (503 with the one that stands still), `/readyz` that its work is complete (503 with
the reason), `/metrics` is for Prometheus, `/state` is a JSON view for people. It runs on threads of its own, and
only reads, but for the orders that a command may take: those are POSTed as JSON, and only by somebody on this very
machine.

Where it listens can be told in a file (`--admin-file`), for those who cannot know the port: `mooring.healthcheck`.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mooring.errors import DocumentError, InvalidInput, SettingsError
from mooring.model import Address

Ready = Callable[[], str | None]
State = Callable[[], Mapping[str, object]]
Order = Callable[[object], Mapping[str, object]]
_Answer = tuple[HTTPStatus, str, bytes]

_MOST_ORDER_BYTES = 64 * 1024


class Admin:
    """Serves on `address` (port 0: any free one) from `start` to `stop`, and keeps `file` saying where.

    `ready` and `standstill` return None, or what is in the way; `state` returns a mapping that json can write. All are
    called from other threads than the owner's and must only read what is safe to read from there. So is an order, of
    `orders` by path: it is given what was posted, and returns what json can write, or raises `InvalidInput`. Who says
    nothing for `silence_seconds` is hung up on.
    """

    silence_seconds: ClassVar[float] = 10.0

    def __init__(
        self,
        address: Address,
        *,
        ready: Ready,
        state: State,
        file: Path | None = None,
        orders: Mapping[str, Order] | None = None,
        standstill: Ready = lambda: None,
    ) -> None:
        self._file = file
        answers: dict[str, Callable[[], _Answer]] = {
            "/healthz": lambda: _verdict(standstill(), "ok"),
            "/readyz": lambda: _verdict(ready(), "ready"),
            "/metrics": lambda: (HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest()),
            "/state": lambda: (HTTPStatus.OK, "application/json", json.dumps(state(), indent=2).encode() + b"\n"),
        }
        self._server = _server_on(address, answers, orders or {}, self.silence_seconds)
        self._thread = Thread(target=self._server.serve_forever, name="admin", daemon=True)

    @property
    def address(self) -> Address:
        """Where it really listens."""
        host, port = self._server.server_address[:2]
        return Address(str(host), port)

    def start(self) -> None:
        """Answer from now on, and say where.

        Raises:
            SettingsError: the file cannot be written.
        """
        self._thread.start()
        if self._file is not None:
            _replace(self._file, f"{self.address}\n")

    def stop(self) -> None:
        """Let go of the port; the file goes too, unless a successor says in it already where *it* listens."""
        with suppress(OSError):
            if self._file is not None and self._file.read_text() == f"{self.address}\n":
                self._file.unlink()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _replace(file: Path, text: str) -> None:
    # If we crash here: the file is replaced by one rename, so it is the old text or the new one.
    draft = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        draft.write_text(text)
        draft.replace(file)
    except OSError as error:
        raise SettingsError("--admin-file", f"{file}: {error.strerror}") from None


def _verdict(reason: str | None, well: str) -> _Answer:
    status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "text/plain", f"{reason or well}\n".encode()


def _server_on(
    address: Address, answers: Mapping[str, Callable[[], _Answer]], orders: Mapping[str, Order], silence_seconds: float
) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET

    class Request(BaseHTTPRequestHandler):
        timeout = silence_seconds

        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            if answer is None:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", f"try {' '.join(answers)}\n".encode())
            else:
                self._answer(*answer())

        def do_POST(self) -> None:
            status, answer = _carried_out(orders.get(self.path), self)
            self._answer(status, "application/json", json.dumps(answer).encode() + b"\n")

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Probes ask every few seconds; they are not worth a line each."""

    return Server((address.host, address.port), Request)


def _carried_out(order: Order | None, request: BaseHTTPRequestHandler) -> tuple[HTTPStatus, Mapping[str, object]]:
    """Carry out what was ordered; return the status and the answer."""
    if order is None:
        return HTTPStatus.NOT_FOUND, {"problem": "there is no such order"}
    if not is_on_this_machine(str(request.client_address[0]), str(request.connection.getsockname()[0])):
        return HTTPStatus.FORBIDDEN, {"problem": "orders are taken from this very machine only"}
    # A browser on this machine can be talked into posting; it always says for whom, and nobody else does.
    if "Origin" in request.headers:
        return HTTPStatus.FORBIDDEN, {"problem": "orders are not taken from web pages"}
    if request.headers.get_content_type() != "application/json":
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"problem": "an order is JSON, and says so"}
    try:
        return HTTPStatus.OK, order(json.loads(request.rfile.read(_length(request))))
    except (ValueError, RecursionError, InvalidInput) as error:
        return HTTPStatus.BAD_REQUEST, {"problem": str(error)}


def _length(request: BaseHTTPRequestHandler) -> int:
    """Return how long an order is; of one that does not say so, or is too long, nothing is read."""
    said = request.headers.get("Content-Length", "none")
    if not (said.isdecimal() and int(said) <= _MOST_ORDER_BYTES):
        raise DocumentError("Content-Length", f"expected up to {_MOST_ORDER_BYTES} bytes, got {said:.20}")
    return int(said)


def is_on_this_machine(peer: str, own: str) -> bool:
    """Whether somebody who calls from there to our address is here: who calls himself does so from where he calls."""
    return peer == own or Address(peer, 0).is_loopback
