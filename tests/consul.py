"""A real Consul as a child process of a test: one agent that is its own server, with tokens and TLS if asked for.

Its program is the one that MOORING_TEST_CONSUL names, else `consul` on PATH; `.ci/consul` gets one.
"""

import functools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.servers import HOST, Server, ask, free_port

PROGRAM = "MOORING_TEST_CONSUL"
API_SECONDS = 10.0


@functools.cache
def why_no_consul() -> str | None:
    """Tell why no Consul can be started here; None if one can."""
    return None if _found() else f"there is no consul: neither {PROGRAM} nor PATH has one"


def _found() -> str | None:
    return shutil.which(os.environ.get(PROGRAM) or "consul")


class ConsulServer(Server):
    """A single Consul agent in server mode. What it has acknowledged survives a kill.

    With `tokens` it denies everything to everybody but `root_token`, until a test makes others. With `certificates`
    it speaks TLS on a second port, and wants a client's certificate there.
    """

    root_token = "00000000-0000-0000-0000-00000000feed"  # noqa: S105 -- as long as a test lives

    def __init__(
        self, directory: Path, *, has_tokens: bool = False, certificates: Path | None = None, **settings: object
    ) -> None:
        super().__init__(directory, Path(_found() or "consul"))
        self._has_tokens = has_tokens
        self.certificates = certificates
        self._settings = settings
        self._inner_ports = (0, 0)
        self.tls_port = 0

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"{HOST}:{self.port}"

    @property
    def socket(self) -> Path:
        """The Unix socket that it listens on too."""
        return self.directory / "http.sock"

    def command(self) -> list[str]:
        """Give it its settings in a file, and ports of its own."""
        if not self._had_a_life:
            self._inner_ports = (free_port(), free_port())
            self.tls_port = free_port() if self.certificates else -1
        settings = self.directory / "settings.json"
        settings.write_text(json.dumps(dict(self._lines())))
        return [str(self.program), "agent", "-config-file", str(settings)]

    def answers(self) -> bool:
        """Ask for its nodes: it is among them only when it has a leader, itself, and has made itself known."""
        question = f"GET /v1/catalog/nodes HTTP/1.0\r\nX-Consul-Token: {self.root_token}\r\n\r\n"
        return b'"Node"' in ask(self.port, question.encode())

    def tell(self, method: str, path: str, document: object = None, token: str = root_token) -> Any:  # noqa: ANN401 -- JSON
        """Ask its API, for what is nobody's business but a test's; `path` is without `/v1`."""
        answer = requests.request(
            method,
            f"http://{self.address}/v1{path}",
            json=document,
            headers={"X-Consul-Token": token},
            timeout=API_SECONDS,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def make_token(self, rules: str) -> str:
        """Make a token that may do what the rules say, in Consul's language."""
        name = f"policy-{free_port()}"
        self.tell("PUT", "/acl/policy", {"Name": name, "Rules": rules})
        return str(self.tell("PUT", "/acl/token", {"Policies": [{"Name": name}]})["SecretID"])

    def drop_token(self, token: str) -> None:
        """Make a token worth nothing."""
        accessor = self.tell("GET", "/acl/token/self", token=token)["AccessorID"]
        self.tell("DELETE", f"/acl/token/{accessor}")

    def _lines(self) -> Iterator[tuple[str, object]]:
        yield from {
            "server": True,
            "bootstrap_expect": 1,
            "node_name": "node",
            "data_dir": str(self.data),
            "bind_addr": HOST,
            "client_addr": HOST,
            "addresses": {"http": f"{HOST} unix://{self.socket}"},
            "disable_host_node_id": True,
            "disable_update_check": True,
            "log_level": "warn",
            # A cluster of one has nobody to wait for.
            "performance": {"raft_multiplier": 1},
            "ports": {
                "http": self.port,
                "https": self.tls_port,
                "server": self._inner_ports[0],
                "serf_lan": self._inner_ports[1],
                "serf_wan": -1,
                "dns": -1,
                "grpc": -1,
            },
        }.items()
        if self._has_tokens:
            ours = {"master": self.root_token, "agent": self.root_token}
            yield "acl", {"enabled": True, "default_policy": "deny", "tokens": ours}
        if self.certificates:
            yield "ca_file", str(self.certificates / "ca.pem")
            yield "cert_file", str(self.certificates / "server.pem")
            yield "key_file", str(self.certificates / "server.key")
            yield "verify_incoming_https", True
        yield from self._settings.items()
