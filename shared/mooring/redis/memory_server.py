"""What the twin of Redis holds: the contents that a Redis loses when it is emptied, and what its connections share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Condition
from typing import Final

from attrs import evolve, field, frozen, mutable

from mooring.redis.step import Step, Table
from mooring.redis.stream import Batch, Head, RawEntry

Clock = Callable[[], float]


@frozen
class Expiring:
    """A value that is gone from a moment on."""

    fields: Mapping[str, str]
    gone_at: float


@frozen
class HeldLead:
    """Who leads, and until when."""

    leader: str
    epoch: int
    gone_at: float


def empty_tables() -> dict[Table, dict[str, str]]:
    """Return the tables of a catalog that holds nothing."""
    return {table: {} for table in Table}


@mutable
class Contents:
    """All that a Redis loses when it is emptied. `epoch` is kept apart: it may stand in a head without incarnation."""

    run_id: str
    head: Head | None = None
    epoch: int = 0
    entries: list[RawEntry] = field(factory=list)
    tables: dict[Table, dict[str, str]] = field(factory=empty_tables)
    ports: dict[str, str] = field(factory=dict)
    lead: HeldLead | None = None
    announced: dict[str, Expiring] = field(factory=dict)

    @property
    def last_sequence(self) -> int:
        """The sequence of the newest entry that is there, whoever wrote it; 0 for none."""
        return self.entries[-1].sequence if self.entries else 0


@frozen
class Replica:
    """What a replica holds that fell behind."""

    contents: Contents


class Server:
    """What all connections share: the contents, one lock, and the failures that were asked for."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.changed: Final = Condition()
        self.life = 1
        self.contents = Contents(run_id="run-1")
        self.failure = ""
        self.answers_to_lose = 0


def carry_out(contents: Contents, head: Head, batch: Batch, step: Step) -> None:
    """Write a batch that was found to be right."""
    contents.entries += step.entries
    for write in step.writes:
        if write.value is None:
            contents.tables[write.table].pop(write.field, None)
        else:
            contents.tables[write.table][write.field] = write.value
    contents.ports = dict(batch.ports)
    contents.head = evolve(
        head,
        sequence=batch.after + len(step.entries),
        complete=head.complete or batch.complete,
        sources={**head.sources, **batch.sources},
    )
