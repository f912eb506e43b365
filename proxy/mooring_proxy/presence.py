"""The edge that tells everybody else how far this proxy is: `mooring:proxies:<id>`, renewed every second.

A thread with a connection of its own: a follower's waits in its read. Nobody waits for this one; what fails is tried
again a second later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Final, Protocol

from mooring.documents import canonical
from mooring.errors import WorldError
from mooring.keys import catalog_field
from mooring.telemetry import get_logger
from mooring_proxy.proxy import Standing
from mooring_proxy.routing import BackendKey

RENEWED_SECONDS: Final = 1.0
EXPIRY_SECONDS: Final = 5

log = get_logger()


class Board(Protocol):
    """Where proxies announce themselves; part of mooring.redis.stream.StreamReader."""

    def announce(self, proxy_id: str, fields: Mapping[str, str], *, expiry_seconds: int) -> None:
        """Say what a proxy has applied, until the expiry."""

    def close(self) -> None:
        """Let go of connections."""


def presence(
    standing: Standing, *, host: str, driver: str, connections: int, leaving: Mapping[BackendKey, int] | None = None
) -> dict[str, str]:
    """Return the fields that say how a proxy stands; Redis knows only text.

    `leaving` are the connections still open to backends that get no new one; JSON, how many by field of the catalog.
    """
    position = standing.position
    return {
        "incarnation": position.incarnation if position else "",
        "sequence": str(position.sequence) if position else "",
        "applied_at": f"{standing.applied_at:.6f}" if standing.applied_at is not None else "",
        "driver": driver,
        "connections": str(connections),
        "leaving": canonical({catalog_field(key.service, key.id): count for key, count in (leaving or {}).items()}),
        "frozen": standing.frozen,
        "stale": "1" if standing.stale else "",
        "host": host,
    }


class Presence:
    """Announces what `fields` returns, until `stop`."""

    def __init__(self, board: Board, proxy_id: str, fields: Callable[[], Mapping[str, str]]) -> None:
        self._board = board
        self._id = proxy_id
        self._fields = fields
        self._stopping = Event()

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()
        self._board.close()

    def run(self) -> None:
        """Announce every second."""
        while not self._stopping.is_set():
            self.turn()
            self._stopping.wait(RENEWED_SECONDS)

    def turn(self) -> None:
        """Announce once. That Redis does not answer is said by the follower, once for both."""
        try:
            self._board.announce(self._id, self._fields(), expiry_seconds=EXPIRY_SECONDS)
        except (WorldError, TimeoutError):
            # The reactor has no time to say how it stands: falling silent is what it amounts to.
            return
        except Exception:
            # Nobody's traffic ends because we cannot say how we are.
            log.exception("bug: the proxy cannot announce itself")
