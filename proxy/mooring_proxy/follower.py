"""The follower: how a proxy comes to know the catalog, and when it must not believe what it reads. A machine of values.

`step(state, seen)` returns the next state and what is to be told. Each state is a type and says what must be seen
next; the edge (stream.py) only looks and waits:

    Starting      wants HeadRead          nothing is known, or nothing that can be built on
    Scanning      wants CatalogScanned    the head was read; the catalog may be newer, never older
    CatchingUp    wants EntriesRead       until the cursor has passed the head that was read *after* the scan
    Following     wants EntriesRead       the catalog is the fold of everything up to the cursor
    Doubting      wants Checked           the same, but it is time to ask whether this is still the same stream
    Behind        wants Checked           the stream lost entries that we have applied, and nobody wrote since
    Frozen        wants nothing           for ever: what came next cannot be understood

Redis says nothing when a stream was trimmed, emptied or replaced under a reader, so everything is compared: an entry of
another incarnation, a first id that is not cursor + 1, a head below the cursor, trimmed past it, or not there. Each of
these is the same case, *start over*: whoever is told keeps the catalog he has until the next `Updated`.

A head below the cursor in the same incarnation is one case more: after a failover to a replica that lacked the last
entries, we know more than Redis does. What it has is older than what we have, so we wait until somebody writes there,
which is a new incarnation. Never is such a stream followed on: its next entries have numbers that we have seen.

A head that was begun in another life of Redis is from before Redis, and often the whole host, was started anew: the
addresses in that catalog may have gone to other services since. discover begins a new incarnation as soon as it looks;
whoever starts waits for that, but not for ever, for an old table is better than none.

The ports that services hold come from a hash, not from the stream: they are read together with a head, the head last,
and believed only if that head is of our incarnation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from attrs import evolve, frozen

from mooring.catalog import fold
from mooring.entries import Entry, decode_entry
from mooring.errors import EntryError
from mooring.facts import Fact, InstanceAdded, InstanceChanged, InstanceRemoved
from mooring.redis.stream import Head, RawEntry
from mooring_proxy.following import (
    Behind,
    CatalogScanned,
    CatchingUp,
    CheckDue,
    Checked,
    Crashed,
    Doubting,
    EntriesRead,
    Following,
    Froze,
    Frozen,
    HeadRead,
    Known,
    Position,
    RedisLost,
    Scanning,
    Seen,
    Skipped,
    StartedOver,
    Starting,
    State,
    Told,
    Updated,
    Waiting,
)

# As long as a proxy waits for Redis before it serves by a stored table: what Redis kept over a restart is one too.
UNCONFIRMED_SECONDS: Final = 3.0
_LOST_ENTRIES: Final = "the stream ends before the cursor"

Step: TypeAlias = tuple[State, tuple[Told, ...]]


def step(state: State, seen: Seen) -> Step:
    """Return the state after something was seen, and what is to be told.

    Raises:
        TypeError: the state did not want to see that (a bug of the caller).
    """
    match state, seen:
        case Frozen(), _:
            return state, ()
        case _, Crashed(reason):
            return _freeze(state, reason)
        case _, RedisLost():
            return _without_redis(state), ()
        case Starting(), HeadRead():
            return _begin(state, seen)
        case Scanning(before), CatalogScanned(catalog, ports, head):
            return _scanned(before, Known(_position(before), catalog, ports), head)
        case CatchingUp() | Following(), EntriesRead(entries):
            return _read(state, entries)
        case Following(known), CheckDue():
            return Doubting(known), ()
        case Doubting(known), Checked(ports, head):
            return _check(known, ports, head)
        case Behind(), Checked(_, head):
            return _check_behind(state, head)
        case _:
            message = f"{seen!r} in {state!r}"
            raise TypeError(message)


def _without_redis(state: State) -> State:
    match state:
        case Following(known) | Doubting(known):
            return Doubting(known)
        case Behind():
            return state
        case _:
            return Starting()


def _position(head: Head) -> Position:
    return Position(head.incarnation, head.sequence)


def _begin(state: Starting, seen: HeadRead) -> Step:
    head = seen.head
    if head is None:
        return Starting(), (Waiting("there is no stream yet"),)
    if not head.complete:
        return Starting(), (Waiting("the stream is not complete yet"),)
    since = seen.now if state.unconfirmed_since is None else state.unconfirmed_since
    if head.run_id != seen.run_id and seen.now - since < UNCONFIRMED_SECONDS:
        return Starting(since), (Waiting("Redis was started anew, and discover has not looked at the stream since"),)
    return Scanning(head), ()


def _scanned(before: Head, known: Known, head: Head | None) -> Step:
    lost = _why_lost(known.position, head)
    if head is None or lost:
        return Starting(), (StartedOver(lost),)
    if head.sequence == before.sequence:
        return Following(known), (Updated(known),)
    return CatchingUp(known, head.sequence), ()


def _check(known: Known, ports: Mapping[str, str], head: Head | None) -> Step:
    if head is not None and _is_behind(head, known.position):
        return Behind(known, head.sequence), (Waiting(_LOST_ENTRIES),)
    lost = _why_lost(known.position, head)
    if lost:
        return Starting(), (StartedOver(lost),)
    if ports == known.ports:
        return Following(known), ()
    known = evolve(known, ports=ports)
    return Following(known), (Updated(known),)


def _check_behind(state: Behind, head: Head | None) -> Step:
    position = state.known.position
    if head is not None and head.incarnation == position.incarnation and head.sequence == state.sequence:
        return state, (Waiting(_LOST_ENTRIES),)
    # Also where nobody began a new incarnation: whoever went on writing there knows nothing of what we have applied.
    return Starting(), (StartedOver(_why_lost(position, head) or _LOST_ENTRIES),)


def _is_behind(head: Head, position: Position) -> bool:
    return head.incarnation == position.incarnation and head.sequence < position.sequence


def _why_lost(position: Position, head: Head | None) -> str:
    """Return why the stream with this head cannot be followed from this position, or nothing."""
    if head is None:
        return "the stream is gone"
    if head.incarnation != position.incarnation:
        return "another incarnation of the stream"
    if head.sequence < position.sequence:
        return _LOST_ENTRIES
    if head.first > position.sequence + 1:
        return "the stream was trimmed past the cursor"
    return ""


def _read(state: CatchingUp | Following, raws: tuple[RawEntry, ...]) -> Step:
    if not raws:
        if isinstance(state, Following):
            return Doubting(state.known), ()
        return Starting(), (StartedOver("the stream ends before its head"),)
    reading = _understand(state.known.position, raws)
    known = Known(
        evolve(state.known.position, sequence=reading.sequence),
        fold(state.known.catalog, (entry.fact for entry in reading.entries)),
        state.known.ports,
    )
    told: tuple[Told, ...] = (Skipped(reading.skipped),) if reading.skipped else ()
    following, news = _advance(state, known, reading)
    if isinstance(reading.end, StartedOver):
        return Starting(), (*told, *news, reading.end)
    if isinstance(reading.end, Froze):
        return Frozen(reading.end.reason), (*told, *news, reading.end)
    return following, (*told, *news)


@frozen
class _Reading:
    """What could be made of a batch: the entries understood, up to which sequence, and what ended it early."""

    entries: tuple[Entry, ...]
    sequence: int
    skipped: int
    end: StartedOver | Froze | None = None


def _understand(position: Position, raws: Iterable[RawEntry]) -> _Reading:
    entries: list[Entry] = []
    sequence, skipped = position.sequence, 0
    for raw in raws:
        if raw.fields.get("incarnation", position.incarnation) != position.incarnation:
            return _Reading(tuple(entries), sequence, skipped, StartedOver("an entry of another incarnation"))
        if raw.sequence != sequence + 1:
            return _Reading(tuple(entries), sequence, skipped, StartedOver("entries are missing"))
        try:
            entry = decode_entry(raw.sequence, raw.fields)
        except EntryError as error:
            at = Position(position.incarnation, sequence)
            return _Reading(tuple(entries), sequence, skipped, Froze(at, str(error)))
        sequence = raw.sequence
        if entry is None:
            skipped += 1
        else:
            entries.append(entry)
    return _Reading(tuple(entries), sequence, skipped)


def _advance(state: CatchingUp | Following, known: Known, reading: _Reading) -> Step:
    """Return the state with the batch applied, and the news if the catalog is complete."""
    if isinstance(state, CatchingUp):
        if known.position.sequence < state.target:
            return CatchingUp(known, state.target), ()
        # The ports were read before these entries: they are looked at again at once.
        return Doubting(known), (Updated(known, reading.entries),)
    if known.position == state.known.position:
        return state, ()
    moves = any(_may_move_ports(entry.fact) for entry in reading.entries)
    return (Doubting(known) if moves else Following(known)), (Updated(known, reading.entries),)


def _may_move_ports(fact: Fact) -> bool:
    """Whether some service may hold another port after this fact."""
    match fact:
        case InstanceAdded() | InstanceRemoved():
            return True
        case InstanceChanged(now, before):
            return _asks(now) != _asks(before)
        case _:
            return False


def _asks(instance: object) -> tuple[object, ...]:
    return tuple(getattr(instance, name) for name in ("port", "publish", "kind", "started", "address"))


def _freeze(state: State, reason: str) -> Step:
    position = state.known.position if isinstance(state, CatchingUp | Following | Doubting | Behind) else None
    return Frozen(reason), (Froze(position, reason),)
