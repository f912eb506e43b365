"""The way to one Consul agent: how long it may be silent, who we are there, what its refusals mean to us.

The library has one HTTP session per client, which requests does not promise to be safe for several threads: each call
borrows a client, and there are as many as there were calls at once.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from attrs import field, frozen
from consul import base, std
from requests.exceptions import SSLError

from mooring.consul.address import ConsulAddress
from mooring.consul.documents import Answer
from mooring.consul.unix_socket import UnixSocketAdapter
from mooring.errors import SettingsError, Unavailable

CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 10.0

# What 1.8 says with a status of 500 although nothing is wrong with it.
NO_SUCH_CHECK: Final = "does not have associated TTL"
NO_SUCH_SERVICE: Final = "does not exist"
NO_SUCH_SESSION: Final = "invalid session"
_SCRIPTS_DISABLED: Final = "Scripts are disabled"
_ANSWERS: Final = (NO_SUCH_CHECK, NO_SUCH_SERVICE, NO_SUCH_SESSION, _SCRIPTS_DISABLED)
_TOO_LARGE: Final = "413 "
_WANTS_TLS: Final = "HTTP request to an HTTPS server"
_STATUS: Final = re.compile(r"^\d{3} ")

_T = TypeVar("_T")


class Refused(Exception):
    """An answer that means something to whoever asked, in the agent's words."""


@frozen
class Credentials:
    """How we prove who we are: names of files, empty when not used; or a token itself."""

    token_file: str = field(default="", repr=False)
    ca: str = ""
    cert: str = ""
    key: str = ""
    given_token: str = field(default="", repr=False)

    def check(self) -> None:
        """Look whether the files can be used.

        Raises:
            SettingsError: one cannot, nor can the token.
        """
        if not (self.given_token.isascii() and self.given_token.isprintable()):
            raise SettingsError("the token of the environment", "holds what no token holds")
        context = ssl.create_default_context()
        try:
            if self.ca:
                context.load_verify_locations(self.ca)
            if self.cert:
                context.load_cert_chain(self.cert, self.key)
        except OSError as error:
            names = ", ".join(name for name in (self.ca, self.cert, self.key) if name)
            raise SettingsError(names, f"cannot be used for TLS: {error.strerror or error}") from None
        self.token()

    def token(self) -> str:
        """Return what is in the token's file now; without one the token that was given, perhaps empty.

        Raises:
            SettingsError: it cannot be read, or has no token.
        """
        if not self.token_file:
            return self.given_token
        try:
            token = Path(self.token_file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a token"
            raise SettingsError(self.token_file, f"cannot be read: {reason}") from None
        if not token or not token.isprintable():
            raise SettingsError(self.token_file, "holds no token")
        return token


class Client:
    """The parts of the library that we use, around one HTTP session.

    Its own `Consul` lets variables of the environment override what it is given.
    """

    consistency = "default"

    def __init__(self, address: ConsulAddress, answer_seconds: float) -> None:
        scheme = "https" if address.uses_tls else "http"
        # Behind a Unix socket the agent does not ask how it was called.
        host, _, port = str(address.endpoint or "localhost:80").rpartition(":")
        verify = address.ca or True
        cert = (address.cert, address.key) if address.cert else None
        self.http: Any = std.HTTPClient(host, port, scheme, verify, cert, (CONNECT_SECONDS, answer_seconds))
        if address.socket:
            self.http.session.mount("http://", UnixSocketAdapter(address.socket))
        # A proxy of the environment is for the world outside, and has no business between us and our registry.
        self.http.session.trust_env = False
        # An agent redirects who asks for a path that it would clean: to another service than the one that was meant.
        self.http.session.max_redirects = 0
        self.token = ""
        self.dc = address.datacentre or None
        self.agent: Any = base.Consul.Agent(self)
        self.kv: Any = base.Consul.KV(self)
        self.session: Any = base.Consul.Session(self)

    def put(self, path: str, document: object = None, params: tuple[tuple[str, str], ...] = ()) -> bool:
        """Send what the library has no words for. False where the agent says that there is no such thing."""
        headers = {"X-Consul-Token": self.token} if self.token else {}
        body = "" if document is None else json.dumps(document)
        return bool(self.http.put(base.CB.bool(), path, params=params, data=body, headers=headers))

    def close(self) -> None:
        """Let go of its connections."""
        self.http.session.close()


class Connection:
    """A way to one agent. Made without contacting it; safe to use from several threads."""

    def __init__(self, address: ConsulAddress, answer_seconds: float = ANSWER_SECONDS) -> None:
        """Read the files that the address names. The agent may take so long to answer.

        Raises:
            SettingsError: one of them cannot be used.
        """
        self._address = address
        self._answer_seconds = answer_seconds
        self._credentials = Credentials(address.token_file, address.ca, address.cert, address.key, address.token)
        self._credentials.check()
        self._lock = Lock()
        self._token = self._credentials.token()
        self._idle: list[Client] = []
        self._closed = False

    def ask(self, call: Callable[[Client], Answer], read: Callable[[Answer], _T]) -> _T:
        """Return what `read` makes of the answer to a call; the token is read anew when the agent refuses it.

        Raises:
            Unavailable: no answer in time, one that says "not now" or "not you", or one that no Consul gives.
        """
        try:
            return self.propose(call, read)
        except Refused as error:
            raise self.unavailable(error) from None

    def propose(self, call: Callable[[Client], Answer], read: Callable[[Answer], _T]) -> _T:
        """Do as `ask`, where what is asked for may be refused for what it is.

        Raises:
            Unavailable: as `ask`.
            Refused: the agent answered that it does not take this, or knows no such thing.
        """
        answer = self._admitted(call)
        try:
            return read(answer)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self.unavailable(f"no answer of a Consul: {error!r}") from None

    def unavailable(self, reason: object) -> Unavailable:
        """Return what is to be raised where the agent cannot do now what it was asked for."""
        return Unavailable(f"{self._address}: {reason}")

    def close(self) -> None:
        """Let go of connections; those in use when their calls end."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for client in idle:
            client.close()

    def _admitted(self, call: Callable[[Client], Answer]) -> Answer:
        token = self._token
        try:
            return self._attempt(call)
        except base.ACLPermissionDenied as error:
            if not self._has_another_token(token):
                raise self._refuses_us(error) from None
        try:
            return self._attempt(call)
        except base.ACLPermissionDenied as error:
            raise self._refuses_us(error) from None

    def _attempt(self, call: Callable[[Client], Answer]) -> Answer:
        try:
            with self._client() as client:
                return call(client)
        except base.ACLPermissionDenied:
            raise
        except base.ConsulException as error:
            raise self._translated(error) from None
        except OSError as error:
            # Every error of requests is one, and so are those of the files that it reads again for each connection.
            raise self.unavailable(_reason(error)) from None
        except (json.JSONDecodeError, KeyError) as error:
            # The library takes every answer, and its headers, for a Consul's.
            raise self.unavailable(f"no answer of a Consul: {error!r}") from None

    def _translated(self, error: base.ConsulException) -> Unavailable | Refused:
        words = str(error).strip()
        if _WANTS_TLS in words:
            return self.unavailable("it speaks TLS: ca=FILE or tls=true")
        is_answer = isinstance(error, base.BadRequest | base.NotFound) or words.startswith(_TOO_LARGE)
        if is_answer or any(known in words for known in _ANSWERS):
            return Refused(_STATUS.sub("", words))
        return self.unavailable(words)

    @contextmanager
    def _client(self) -> Iterator[Client]:
        with self._lock:
            client = self._idle.pop() if self._idle else Client(self._address, self._answer_seconds)
            client.token = self._token
        try:
            yield client
        finally:
            with self._lock:
                is_kept = not self._closed
                if is_kept:
                    self._idle.append(client)
            if not is_kept:
                client.close()

    def _has_another_token(self, refused: str) -> bool:
        """Whether the token's file holds another token than the one that was refused; it is ours from now on."""
        try:
            token = self._credentials.token()
        except SettingsError as error:
            raise self.unavailable(f"our token is refused, and {error}") from None
        with self._lock:
            self._token = token
        return token != refused

    def _refuses_us(self, error: Exception) -> Unavailable:
        words = str(error).strip()
        return self.unavailable(f"our token is refused: {words}" if self._token else f"it wants a token: {words}")


def _reason(error: OSError) -> str:
    # The words around it repeat the address, and the path that was asked for.
    cause = getattr(error.args[0], "reason", None) if error.args else None
    return f"{type(error).__name__}: {cause}" if isinstance(error, SSLError) else type(error).__name__
