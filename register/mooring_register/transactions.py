"""How many changes fit into one transaction of etcd. Pure.

An etcd refuses what has too many operations and what is too large, whatever is in it; so both are bounded here, well
below what it takes unless it was told otherwise (128 operations, 1.5 MB). What belongs together stays together as long
as it fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol, TypeVar

from attrs import frozen

from mooring.etcd.store import Operation, Put

MOST_OPERATIONS: Final = 100
MOST_BYTES: Final = 1_000_000

# A key stands in the condition, in the operation, and in what is asked when the condition does not hold.
_TIMES_A_KEY: Final = 3
_FRAME_BYTES: Final = 100


class _Change(Protocol):
    @property
    def operation(self) -> Operation:
        """What is done to one key."""


C = TypeVar("C", bound=_Change)


def transactions_of(groups: Iterable[Sequence[C]]) -> Iterator[tuple[C, ...]]:
    """Yield transactions of these changes, in their order; only a group that fits into none alone is cut."""
    batch: list[C] = []
    filled = _NOTHING
    for group in groups:
        sizes = [_Size(1, _bytes_of(change.operation)) for change in group]
        if batch and not (filled + sum(sizes, _NOTHING)).fits:
            yield tuple(batch)
            batch, filled = [], _NOTHING
        for change, size in zip(group, sizes, strict=True):
            if batch and not (filled + size).fits:
                yield tuple(batch)
                batch, filled = [], _NOTHING
            batch.append(change)
            filled += size
    if batch:
        yield tuple(batch)


@frozen
class _Size:
    """How large something is to an etcd."""

    operations: int
    bytes: int

    def __add__(self, other: _Size) -> _Size:
        return _Size(self.operations + other.operations, self.bytes + other.bytes)

    @property
    def fits(self) -> bool:
        return self.operations <= MOST_OPERATIONS and self.bytes <= MOST_BYTES


_NOTHING: Final = _Size(0, 0)


def _bytes_of(operation: Operation) -> int:
    value = len(operation.value) if isinstance(operation, Put) else 0
    return value + _TIMES_A_KEY * len(operation.key.encode()) + _FRAME_BYTES
