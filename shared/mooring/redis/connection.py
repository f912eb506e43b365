"""How Redis is reached: its address, the limits of every call, and its errors in our words.

Nothing is ever repeated in here: the library's own retries append an entry twice when the answer to the first attempt
is lost. Must not know what the stream means.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakSet

from attrs import frozen
from redis import Connection, ConnectionPool, Redis
from redis import exceptions as theirs
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from mooring.errors import SettingsError, Unavailable

# A server that is frozen is noticed after the answer's limit, which has to exceed the longest wait that we ask for.
BLOCK_MOST_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 2.0

_LIMITS: Final[dict[str, Any]] = {
    "protocol": 2,  # with 3 the library shapes XREAD's answer differently
    "decode_responses": True,
    "encoding_errors": "replace",  # a stray byte of somebody else's must not end us
    "socket_timeout": ANSWER_SECONDS,
    "socket_connect_timeout": CONNECT_SECONDS,
    "retry_on_timeout": False,
}

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
    """A client, and the sockets that it has open."""

    client: Redis
    sockets: Sockets

    def close(self) -> None:
        """End every call, from any thread, and let go of what is idle."""
        self.sockets.end()
        self.client.connection_pool.disconnect(inuse_connections=False)


def connect(url: str) -> Connected:
    """Return a client for `redis://`, `rediss://` (TLS) or `unix://`; it connects when it is first asked something.

    Raises:
        SettingsError: the address cannot be understood.
    """
    sockets = Sockets()
    try:
        _check_database(url)
        options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        kind = _remembering(options.pop("connection_class", Connection), sockets)
        pool = ConnectionPool(kind, **{**options, **_LIMITS, "retry": Retry(NoBackoff(), 0)})
        pool.make_connection()  # an option that no connection has shows only here; nothing is sent yet
    except (ValueError, TypeError, theirs.RedisError) as error:
        raise SettingsError("the address of Redis", str(error)) from None
    return Connected(Redis(connection_pool=pool), sockets)


def _remembering(kind: Any, sockets: Sockets) -> Any:  # noqa: ANN401 -- one of the library's three classes
    """Return that class of connections, but one that remembers the sockets it opens."""
    return type(f"Remembering{kind.__name__}", (kind,), {"_connect": lambda self: sockets.add(kind._connect(self))})  # noqa: SLF001 -- the one method that the library's own three classes differ in


def _check_database(url: str) -> None:
    """Refuse what the library reads as database 0: somebody else's, perhaps."""
    parts = urlsplit(url)
    database = parts.path.strip("/")
    if parts.scheme in ("redis", "rediss") and database and not database.isdecimal():
        raise ValueError(f"expected the number of a database, got {database!r}")


def shown(client: Redis) -> str:
    """Return the server's address as it may be logged: without user and password."""
    options = client.connection_pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")


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
