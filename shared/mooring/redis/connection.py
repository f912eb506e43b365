"""How Redis is reached: its address, the limits of every call, and its errors in our words.

Nothing is ever repeated in here: the library's own retries append an entry twice when the answer to the first attempt
is lost. Must not know what the stream means.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakSet

from attrs import frozen
from redis import Connection, ConnectionPool, Redis, SSLConnection
from redis import exceptions as theirs
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, parse_url
from redis.retry import Retry

from mooring.errors import SettingsError, Unavailable
from mooring.redis.address import SentinelAddress, names_sentinels, parse_sentinel_address
from mooring.redis.sentinel import Primary, Sentinel, ToPrimary, ToPrimaryOverTls

# A server that is frozen is noticed after the answer's limit, which has to exceed the longest wait that we ask for.
BLOCK_MOST_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 2.0
DEFAULT_URL: Final = "redis://127.0.0.1:6379/0"

_LIMITS: Final[dict[str, Any]] = {
    "protocol": 2,  # with 3 the library shapes XREAD's answer differently
    "decode_responses": True,
    "encoding_errors": "replace",  # a stray byte of somebody else's must not end us
    "socket_timeout": ANSWER_SECONDS,
    "socket_connect_timeout": CONNECT_SECONDS,
    "retry_on_timeout": False,
}

# A sentinel has little to do: one that is silent for so long is down, and there is another to ask.
_SENTINEL_LIMITS: Final = {**_LIMITS, "socket_timeout": 0.5, "socket_connect_timeout": 0.5}

_MEANINGS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (theirs.OutOfMemoryError, "is full (maxmemory) and takes nothing more"),
    (theirs.ReadOnlyError, "is a read-only replica"),
    (theirs.BusyLoadingError, "is still loading its data"),
    (theirs.NoPermissionError, "does not permit this to our user"),
    (theirs.AuthenticationError, "does not accept our user or password"),
    (theirs.AskError, "is a cluster and keeps our keys on another node"),
    (theirs.ClusterCrossSlotError, "is a cluster: choose a namespace with a {tag}"),
    (theirs.ClusterDownError, "is a cluster, and that is down"),
    (theirs.TimeoutError, "does not answer in time"),
    (theirs.ResponseError, "refuses"),
)

# Without an error code of their own: a large command that comes before the password, and a right that a script lacks.
_PHRASES: Final = (
    ("unauthenticated", "does not accept our user or password"),
    ("can't run this command", "does not permit this to our user"),
    ("ACL failure in script", "does not permit this to our user"),  # Valkey's words for the same
)


class Sockets:
    """The open sockets of one client, so that whoever waits on one can be woken from another thread.

    The library's own way takes a connection apart while another thread is inside it. This only ends the conversation;
    the thread that holds it finds out as it would if the server had gone.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: WeakSet[socket.socket] = WeakSet()
        self._ended = False

    def add(self, opened: socket.socket) -> socket.socket:
        """Remember a socket and return it; raise what the library raises when it cannot connect, after the end."""
        with self._lock:
            if self._ended:
                opened.close()
                raise theirs.ConnectionError("we have closed the connection")
            self._open.add(opened)
            return opened

    def end(self) -> None:
        """End every conversation, and each that is about to begin."""
        with self._lock:
            self._ended = True
            for one in self._open:
                with suppress(OSError):
                    socket.socket.shutdown(one, socket.SHUT_RDWR)  # of the plain socket, also under TLS


@frozen
class Connected:
    """A client, the sockets that it has open, and its address as it may be logged: without user and password."""

    client: Redis
    sockets: Sockets
    shown: str

    def close(self) -> None:
        """End every call, from any thread, and let go of what is idle."""
        self.sockets.end()
        self.client.connection_pool.disconnect(inuse_connections=False)


def connect(url: str) -> Connected:
    """Return a client that connects when it is first asked something.

    `url` is `redis://`, `rediss://` (TLS), `unix://`, or that of a primary behind sentinels (address.py), which is then
    followed wherever it is.

    Raises:
        SettingsError: the address cannot be understood.
    """
    sockets = Sockets()
    try:
        if names_sentinels(url):
            return _connect_to_primary(parse_sentinel_address(url), sockets)
        _check_database(url)
        options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        client = _client(options, sockets, options.pop("connection_class", Connection))
    except (ValueError, TypeError, theirs.RedisError) as error:
        raise SettingsError("the address of Redis", str(error)) from None
    shown = str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")
    return Connected(client, sockets, shown)


def _connect_to_primary(address: SentinelAddress, sockets: Sockets) -> Connected:
    options: dict[str, Any] = parse_url(address.primary_url)  # type: ignore[no-untyped-call]
    kind = options.pop("connection_class", Connection)
    # Who has the primary's certificate signed has the sentinels' signed by the same.
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    who = {"username": address.username or None, "password": address.password or None}
    sentinels = [
        Sentinel(_client({**tls, **who, "host": at.host, "port": at.port}, sockets, kind, _SENTINEL_LIMITS), str(at))
        for at in address.sentinels
    ]
    options["primary"] = Primary(address.primary, sentinels)
    following = ToPrimaryOverTls if kind is SSLConnection else ToPrimary
    return Connected(_client(options, sockets, following), sockets, str(address))


def _client(
    options: Mapping[str, Any], sockets: Sockets, kind: type[AbstractConnection], limits: Mapping[str, Any] = _LIMITS
) -> Redis:
    pool = ConnectionPool(_remembering(kind, sockets), **{**options, **limits, "retry": Retry(NoBackoff(), 0)})
    pool.make_connection()  # an option that no connection has shows only here; nothing is sent yet
    return Redis(connection_pool=pool)


def checked_url(text: str) -> str:
    """Return an address that `connect` understands, as the value of an option.

    Raises:
        SettingsError: it cannot be understood.
    """
    connect(text).close()
    return text


def _remembering(kind: Any, sockets: Sockets) -> Any:  # noqa: ANN401 -- one of the library's three classes, or of ours
    """Return that class of connections, but one that remembers the sockets it opens."""
    return type(f"Remembering{kind.__name__}", (kind,), {"_connect": lambda self: sockets.add(kind._connect(self))})  # noqa: SLF001 -- the one method that the library's own three classes differ in


def _check_database(url: str) -> None:
    """Refuse what the library reads as database 0: somebody else's, perhaps."""
    parts = urlsplit(url)
    database = parts.path.strip("/")
    if parts.scheme in ("redis", "rediss") and database and not database.isdecimal():
        raise ValueError(f"expected the number of a database, got {database!r}")


@contextmanager
def in_our_words(where: str) -> Iterator[None]:
    """Turn whatever Redis or the way to it does wrong into `Unavailable`.

    A value of a type that Redis cannot take stays what it is: a bug of ours.
    """
    try:
        yield
    except theirs.DataError:
        raise
    except (theirs.RedisError, OSError) as error:
        raise Unavailable(f"Redis {where} {_meaning(error)}: {error}") from error


def _meaning(error: Exception) -> str:
    for phrase, words in _PHRASES:
        if phrase in str(error):
            return words
    return next((words for kind, words in _MEANINGS if isinstance(error, kind)), "cannot be reached")
