"""What was written for a host, key by key, as a watch of etcd told it; and what is wrong with that.

A key of an instance comes up, may change, goes down with a cause, and is deleted after that. Nothing is written twice,
and no container that is never paused goes back to what it was before it ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from threading import Lock
from types import TracebackType
from typing import Self

from mooring.documents import decode_instance
from mooring.etcd.store import Change, Removed, Store
from mooring.model import Instance, State
from mooring.threads import start
from mooring_register.containers import parse_time


class KeyHistory:
    """Watches a prefix from what stands there now; its `with` block ends that."""

    def __init__(self, store: Store, prefix: str) -> None:
        listing = store.list(prefix)
        self._before = {found.key: _instance(found) for found in listing.items}
        self._watch = store.watch(prefix, listing.revision)
        self._lock = Lock()
        self._by_key: dict[str, list[Instance | None]] = defaultdict(list)

    def __enter__(self) -> Self:
        self._thread = start("key-history", self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.cancel()
        self._thread.join()

    def _listen(self) -> None:
        for batch in self._watch:
            with self._lock:
                for change in batch:
                    self._by_key[change.key].append(_instance(change))

    @property
    def writes(self) -> int:
        """How many puts and deletes there were."""
        with self._lock:
            return sum(len(states) for states in self._by_key.values())

    def now(self) -> dict[str, Instance]:
        """Return what stands there, but for what is going."""
        with self._lock:
            last = self._before | {key: states[-1] for key, states in self._by_key.items()}
        return {key: one for key, one in last.items() if one is not None and one.state is not State.DOWN}

    def has_written(self, container: str) -> bool:
        """Return whether the last that was written to some key is that a container is up."""
        with self._lock:
            last = [states[-1] for states in self._by_key.values()]
        return any(one is not None and one.container == container and one.state is State.UP for one in last)

    def faults(self) -> list[str]:
        """Return what is wrong with the histories."""
        with self._lock:
            written = dict(self._by_key)
        return [fault for key, states in written.items() for fault in _faults(key, self._before.get(key), states)]


def _instance(change: Change) -> Instance | None:
    return None if isinstance(change, Removed) else decode_instance(change.value, where=change.key)


def _faults(key: str, before: Instance | None, states: list[Instance | None]) -> Iterator[str]:
    started_at = parse_time(before.started) if before is not None else 0.0
    for after in states:
        is_up = after is not None and after.state is not State.DOWN
        if before is None and not is_up:
            yield f"{key} goes without having come"
        if after is None and before is not None and before.state is not State.DOWN:
            yield f"{key} is deleted without a word"
        if before is not None and after is not None and before.same_as(after):
            yield f"{key} is written twice as {after.state}"
        if after is not None and before is not None and before.state is State.DOWN and before.started == after.started:
            yield f"{key} is back as it was before it went"
        if after is not None:
            if parse_time(after.started) < started_at:
                yield f"{key} is back at an earlier start"
            started_at = parse_time(after.started)
        before = after
