"""What a source tells the registrar: a closed union of frozen values. Times are epoch seconds.

`cause` is the word that ends up in the document of an instance that this observation publishes or changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from attrs import field, frozen

from mooring.errors import InvalidInput
from mooring.model import Instance
from mooring_register.containers import Container

# The cause of what was found without an event.
RECONCILED: Final = "reconciled"


@frozen
class Listed:
    """Everything that runs was listed: these ids and no others. `inspected` are those that were looked at closely.

    `signals` were sent before, and may have been heard of by nobody. `exited` are the exit codes of all that ended and
    were not removed, as far as they were asked for.
    """

    ids: frozenset[str]
    inspected: tuple[Container, ...]
    at: float
    signals: tuple[Signalled, ...] = ()
    exited: Mapping[str, int] = field(factory=dict)


@frozen
class Inspected:
    """One container was looked at, running or not."""

    container: Container
    cause: str
    at: float


@frozen
class Died:
    """Docker said that a container ended; told before the inspection, which Docker answers after it cleaned up.

    `ran_out_of_memory` says that something in it did, which need not be what it died of.
    """

    container_id: str
    exit_code: int
    at: float
    ran_out_of_memory: bool = False


@frozen
class Gone:
    """A container no longer exists."""

    container_id: str
    at: float


@frozen
class Signalled:
    """Docker sent a signal to a container."""

    container_id: str
    signal: str
    at: float


@frozen
class StopAnnounced:
    """Somebody said that he will stop a container, and before when; it is not to be given anything new."""

    container_id: str
    until: float
    at: float


@frozen
class Lost:
    """The source does not answer. Nothing follows from that about its containers."""

    reason: str
    at: float


@frozen
class Declared:
    """A static file was read: these instances and no others."""

    instances: tuple[Instance, ...]
    problems: tuple[InvalidInput, ...]
    at: float


@frozen
class Unreadable:
    """A static file cannot be read; what it said last stands."""

    problem: InvalidInput
    at: float


Observation: TypeAlias = Listed | Inspected | Died | Gone | Signalled | StopAnnounced | Lost | Declared | Unreadable
