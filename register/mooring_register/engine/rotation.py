"""Whose turn it is to be inspected although nothing was heard of it, so that each is within ten minutes. Pure.

A few at a time, as many as the time that passed asks for: neither news nor a listing waits for them.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from itertools import islice
from typing import Final

from attrs import field, mutable

_ROUND_SECONDS: Final = 600.0
# With turns of a second at most that is enough for thirty thousand containers.
_MOST_AT_ONCE: Final = 50


@mutable
class Rotation:
    """Containers, the one that was inspected longest ago first. Times are epoch seconds."""

    # A dictionary, for its order; who is inspected goes to its end.
    _order: dict[str, None] = field(factory=dict, init=False)
    _due: float = field(default=0.0, init=False)
    _counted_at: float | None = field(default=None, init=False)

    def inspected(self, container_id: str) -> None:
        """Note that a container was inspected."""
        self._order.pop(container_id, None)
        self._order[container_id] = None

    def forget(self, container_id: str) -> None:
        """Note that there is no such container."""
        self._order.pop(container_id, None)

    def keep_only(self, container_ids: Collection[str]) -> None:
        """Forget all others."""
        self._order = {one: None for one in self._order if one in container_ids}

    def due(self, now: float, left_out: Container[str] = ()) -> tuple[str, ...]:
        """Return those whose turn it is now, which is said once; at most a few, the others of them the next time."""
        elapsed_seconds = 0.0 if self._counted_at is None else max(0.0, now - self._counted_at)
        self._counted_at = now
        count = len(self._order)
        self._due = min(float(count), self._due + count * elapsed_seconds / _ROUND_SECONDS)
        taken = min(int(self._due), _MOST_AT_ONCE)
        self._due -= taken
        return tuple(islice((one for one in self._order if one not in left_out), taken))
