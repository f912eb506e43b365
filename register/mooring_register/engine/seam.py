"""The seam to Docker: what register asks of an engine, as values and one protocol. No docker library here.

Two providers, held to one contract (tests/contract/test_docker_engine.py): `docker_engine.DockerEngine` over a real
engine, and `memory_engine.MemoryEngine`, its twin in this process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from attrs import field, frozen

from mooring.errors import Unavailable
from mooring_register.containers import Inspected

# Asked for by name: health checks alone would otherwise send three events (exec_*) per container and interval.
ACTIONS: Final = (
    *("start", "kill", "die", "stop", "pause", "unpause", "health_status", "rename", "update", "destroy", "oom"),
    *("connect", "disconnect"),
)


@frozen
class Identity:
    """Which engine answers: its own id, its host's name, and its clock (epoch seconds)."""

    id: str
    host: str
    now: float


@frozen
class Summary:
    """One running container in a listing. Another `fingerprint` says that something about it changed.

    `name` is for people, without a slash before it.
    """

    id: str
    fingerprint: str
    name: str = ""


@frozen
class DockerEvent:
    """One event: what happened to which container and when, in nanoseconds since the epoch by the engine's clock."""

    action: str
    container_id: str
    time_nano: int
    attributes: Mapping[str, str] = field(factory=dict)

    @property
    def at(self) -> float:
        """When it happened, in epoch seconds."""
        return self.time_nano / 1e9


class Unanswered(Unavailable):
    """The engine is there, and yet gives no answer about this one container."""


class Events(Protocol):
    """Events in order, as they come.

    Ends silently when the connection does: the engine went away, a proxy cut what was idle, or nothing was heard for so
    long that nobody may be there. Something may be missed then.
    """

    def __iter__(self) -> Iterator[DockerEvent]:
        """Iterate over the events."""

    def close(self) -> None:
        """End the iteration, from any thread; harmless when it has ended."""


class Engine(Protocol):
    """A Docker engine. Safe to use from several threads. Every method raises `Unavailable` when it does not answer."""

    def identity(self) -> Identity:
        """Return which engine this is."""

    def running(self) -> tuple[Summary, ...]:
        """Return all containers that run, paused ones too."""

    def exited(self) -> Mapping[str, int]:
        """Return the exit codes of all containers that ended and were not removed, by id."""

    def signals(self, since_nano: int, until_nano: int) -> tuple[DockerEvent, ...]:
        """Return the signals (`kill`) that were sent to containers in that time, as far as the engine remembers.

        Both are nanoseconds since the epoch, by the engine's clock.
        """

    def inspect(self, container_id: str) -> Inspected | None:
        """Return everything about a container, running or not; None when there is none of that id.

        Raises:
            Unanswered: the engine answers other questions, but not this one.
        """

    def events(self, since_nano: int) -> Events:
        """Return what happens to containers; what happened since `since_nano` (epoch, engine's clock) is replayed."""
