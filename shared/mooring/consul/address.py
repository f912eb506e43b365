"""The address of a Consul agent as people write it: `consul://HOST:8500?token-file=FILE&ca=FILE&…`. Pure.

Files are named here and read by `client`, so that an address can be looked at where its files are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl

from attrs import field, frozen

from mooring.errors import SettingsError
from mooring.model import Address, parse_address

SCHEME: Final = "consul://"
UNIX_SCHEME: Final = "consul-unix://"
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8500
_TLS_OPTIONS: Final = ("ca", "cert", "key", "tls")
_OPTIONS: Final = ("token-file", "dc", "alive", *_TLS_OPTIONS)
_BESIDE: Final = (("cert", "key"), ("key", "cert"))


@frozen
class ConsulAddress:
    """Where a Consul agent is, and how we prove who we are.

    `endpoint` is None for an agent behind a Unix socket, whose path is then in `socket`. `token_file`, `ca`, `cert` and
    `key` are names of files, empty when not given; only variables give a `token` itself. `datacentre` is empty for the
    agent's own. `is_alone` says that nobody else has services there, so that what is checked may be the node's:
    `alive=node`. `variables` names those that something comes from (`variables.complete_consul_address`).
    """

    endpoint: Address | None
    socket: str = ""
    uses_tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    token_file: str = field(default="", repr=False)
    datacentre: str = ""
    token: str = field(default="", repr=False)
    is_alone: bool = False
    variables: tuple[str, ...] = field(default=(), eq=False)

    def __str__(self) -> str:
        """Return the address without its options: fit for logs."""
        return f"{UNIX_SCHEME}{self.socket}" if self.endpoint is None else f"{SCHEME}{self.endpoint}"


def parse_consul_address(text: str) -> ConsulAddress:
    """Read the address of a Consul agent. What is left out is 127.0.0.1 and 8500; a `ca` means TLS.

    Raises:
        SettingsError: everything that is wrong with it; no user, password or option's value is repeated.
    """
    if not text.startswith((SCHEME, UNIX_SCHEME)):
        raise SettingsError(_shown(text), f"expected {SCHEME}HOST:PORT, or {UNIX_SCHEME}/PATH")
    is_unix = text.startswith(UNIX_SCHEME)
    place, _, query = text.removeprefix(UNIX_SCHEME if is_unix else SCHEME).partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    problems = (*(_socket_problems(place, pairs) if is_unix else _host_problems(place)), *_option_problems(pairs))
    if problems:
        raise SettingsError(_shown(text), "; ".join(problems))
    options = dict(pairs)
    return ConsulAddress(
        endpoint=None if is_unix else _endpoint(place),
        socket=place if is_unix else "",
        uses_tls="ca" in options or options.get("tls") == "true",
        ca=options.get("ca", ""),
        cert=options.get("cert", ""),
        key=options.get("key", ""),
        token_file=options.get("token-file", ""),
        datacentre=options.get("dc", ""),
        is_alone=options.get("alive") == "node",
    )


def _shown(text: str) -> str:
    """Return an address without what may be secret in it."""
    scheme, separator, rest = text.partition("?")[0].rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _endpoint(place: str) -> Address:
    host = place.rstrip("/") or DEFAULT_HOST
    has_port = ":" in host.rpartition("]")[2]
    return parse_address(host if has_port else f"{host}:{DEFAULT_PORT}")


def _host_problems(place: str) -> Iterator[str]:
    if "@" in place:
        # Not shown: it is a password, or whatever else somebody took for one.
        yield "user and password mean nothing to Consul: ?token-file=…"
        return
    host, _, path = place.partition("/")
    if path.strip("/"):
        yield "a path means nothing here: services are the agent's, and keys have the names that all registries share"
    try:
        _endpoint(host)
    except ValueError as error:
        yield str(error)


def _socket_problems(place: str, pairs: list[tuple[str, str]]) -> Iterator[str]:
    if not place.startswith("/"):
        yield "expected the path of a socket, from the root"
    for name in dict(pairs):
        if name in _TLS_OPTIONS:
            yield f"option {name!r} means nothing behind a Unix socket"


def _option_problems(pairs: list[tuple[str, str]]) -> Iterator[str]:
    options = dict(pairs)
    for name, value in options.items():
        if name == "token":
            yield "a token does not belong into an address: ?token-file=…"
        elif name not in _OPTIONS:
            yield f"option {name!r} is unknown; there are {', '.join(_OPTIONS)}"
        elif not value:
            yield f"option {name!r} has no value"
        if [given for given, _ in pairs].count(name) > 1:
            yield f"option {name!r} is given twice"
    for name, needed in _BESIDE:
        if name in options and needed not in options:
            yield f"option {name!r} needs {needed!r} beside it"
    if options.get("tls", "true") not in {"true", "false", ""}:
        yield "option 'tls' is true or false"
    if options.get("alive", "node") not in {"service", "node", ""}:
        yield "option 'alive' is service or node"
    uses_tls = "ca" in options or options.get("tls") == "true"
    if "ca" in options and options.get("tls") == "false":
        yield "option 'ca' means TLS, and 'tls' says no"
    if "cert" in options and not uses_tls:
        yield "option 'cert' needs 'ca' or 'tls=true' beside it"
