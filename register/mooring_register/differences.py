"""What is another value than before, of thousands that mostly are the very same. Pure.

Values are compared by what they are in memory: whoever leaves something as it is, must hand on the very same value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def differing(before: Mapping[K, V], after: Mapping[K, V]) -> set[K]:
    """Return the keys that were added, removed, or have another value, even if an equal one."""
    if before is after:
        return set()
    return {key for key, value in after.items() if before.get(key) is not value} | (before.keys() - after.keys())
