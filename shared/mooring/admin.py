"""The small HTTP server of each long-running command: is it alive, is it ready, what is its state.

`/healthz` says that the process answers, `/readyz` that its work is complete (503 with the reason until then),
`/metrics` is for Prometheus, `/state` is a JSON view for people. It only reads; it runs on threads of its own.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mooring.model import Address

Ready = Callable[[], str | None]
State = Callable[[], Mapping[str, object]]


class Admin:
    """Serves on `address` (port 0: any free one) from `start` to `stop`.

    `ready` returns None, or the reason why not; `state` returns a mapping that json can write. Both are called from
    other threads than the owner's and must only read what is safe to read from there.
    """

    def __init__(self, address: Address, *, ready: Ready, state: State) -> None:
        self._server = _server_on(address, ready, state)
        self._thread = Thread(target=self._server.serve_forever, name="admin", daemon=True)

    @property
    def address(self) -> Address:
        """Where it really listens."""
        host, port = self._server.server_address[:2]
        return Address(str(host), port)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Let go of the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _server_on(address: Address, ready: Ready, state: State) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET

    class Request(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    self._answer(HTTPStatus.OK, "text/plain", b"ok\n")
                case "/readyz":
                    reason = ready()
                    status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
                    self._answer(status, "text/plain", f"{reason or 'ready'}\n".encode())
                case "/metrics":
                    self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest())
                case "/state":
                    self._answer(HTTPStatus.OK, "application/json", json.dumps(state(), indent=2).encode() + b"\n")
                case _:
                    self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"try /healthz /readyz /metrics /state\n")

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Probes ask every few seconds; they are not worth a line each."""

    return Server((address.host, address.port), Request)
