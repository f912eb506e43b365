"""The seam to Consul's keys and values, and to the sessions that own keys, as values and one protocol. No HTTP here.

These are the cluster's, not one agent's. A key that was acquired by a session is deleted with it: when nobody renews
the session in time, when it is destroyed, or when its node is lost.

Two providers, held to one contract (tests/contract/test_consul_keys.py): `client.HttpKeys` over a real agent, and
`memory_keys.MemoryKeys`, its twin in this process.
"""

from __future__ import annotations

from typing import Final, Protocol

from attrs import frozen

# As a condition: the key must not exist.
ABSENT: Final = 0
# What Consul takes for the time to live of a session.
MIN_SESSION_SECONDS: Final = 10
MAX_SESSION_SECONDS: Final = 86_400


@frozen
class KeyValue:
    """One key; `index` is that of its last change, `session` the id of the one that owns it, empty without."""

    key: str
    value: bytes
    index: int
    session: str = ""


@frozen
class Mismatch:
    """The condition did not hold, or another session owns the key; nothing was changed."""


class Keys(Protocol):
    """Consul's keys and values. Safe to use from several threads.

    Every method raises `Unavailable` when the agent does not answer within a few seconds, knows no leader, or refuses
    our token. After it nobody knows whether a write was carried out: the condition of the next attempt tells. A key
    with an empty segment, `.` or `..` between slashes would be taken for another one: whoever names one gets a
    `DocumentError`. Nor does a key or a prefix begin with a slash.
    """

    def list(self, prefix: str) -> tuple[KeyValue, ...]:
        """Return every key that begins with a prefix, in order; only those that our token may read."""

    def get(self, key: str) -> KeyValue | None:
        """Return one key; None when it is not there."""

    def put(self, key: str, value: bytes, at: int) -> Mismatch | None:
        """Write a key if it is at this index, or `ABSENT`. Whoever owns it goes on to.

        Raises:
            DocumentError: the value is larger than Consul takes (512 KiB, if nothing else is configured there).
        """

    def acquire(self, key: str, value: bytes, session: str) -> Mismatch | None:
        """Write a key, and own it by a session; one that another session owns is left alone.

        Raises:
            DocumentError: as `put`.
            SessionLost: there is no such session any more.
        """

    def delete(self, key: str, at: int) -> Mismatch | None:
        """Remove a key if it is at this index; nothing happens if it is not there."""

    def create_session(self, name: str, ttl_seconds: int) -> str:
        """Begin a session and return its id. `ttl_seconds` is 10 to 86400; Consul may wait twice as long.

        A key that it owned may be acquired by another at once (there is no lock delay).
        """

    def renew_session(self, session: str) -> None:
        """Let a session live for its whole time again.

        Raises:
            SessionLost: there is no such session any more, and none of its keys.
        """

    def destroy_session(self, session: str) -> None:
        """End a session and delete its keys; nothing happens if there is none."""
