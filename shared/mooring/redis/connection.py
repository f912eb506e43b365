"""How Redis is reached: its address, the limits of every call, and its errors in our words.

Nothing is ever repeated in here: the library's own retries append an entry twice when the answer to the first attempt
is lost. Must not know what the stream means.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from redis import ConnectionPool, Redis
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
    (theirs.ClusterDownError, "is a cluster, and that is down"),
    (theirs.TimeoutError, "does not answer in time"),
    (theirs.ResponseError, "refuses"),
)

# Without an error code of their own: a large command that comes before the password, and a right that a script lacks.
_PHRASES: Final = (
    ("unauthenticated", "does not accept our user or password"),
    ("can't run this command", "does not permit this to our user"),
)


def connect(url: str) -> Redis:
    """Return a client for `redis://`, `rediss://` (TLS) or `unix://`; it connects when it is first asked something.

    Raises:
        SettingsError: the address cannot be understood.
    """
    try:
        _check_database(url)
        options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        pool = ConnectionPool(**{**options, **_LIMITS, "retry": Retry(NoBackoff(), 0)})
        pool.make_connection()  # an option that no connection has shows only here; nothing is sent yet
    except (ValueError, TypeError, theirs.RedisError) as error:
        raise SettingsError("the address of Redis", str(error)) from None
    return Redis(connection_pool=pool)


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
