"""The options by which a command finds its stream.

In a container of discover or of a proxy the stream is configured already, by that part's environment; so a command
that is run there (`docker compose exec discover mooring status`) takes it from there, unless it is told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from mooring.cli import Parsed, option
from mooring.keys import RedisNames
from mooring.redis.connection import DEFAULT_URL, checked_url

F = TypeVar("F", bound=Callable[..., Any])

_PARTS: Final = ("discover", "proxy")


def stream_options(command: str) -> Callable[[F], F]:
    """Declare `--redis` and `--namespace` for a command of this name."""

    def declare(function: F) -> F:
        namespace = option(
            "--namespace",
            default=RedisNames().namespace,
            envvar=_variables(command, "namespace"),
            help="What all names in Redis begin with.",
        )
        redis = option(
            "--redis",
            default=DEFAULT_URL,
            envvar=_variables(command, "redis"),
            type=Parsed(checked_url, "ADDRESS"),
            help="Where discover writes the stream: redis://[USER:PASSWORD@]HOST:PORT/DATABASE, rediss:// for TLS, or "
            "redis+sentinel://[USER:PASSWORD@]HOST:26379[,HOST2:26379]/PRIMARY[/DATABASE] behind sentinels.",
        )
        return redis(namespace(function))

    return declare


def _variables(command: str, name: str) -> list[str]:
    # The first that is set counts. What click would add by itself is the first of these.
    return [f"MOORING_{of.upper()}_{name.upper()}" for of in (command, *_PARTS)]
