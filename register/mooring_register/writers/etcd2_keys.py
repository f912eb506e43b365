"""The keys that are ours in an etcd by its v2 API: each has a TTL of its own and is renewed alone.

One thread writes them and another renews them, and both change their index, which is the condition of the next change.
So only one of them has a key at a time. What the server did with a change whose answer was lost is not known: then all
is to be found out and taken over anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Condition

from mooring.etcd2.store import ABSENT, Keys, Mismatch, Node
from mooring.threads import spread


class OwnKeys:
    """Writes and renews keys that nobody else writes, each only while it is as we know it.

    `connections` says how many requests are under way at most.
    """

    def __init__(self, keys: Keys, ttl_seconds: int, connections: int) -> None:
        self._keys = keys
        self._ttl_seconds = ttl_seconds
        self._connections = connections
        self._known: dict[str, Node] = {}
        self._ending: set[str] = set()
        self._lost: set[str] = set()
        self._busy: set[str] = set()
        self._freed = Condition()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._known)

    def values(self, root: str) -> dict[str, bytes]:
        """Return what the keys below a root hold, as far as we know."""
        return {key: node.value for key, node in list(self._known.items()) if key.startswith(root)}

    def is_own_value(self, found: Node) -> bool:
        """Whether a key holds what we know it to hold."""
        known = self._known.get(found.key)
        return known is not None and known.value == found.value

    def spread(self, keys: Iterable[str], do: Callable[[str], None]) -> None:
        """Do something with each key, over as many connections as there may be."""
        spread(keys, do, self._connections)

    # -- what the writer's thread does

    def take_over(self, found: Mapping[str, Node]) -> None:
        """Take these for ours, and nothing else."""
        for key in found.keys() | self._known.keys():
            self.learn(key, found.get(key))

    def learn(self, key: str, found: Node | None) -> None:
        """Take a key for ours as it was found; None: it is not, or is not there."""
        with self._alone(key):
            self._forget(key)
            if found is not None:
                # If it was renewed since, its index is wrong, which whoever uses it next is told.
                self._known[key] = found

    def learn_anew(self, key: str) -> None:
        """Take a key for ours, whatever it holds, if it is there.

        Raises:
            Unavailable: no answer.
        """
        self.learn(key, self._keys.get(key))

    def put(self, key: str, value: bytes, ending_seconds: int = 0) -> bool:
        """Write a key; False when it is not as we know it. With `ending_seconds` it is renewed no more.

        Raises:
            DocumentError: directories and keys are in each other's way.
            Unavailable: no answer.
        """
        with self._alone(key) as known:
            at = known.index if known else ABSENT
            answer = self._keys.put(key, value, ending_seconds or self._ttl_seconds, at)
            if isinstance(answer, Mismatch):
                return False
            self._known[key] = answer
            (self._ending.add if ending_seconds else self._ending.discard)(key)
            return True

    def delete(self, key: str) -> bool:
        """Remove a key; False when it is not as we know it.

        Raises:
            Unavailable: no answer.
        """
        with self._alone(key) as known:
            if known is None or self._keys.delete(key, known.index) is not None:
                return False
            self._forget(key)
            return True

    @property
    def has_lost(self) -> bool:
        """Whether `lost` has something to tell."""
        return bool(self._lost)

    def lost(self) -> frozenset[str]:
        """Return the keys that were found to be gone, or changed by others, since this was last asked."""
        with self._freed:
            lost = frozenset(self._lost)
            self._lost.clear()
            return lost

    # -- what the thread that renews does

    def renew(self) -> None:
        """Give every key its whole TTL again, but those that end; first those that were renewed or written first.

        Raises:
            Unavailable: no answer; some may have been renewed.
        """
        oldest_first = sorted(self._known.values(), key=lambda node: node.index)
        self.spread([node.key for node in oldest_first], self._renew)

    def _renew(self, key: str) -> None:
        with self._alone(key) as known:
            if known is None or key in self._ending:
                return
            answer = self._keys.refresh(key, self._ttl_seconds, known.index)
            renewed = self._renew_changed(known) if isinstance(answer, Mismatch) else answer
            if renewed is not None:
                self._known[key] = renewed
            else:
                del self._known[key]
                with self._freed:
                    self._lost.add(key)

    def _renew_changed(self, known: Node) -> Node | None:
        """Renew a key that was renewed by somebody else: by us, unanswered, or by another host that needs it too."""
        found = self._keys.get(known.key)
        if found is None or found.value != known.value:
            return None
        answer = self._keys.refresh(known.key, self._ttl_seconds, found.index)
        # Changed once more: then it has just been renewed, and the next round finds out by whom.
        return found if isinstance(answer, Mismatch) else answer

    def _forget(self, key: str) -> None:
        self._known.pop(key, None)
        self._ending.discard(key)

    @contextmanager
    def _alone(self, key: str) -> Iterator[Node | None]:
        """Have a key for ourselves, as it is known."""
        with self._freed:
            self._freed.wait_for(lambda: key not in self._busy)
            self._busy.add(key)
        try:
            yield self._known.get(key)
        finally:
            with self._freed:
                self._busy.discard(key)
                self._freed.notify_all()
