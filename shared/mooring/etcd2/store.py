"""The seam to an etcd by its v2 API: what Mooring asks of it, as values and one protocol. No HTTP here.

That API has neither leases nor transactions: each key has a time to live of its own, and each write a condition on its
own key only. Its keys are not those that v3 shows, though the server be the same.

Two providers, held to one contract (tests/contract/test_etcd2.py): `client.HttpKeys` over a real etcd, and
`memory.MemoryKeys`, its twin in this process.
"""

from __future__ import annotations

from typing import Final, Protocol

from attrs import frozen

# As a condition: the key must not exist.
ABSENT: Final = 0


@frozen
class Node:
    """One key; `index` is that of its last change or renewal, `ttl_seconds` is None when it never expires."""

    key: str
    value: bytes
    index: int
    ttl_seconds: int | None = None


@frozen
class Mismatch:
    """The condition did not hold, nothing was changed."""


class Keys(Protocol):
    """Keys in directories, as the v2 API knows them. Safe to use from several threads.

    Every method raises `Unavailable` when no endpoint answers within a few seconds. After it nobody knows whether a
    write was carried out: the condition of the next attempt tells.
    """

    def list(self, directory: str) -> tuple[Node, ...]:
        """Return every key below a directory, at any depth, in order; none when there is no such directory."""

    def get(self, key: str) -> Node | None:
        """Return one key; None when it is not there, or is a directory."""

    def put(self, key: str, value: bytes, ttl_seconds: int, at: int) -> Node | Mismatch:
        """Write a key if it is at this index, or `ABSENT`.

        Raises:
            DocumentError: a directory is where the key should be, or a key where a directory should be.
        """

    def refresh(self, key: str, ttl_seconds: int, at: int) -> Node | Mismatch:
        """Renew a key's time to live if it is at this index, without waking those who watch it."""

    def delete(self, key: str, at: int) -> Mismatch | None:
        """Remove a key if it is at this index; directories stay, as everybody's."""

    def close(self) -> None:
        """Let go of connections."""
