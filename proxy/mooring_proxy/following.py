"""The values of the follower's machine (follower.py): its states, what it is shown, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from attrs import field, frozen

from mooring.catalog import Catalog
from mooring.entries import Entry
from mooring.redis.stream import Head, RawEntry


@frozen
class Position:
    """The last entry applied, in one life of a stream."""

    incarnation: str
    sequence: int

    def __str__(self) -> str:
        """Return it as an operator looks for it: the entry's id."""
        return f"{self.sequence}-0"


@frozen
class Known:
    """A catalog, the ports that services hold, and the cursor that both contain."""

    position: Position
    catalog: Catalog = field(repr=False)
    ports: Mapping[str, str] = field(repr=False)


# ------------------------------------------------------------------------------------------------------------ states
@frozen
class Starting:
    """Nothing to build on: read the head. `unconfirmed_since`: when we began to wait for one of this life of Redis."""

    unconfirmed_since: float | None = None


@frozen
class Scanning:
    """The head was read: scan the catalog, then the ports, then the head again."""

    before: Head


@frozen
class CatchingUp:
    """The catalog is that of some moment up to `target`: read on until the cursor has passed it."""

    known: Known
    target: int


@frozen
class Following:
    """The catalog is complete: wait for entries."""

    known: Known


@frozen
class Doubting:
    """The catalog is complete: read the ports, then the head, before anything else is believed."""

    known: Known


@frozen
class Behind:
    """The stream ends at `sequence`, before what is known: Redis lost entries, and nobody wrote since."""

    known: Known
    sequence: int


@frozen
class Frozen:
    """No step is taken any more."""

    reason: str


State: TypeAlias = Starting | Scanning | CatchingUp | Following | Doubting | Behind | Frozen


# ------------------------------------------------------------------------------------------------------------ inputs
@frozen
class HeadRead:
    """Where the stream stands (None: there is none), and which life Redis is in; `now` is in monotonic seconds."""

    head: Head | None
    run_id: str
    now: float


@frozen
class CatalogScanned:
    """What stood beside the stream, and the head that was read after it."""

    catalog: Catalog = field(repr=False)
    ports: Mapping[str, str]
    head: Head | None


@frozen
class EntriesRead:
    """The entries after the cursor; none: a whole wait passed without one."""

    entries: tuple[RawEntry, ...]


@frozen
class CheckDue:
    """Entries keep coming, but nobody has asked for a while whether the rest is still as it was."""


@frozen
class Checked:
    """The ports, and the head that was read after them."""

    ports: Mapping[str, str]
    head: Head | None


@frozen
class RedisLost:
    """Redis does not answer."""

    reason: str


@frozen
class Crashed:
    """A step raised what it must not raise: a bug of ours."""

    reason: str


Seen: TypeAlias = HeadRead | CatalogScanned | EntriesRead | CheckDue | Checked | RedisLost | Crashed


# ----------------------------------------------------------------------------------------------------------- outputs
@frozen
class Updated:
    """A complete catalog that is newer than the one before; `entries` led to it, if that is how it came."""

    known: Known
    entries: tuple[Entry, ...] = field(default=(), repr=False)


@frozen
class Skipped:
    """So many entries are of types that this Mooring does not know."""

    count: int


@frozen
class StartedOver:
    """The position to follow from is gone."""

    reason: str


@frozen
class Waiting:
    """There is nothing to begin with yet."""

    reason: str


@frozen
class Froze:
    """What comes after the position cannot be understood."""

    position: Position | None
    reason: str


Told: TypeAlias = Updated | Skipped | StartedOver | Waiting | Froze
