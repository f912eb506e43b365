"""Containers about which an engine gives no answer, and when each of them is asked about again. Pure.

Each such question may take all of the client's patience, and everybody else waits meanwhile: so it is asked later and
later, as long as nothing is heard of the container.
"""

from __future__ import annotations

from typing import Final

from attrs import field, frozen, mutable

from mooring.backoff import Backoff

_FIRST_SECONDS: Final = 10.0
_MOST_SECONDS: Final = 300.0


@frozen
class Silence:
    """One container: why there was no answer, and when it is asked about again (epoch seconds)."""

    reason: str
    due: float
    backoff: Backoff


@mutable
class Silences:
    """All of them, by the container's id."""

    _silences: dict[str, Silence] = field(factory=dict, init=False)

    def begin(self, container_id: str, reason: str, now: float) -> bool:
        """Note that there was no answer, and say whether that is new."""
        before = self._silences.get(container_id)
        backoff = Backoff(_FIRST_SECONDS, _MOST_SECONDS) if before is None else before.backoff.next()
        self._silences[container_id] = Silence(reason, now + backoff.delay_seconds(1.0), backoff)
        return before is None

    def end(self, container_id: str) -> None:
        """Note that there was an answer, or that there is a reason to expect one."""
        self._silences.pop(container_id, None)

    def keep_only(self, container_ids: frozenset[str]) -> None:
        """Forget all others."""
        self._silences = {one: silence for one, silence in self._silences.items() if one in container_ids}

    def holds(self, container_id: str, now: float) -> bool:
        """Say whether it is not to be asked about yet."""
        silence = self._silences.get(container_id)
        return silence is not None and silence.due > now

    def due(self, now: float) -> tuple[str, ...]:
        """Return those that are to be asked about again."""
        return tuple(one for one, silence in self._silences.items() if silence.due <= now)

    def __contains__(self, container_id: object) -> bool:
        """Say whether there is no answer about a container."""
        return container_id in self._silences

    def reasons(self) -> dict[str, str]:
        """Return why there is no answer, by container."""
        return {one: silence.reason for one, silence in dict(self._silences).items()}
