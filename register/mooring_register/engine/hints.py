"""What the thread of events tells the inspector: hints in order, and which of them need no inspection. Pure."""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import frozen

from mooring_register.engine.seam import DockerEvent
from mooring_register.observations import Lost, Signalled

_CAUSES: Final = {
    "start": "started",
    "unpause": "unpaused",
    "health_status: healthy": "healthy",
    "rename": "renamed",
    "connect": "network connected",
    "disconnect": "network disconnected",
    "update": "updated",
}

_NEVER_SUPERSEDED: Final = frozenset({"kill", "oom", "die", "start", "destroy"})


@frozen
class Connected:
    """The subscription stands: list now, and nothing is missed. `signals` were sent before that."""

    signals: tuple[Signalled, ...] = ()


Hint: TypeAlias = DockerEvent | Connected | Lost


def superseded_left_out(hints: list[Hint]) -> list[Hint]:
    """Leave out an event when a later one asks for an inspection of the same container anyway.

    Signals, deaths and starts are kept: they say more than that something changed. What comes before a reconnection is
    kept too, for its order.
    """
    kept: list[Hint] = []
    asked: set[str] = set()
    for hint in reversed(hints):
        if isinstance(hint, DockerEvent) and hint.action not in _NEVER_SUPERSEDED:
            if hint.container_id in asked:
                continue
            asked.add(hint.container_id)
        elif not isinstance(hint, DockerEvent):
            asked.clear()
        kept.append(hint)
    return kept[::-1]


def signalled(event: DockerEvent) -> Signalled:
    """Return what a `kill` says."""
    return Signalled(event.container_id, event.attributes.get("signal", ""), event.at)


def cause_of(event: DockerEvent) -> str:
    """Return the cause of what an inspection after this event finds."""
    return _CAUSES.get(event.action, "updated")
