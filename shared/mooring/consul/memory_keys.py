"""The twin of Consul's keys and values, in this process. Its time stands still but for `advance`."""

from __future__ import annotations

from itertools import count
from threading import Lock
from typing import Final

from attrs import evolve, frozen

from mooring.consul.keys import ABSENT, KeyValue, Mismatch
from mooring.consul.paths import check_path
from mooring.errors import DocumentError, SessionLost, Unavailable

MAX_VALUE_BYTES: Final = 512 << 10


@frozen
class _Session:
    ttl_seconds: int
    ends: float


class MemoryKeys:
    """See `keys.Keys`. `fail` and `recover` do to it what happens to servers."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[str, KeyValue] = {}
        self._sessions: dict[str, _Session] = {}
        self._numbers = count(1)
        self._index = 0
        self._now = 0.0
        self._failing = ""

    def list(self, prefix: str) -> tuple[KeyValue, ...]:
        """See `Keys.list`."""
        with self._lock:
            self._answer()
            return tuple(self._kept[key] for key in sorted(self._kept) if key.startswith(prefix))

    def get(self, key: str) -> KeyValue | None:
        """See `Keys.get`."""
        with self._lock:
            check_path(key)
            self._answer()
            return self._kept.get(key)

    def put(self, key: str, value: bytes, at: int) -> Mismatch | None:
        """See `Keys.put`."""
        with self._lock:
            self._answer()
            _judge(key, value)
            known = self._kept.get(key)
            if (known.index if known else ABSENT) != at:
                return Mismatch()
            self._keep(KeyValue(key, value, 0, known.session if known else ""))
            return None

    def acquire(self, key: str, value: bytes, session: str) -> Mismatch | None:
        """See `Keys.acquire`."""
        with self._lock:
            self._answer()
            _judge(key, value)
            if session not in self._sessions:
                raise SessionLost(session)
            known = self._kept.get(key)
            if known is not None and known.session not in {"", session}:
                return Mismatch()
            self._keep(KeyValue(key, value, 0, session))
            return None

    def delete(self, key: str, at: int) -> Mismatch | None:
        """See `Keys.delete`."""
        with self._lock:
            check_path(key)
            self._answer()
            known = self._kept.get(key)
            if known is not None and (at == ABSENT or known.index != at):
                return Mismatch()
            self._kept.pop(key, None)
            return None

    def create_session(self, name: str, ttl_seconds: int) -> str:
        """See `Keys.create_session`."""
        with self._lock:
            self._answer()
            session = f"{name}-{next(self._numbers)}"
            self._sessions[session] = _Session(ttl_seconds, self._now + ttl_seconds)
            return session

    def renew_session(self, session: str) -> None:
        """See `Keys.renew_session`."""
        with self._lock:
            self._answer()
            known = self._sessions.get(session)
            if known is None:
                raise SessionLost(session)
            self._sessions[session] = evolve(known, ends=self._now + known.ttl_seconds)

    def destroy_session(self, session: str) -> None:
        """See `Keys.destroy_session`."""
        with self._lock:
            self._answer()
            self._end(session)

    def close(self) -> None:
        """Let go of nothing."""

    def advance(self, seconds: float) -> None:
        """Let time pass; a session that is over goes with its keys."""
        with self._lock:
            self._now += seconds
            for session in [one for one, known in self._sessions.items() if known.ends <= self._now]:
                self._end(session)

    def fail(self) -> None:
        """Answer nobody from now on."""
        self._failing = "connection refused"

    def recover(self) -> None:
        """Answer again."""
        self._failing = ""

    def _answer(self) -> None:
        if self._failing:
            raise Unavailable(f"memory: {self._failing}")

    def _keep(self, item: KeyValue) -> None:
        self._index += 1
        self._kept[item.key] = evolve(item, index=self._index)

    def _end(self, session: str) -> None:
        self._sessions.pop(session, None)
        for key in [key for key, item in self._kept.items() if item.session == session]:
            del self._kept[key]


def _judge(key: str, value: bytes) -> None:
    check_path(key)
    if len(value) > MAX_VALUE_BYTES:
        raise DocumentError(key, f"Request body({len(value)} bytes) too large, max size: {MAX_VALUE_BYTES} bytes")
