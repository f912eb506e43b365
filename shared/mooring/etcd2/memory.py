"""The twin of an etcd by its v2 API, in this process. Its time stands still but for `advance`."""

from __future__ import annotations

import math
from threading import Lock

from attrs import evolve, frozen

from mooring.errors import DocumentError, Unavailable
from mooring.etcd2.store import ABSENT, Mismatch, Node


@frozen
class _Kept:
    node: Node
    ends: float


class MemoryKeys:
    """See `store.Keys`. `fail` and `recover` do to it what happens to servers."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[str, _Kept] = {}
        self._directories: set[str] = set()
        self._index = 0
        self._now = 0.0
        self._failing = ""

    def list(self, directory: str) -> tuple[Node, ...]:
        """See `Keys.list`."""
        with self._lock:
            below = sorted(key for key in self._living() if key.startswith(directory.rstrip("/") + "/"))
            return tuple(self._shown(key) for key in below)

    def get(self, key: str) -> Node | None:
        """See `Keys.get`."""
        with self._lock:
            return self._shown(key) if key in self._living() else None

    def put(self, key: str, value: bytes, ttl_seconds: int, at: int) -> Node | Mismatch:
        """See `Keys.put`."""
        with self._lock:
            living = self._living()
            above = _above(key)
            in_the_way = [one for one in above if one in living] + [key] * (key in self._directories)
            if in_the_way:
                raise DocumentError(key, f"{in_the_way[0]} is in the way, a directory or a key")
            if self._index_of(key) != at:
                return Mismatch()
            self._directories.update(above)
            return self._keep(Node(key, value, 0), ttl_seconds)

    def refresh(self, key: str, ttl_seconds: int, at: int) -> Node | Mismatch:
        """See `Keys.refresh`."""
        with self._lock:
            living = self._living()
            if at == ABSENT or self._index_of(key) != at:
                return Mismatch()
            return self._keep(living[key].node, ttl_seconds)

    def delete(self, key: str, at: int) -> Mismatch | None:
        """See `Keys.delete`."""
        with self._lock:
            living = self._living()
            if at == ABSENT or self._index_of(key) != at:
                return Mismatch()
            del living[key]
            self._index += 1
            return None

    def close(self) -> None:
        """See `Keys.close`."""

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds

    def fail(self) -> None:
        """Answer nobody from now on."""
        self._failing = "connection refused"

    def recover(self) -> None:
        """Answer again."""
        self._failing = ""

    def _living(self) -> dict[str, _Kept]:
        """Return what has not expired, and forget the rest."""
        if self._failing:
            raise Unavailable(f"memory: {self._failing}")
        for key in [key for key, kept in self._kept.items() if kept.ends <= self._now]:
            del self._kept[key]
        return self._kept

    def _index_of(self, key: str) -> int:
        kept = self._kept.get(key)
        return kept.node.index if kept else ABSENT

    def _keep(self, node: Node, ttl_seconds: int) -> Node:
        self._index += 1
        self._kept[node.key] = _Kept(evolve(node, index=self._index), self._now + ttl_seconds)
        return self._shown(node.key)

    def _shown(self, key: str) -> Node:
        kept = self._kept[key]
        return evolve(kept.node, ttl_seconds=math.ceil(kept.ends - self._now))


def _above(key: str) -> list[str]:
    segments = key.split("/")
    return ["/".join(segments[:depth]) for depth in range(2, len(segments))]
