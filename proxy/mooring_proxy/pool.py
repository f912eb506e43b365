"""The pool: the backends of one route with their counts, and which of them gets the next connection.

Pure but for its memory: no socket, no clock. The preference of states is routing's, the turn among equals is the
balancer's; here the two meet, and a backend that was tried already for a connection is passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from attrs import mutable

from mooring_proxy.routing import Backend, BackendKey


class Balancer(Protocol):
    """A policy of picking. It sees only candidates that are equally good."""

    def pick(self, candidates: Sequence[Backend]) -> Backend:
        """Return one of the candidates, which are sorted by key and not empty."""


@mutable
class Count:
    """What a backend has carried: connections open now, begun so far, and attempts that failed."""

    open: int = 0
    total: int = 0
    failed: int = 0


class Pool:
    """The backends of one route.

    Counts outlive the backend's place in the pool: connections that it still holds end later.
    """

    def __init__(self, balancer: Balancer, backends: Collection[Backend] = ()) -> None:
        self._balancer = balancer
        self._counts: dict[BackendKey, Count] = {}
        self.update(backends)

    def update(self, backends: Collection[Backend]) -> None:
        """Take these for the backends, sorted by key; forget counts of those that went and hold nothing."""
        self.backends = tuple(backends)
        preferences = sorted({one.preference for one in self.backends if one.preference is not None})
        self._tiers = tuple(tuple(one for one in self.backends if one.preference == best) for best in preferences)
        self._present = frozenset(one.key for one in self.backends)
        self._counts = {key: count for key, count in self._counts.items() if key in self._present or count.open}
        refused = {one.key for one in self.backends if one.preference is None}
        self._leaving = frozenset(key for key in self._counts if key in refused or key not in self._present)

    def pick(self, tried: Collection[BackendKey] = ()) -> Backend | None:
        """Return the backend for the next connection, or None when all that may get one were tried."""
        for tier in self._tiers:
            candidates = [one for one in tier if one.key not in tried] if tried else tier
            if candidates:
                return self._balancer.pick(candidates)
        return None

    def has_another(self, tried: Collection[BackendKey]) -> bool:
        """Whether `pick` would return a backend; nobody's turn is taken."""
        return any(one.key not in tried for tier in self._tiers for one in tier)

    def opened(self, key: BackendKey) -> None:
        """Count a connection that begins, or the attempt at one."""
        count = self._counts.setdefault(key, Count())
        count.open += 1
        count.total += 1

    def closed(self, key: BackendKey) -> None:
        """Count the end of what `opened` counted; forget the counts of a backend that went, with its last one."""
        count = self._counts[key]
        count.open -= 1
        if not count.open and key not in self._present:
            del self._counts[key]

    def failed(self, key: BackendKey) -> None:
        """Count the failure of the attempt that `opened` counted."""
        count = self._counts[key]
        count.total -= 1
        count.failed += 1
        self.closed(key)

    def counts(self) -> Mapping[BackendKey, Count]:
        """Return the counts of every backend present, or gone with connections still open."""
        return {**{one.key: Count() for one in self.backends}, **self._counts}

    def leaving(self) -> Mapping[BackendKey, int]:
        """Return how many connections are open to each backend that gets no new one; none are not told."""
        counts = ((key, self._counts.get(key)) for key in self._leaving)
        return {key: count.open for key, count in counts if count is not None and count.open}
