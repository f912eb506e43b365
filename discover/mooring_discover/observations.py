"""What sources say: the closed union of observations, and what a source was heard to say about one key.

An observation is absolute, like a fact: it carries the whole value, so of several about one key only the last counts.
Nothing is decided here; what an observation means for the catalog is `reducer`'s and `suspects`' to say.

`at` is when discover heard it (epoch seconds), `revision` the position in the source's own history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from attrs import field, frozen

from mooring.model import Binding, Instance

InstanceKey: TypeAlias = tuple[str, str]
Key: TypeAlias = InstanceKey | str
"""What names a record: (service, id) of an instance, or the key of a binding."""

Record: TypeAlias = Instance | Binding


@frozen(kw_only=True)
class Listed:
    """All that a source holds at one revision; what is not in it is not in the source.

    None for a part says nothing about that part: instances may be listed apart from bindings and hosts. `down` names
    instances that are being withdrawn, with the cause. `unreadable` are the paths of instances, and the keys of
    bindings, whose documents cannot be read: of these the source's last word stands.
    """

    source: str
    revision: str
    at: float
    instances: tuple[Instance, ...] | None = None
    bindings: tuple[Binding, ...] | None = None
    hosts: frozenset[str] | None = None
    down: Mapping[InstanceKey, str] = field(factory=dict)
    unreadable: frozenset[str] = frozenset()


@frozen
class Seen:
    """A record is there, as it is now."""

    source: str
    revision: str
    at: float
    record: Record


@frozen
class Sighting:
    """When Docker and the registry saw the end of an instance (epoch seconds), as far as it is known."""

    docker: float | None = None
    registry: float | None = None

    @classmethod
    def of(cls, withdrawn: Record) -> Sighting:
        """Return what the document says that took it back."""
        if isinstance(withdrawn, Binding):
            return cls()
        return cls(withdrawn.seen_docker, withdrawn.seen_registry)


UNSEEN = Sighting()


@frozen
class Withdrawn:
    """Who registered a record took it back, and said why."""

    source: str
    revision: str
    at: float
    key: Key
    cause: str
    seen: Sighting = UNSEEN


@frozen
class Gone:
    """A record is there no more, without a word: its lease `expired`, or somebody deleted it."""

    source: str
    revision: str
    at: float
    key: Key
    expired: bool


@frozen
class HostSeen:
    """A host's register holds its lease."""

    source: str
    at: float
    host: str


@frozen
class HostGone:
    """A host's register holds its lease no more."""

    source: str
    at: float
    host: str


@frozen
class Silent:
    """A source does not answer."""

    source: str
    at: float
    reason: str


@frozen
class Answering:
    """A source answers again."""

    source: str
    at: float


Word: TypeAlias = Seen | Withdrawn | Gone
"""What is said about one key."""

Observation: TypeAlias = Listed | Word | HostSeen | HostGone | Silent | Answering


def key_said(word: Word) -> Key:
    """Return which key a word is about."""
    return word.record.key if isinstance(word, Seen) else word.key
