"""The seam to a registry as discover sees it: it tells what it holds, then what changes, or starts over by itself.

Held to one contract by tests/contract/test_source.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from mooring_discover.observations import Observation

Tell = Callable[[Observation], None]


class Source(Protocol):
    """One registry. Tells everything it holds first, each part as a `Listed`, then words about single keys."""

    @property
    def name(self) -> str:
        """Return its address without secrets; every observation bears it."""

    def start(self, tell: Tell) -> None:
        """Begin to tell, from threads of its own; `tell` may make them wait."""

    def stop(self, within_seconds: float) -> None:
        """Tell nothing more. Threads that a silent registry holds up are not waited for beyond that."""

    def problems(self) -> Mapping[str, str]:
        """Return what cannot be read now, key → reason. From any thread."""
