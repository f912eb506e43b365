"""Round robin: each in turn, in the order of the keys; who comes or goes does not disturb the turn of the others."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from mooring_proxy.routing import Backend, BackendKey


class RoundRobin:
    """Remembers who had the last turn; the next is the first key after that one, around the circle."""

    name = "round-robin"

    def __init__(self) -> None:
        self._last: BackendKey | None = None

    def pick(self, candidates: Sequence[Backend]) -> Backend:
        """Return whose turn it is; `candidates` are sorted by key and not empty."""
        turn = 0 if self._last is None else bisect_right(candidates, self._last, key=_key)
        chosen = candidates[turn % len(candidates)]
        self._last = chosen.key
        return chosen


def _key(backend: Backend) -> BackendKey:
    return backend.key
