"""One channel to one endpoint of an etcd: how long it may be silent, who we are there, what its errors mean to us.

One channel per endpoint, and the next endpoint at once when one fails, is decided in `client`: a gRPC target that lists
several endpoints takes as long as a lease lives to notice that the one in use is a black hole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Final

import grpc
from attrs import field, frozen

from mooring.errors import Unavailable
from mooring.etcd.messages import Message, etcd3, rpc
from mooring.model import Address

CALL_SECONDS: Final = 3.0

# A server that froze is noticed by pings after 10 s, when one is not answered within 5 s. More often is an attack in
# the eyes of etcd (--grpc-keepalive-min-time is 5 s), and so are pings while nothing is asked, three of which end the
# connection: a watch always asks, and any other call has a limit of its own. Without the other options silence is
# noticed after a minute, or never.
_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 64 << 20),
    # A registry is a neighbour; a proxy for the web that the environment names is not on the way to it.
    ("grpc.enable_http_proxy", 0),
)


# A member that is cut off from its cluster would go on serving a silent watch; this makes it refuse.
_NEEDS_LEADER: Final = ("hasleader", "true")

_ANSWERS: Final = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.INVALID_ARGUMENT)


class Rejected(Exception):
    """An answer that means something to whoever asked: there is no such thing, or one cannot ask like that."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code


@frozen
class Credentials:
    """How we prove who we are: names of files in PEM form for TLS, and a user with a password. Empty: without."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    user: str = ""
    password: str = field(default="", repr=False)


class Connection:
    """A channel to one endpoint. Made without contacting it; safe to use from several threads."""

    def __init__(self, endpoint: Address, credentials: Credentials) -> None:
        """Prepare the channel.

        Raises:
            OSError: a file that the credentials name cannot be read.
        """
        self.endpoint = endpoint
        self._credentials = credentials
        host, _, port = str(endpoint).rpartition(":")
        self._client = etcd3.client(
            host=host,
            port=port,
            ca_cert=credentials.ca or None,
            cert_cert=credentials.cert or None,
            cert_key=credentials.key or None,
            grpc_options=_OPTIONS,
        )
        self.keys: Message = self._client.kvstub
        self.leases: Message = self._client.leasestub
        self._watches = rpc.WatchStub(self._client.channel)
        self._token = ""
        self._authenticating = Lock()
        self.closed = False

    def close(self) -> None:
        """Let go of the channel; every call that is under way ends."""
        self.closed = True
        self._client.close()

    def ask(self, method: Callable[..., Message], request: Message) -> Message:
        """Return the answer to one request; the token is renewed when the server no longer knows it.

        Raises:
            Unavailable: no answer in time, or one that says "not now" or "not you".
            Rejected: any other.
        """
        try:
            return self._attempt(method, request)
        except grpc.RpcError as error:
            if not self._renews_token(error):
                raise self.translate(error) from None
        try:
            return self._attempt(method, request)
        except grpc.RpcError as error:
            raise self.translate(error) from None

    def watch(self, requests: Iterator[Message]) -> Message:
        """Return a stream of answers to these requests; iterating over it raises `grpc.RpcError`, see `translate`.

        Raises:
            Unavailable: as `ask`.
        """
        metadata = (*self._metadata(), _NEEDS_LEADER)
        try:
            return self._watches.Watch(requests, metadata=metadata)
        except ValueError:
            self._check_open()
            raise

    def translate(self, error: grpc.RpcError) -> Unavailable | Rejected:
        """Return what is to be raised for an error of gRPC."""
        code, details = _code(error), _details(error)
        # INVALID_ARGUMENT otherwise means that our request is wrong, but this one that the settings are.
        if code in _ANSWERS and "user name is empty" not in details:
            return Rejected(code, details)
        return Unavailable(f"{self.endpoint}: {code.name.lower().replace('_', ' ')}: {details}")

    def forget_token(self) -> None:
        """Ask for another token before the next call."""
        self._token = ""

    def _attempt(self, method: Callable[..., Message], request: Message) -> Message:
        try:
            return method(request, CALL_SECONDS, metadata=self._metadata())
        except ValueError:
            self._check_open()
            raise

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        if not self._credentials.user:
            return ()
        with self._authenticating:
            if not self._token:
                self._token = self._authenticate()
            return (("token", self._token),)

    def _renews_token(self, error: grpc.RpcError) -> bool:
        """Whether our token is no longer valid: its time is over, etcd was restarted, users or roles were changed."""
        outdated = _code(error) is grpc.StatusCode.UNAUTHENTICATED or "auth store is old" in _details(error)
        if outdated:
            self.forget_token()
        return outdated and bool(self._credentials.user)

    def _authenticate(self) -> str:
        request = rpc.AuthenticateRequest(name=self._credentials.user, password=self._credentials.password)
        try:
            return str(rpc.AuthStub(self._client.channel).Authenticate(request, CALL_SECONDS).token)
        except grpc.RpcError as error:
            raise Unavailable(f"{self.endpoint}: user {self._credentials.user}: {_details(error)}") from None
        except ValueError:
            self._check_open()
            raise

    def _check_open(self) -> None:
        # gRPC says so with a ValueError, which must not hide other errors of that type.
        if self.closed:
            raise Unavailable(f"{self.endpoint}: the connection was closed") from None


def _code(error: Message) -> grpc.StatusCode:
    # What a client's call raises is an RpcError and a Call at once, which no type says.
    code: grpc.StatusCode = error.code()
    return code


def _details(error: Message) -> str:
    return str(error.details() or "no details")
