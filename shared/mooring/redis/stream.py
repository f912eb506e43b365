"""The seam to Redis: the stream of facts and the catalog beside it, as values and two small protocols.

Two providers, held to one contract (tests/contract/test_stream.py): `client.RedisStream` over a real Redis or Valkey,
and `memory.MemoryStream`, its twin in this process.

Every method raises `Unavailable` when Redis does not answer, and is never repeated by the library below: whether
another attempt is right is decided by whoever knows what the first one did.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

from attrs import field, frozen

from mooring.catalog import Catalog
from mooring.entries import Entry


@frozen(kw_only=True)
class Head:
    """Where the stream stands (the hash `mooring:head`).

    `first` is the oldest sequence kept, `sequence` the newest (0: nothing written yet). `complete` says that every
    source was listed and written in this incarnation. `run_id` is that of the Redis that the incarnation began in.
    `sources` maps `<name>:revision` and `<name>:state` to their values.
    """

    incarnation: str
    epoch: int
    sequence: int = 0
    first: int = 1
    complete: bool = False
    run_id: str = ""
    sources: Mapping[str, str] = field(factory=dict)


@frozen
class RawEntry:
    """An entry as it was read: its sequence, and its fields not yet decoded."""

    sequence: int
    fields: Mapping[str, str]


@frozen
class Lead:
    """Who leads, by the name that it took the lead under, and the epoch of that lead."""

    leader: str
    epoch: int


@frozen(kw_only=True)
class Batch:
    """What one atomic step writes: entries that follow `after` without a gap, and all that goes with them.

    The entries may be none: then only ports, sources and completeness change. `ports` is the whole table; `sources`
    are those that changed, the others stay; `complete` once said is true for the rest of the incarnation.
    """

    incarnation: str
    epoch: int
    after: int
    entries: tuple[Entry, ...] = ()
    ports: Mapping[str, str] = field(factory=dict)
    sources: Mapping[str, str] = field(factory=dict)
    complete: bool = False


@frozen
class Appended:
    """The batch is in the stream, now or since an attempt whose answer was lost."""

    sequence: int


@frozen
class Overtaken:
    """Nothing was written: the head is not what the batch follows. `head` is None when no stream is there."""

    head: Head | None


Outcome: TypeAlias = Appended | Overtaken


class StreamReader(Protocol):
    """What a proxy, or a person, reads."""

    def head(self) -> Head | None:
        """Return where the stream stands, or None when there is no stream: never begun, wiped, or deleted."""

    def run_id(self) -> str:
        """Return the id of this life of the Redis server."""

    def catalog(self) -> Catalog:
        """Return the catalog that stands beside the stream: instances, bindings and settings.

        It is scanned, not read at one moment: it holds at least all that the head read *before* the scan holds.

        Raises:
            DocumentError: a value in it cannot be read.
        """

    def ports(self) -> Mapping[str, str]:
        """Return `<port>/<proto>` → service."""

    def read(self, after: int, *, block_seconds: float, most: int = 500) -> tuple[RawEntry, ...]:
        """Return the entries after that sequence, waiting up to `block_seconds` for a first one (0: not at all).

        Neither a trimmed nor a replaced stream shows here: compare the first sequence and the head.
        """

    def tail(self, most: int) -> tuple[RawEntry, ...]:
        """Return the newest entries, oldest first."""

    def announce(self, proxy_id: str, fields: Mapping[str, str], *, expiry_seconds: int) -> None:
        """Say what a proxy has applied, until the expiry; it replaces what the same proxy said before."""

    def leader(self) -> Lead | None:
        """Return who leads now, None when nobody does: the lead was given up, or expired."""

    def announced(self) -> Mapping[str, Mapping[str, str]]:
        """Return what the proxies have announced, by proxy id; one that fell silent is missing."""

    def close(self) -> None:
        """Let go of connections; a blocked `read` in another thread ends with `Unavailable`."""


class StreamWriter(StreamReader, Protocol):
    """What discover writes, besides."""

    def lead(self, leader: str, *, expiry_seconds: float) -> int | None:
        """Take or renew the lead in one atomic step and return its epoch; None while another leads.

        A lead that is renewed keeps its epoch; one that is taken gets the next, written to the head, so that from
        that moment on every batch of an earlier epoch is refused. So does ours when the head lost it: compare.
        """

    def resign(self, leader: str) -> None:
        """Give the lead up, if it is ours, so that a standby need not wait for the expiry."""

    def begin(self, *, incarnation: str, epoch: int, run_id: str) -> Head:
        """Empty the stream and all beside it and open a new incarnation, with sequence 0 and not complete.

        Raises:
            Fenced: the head holds another epoch; ours is not the lead any more, ask for it again.
        """

    def append(self, batch: Batch) -> Outcome:
        """Write a batch in one atomic step, if incarnation, epoch and last sequence are what it says.

        A batch whose first attempt succeeded, but whose answer was lost, is recognised and counts as appended.

        Raises:
            ValueError: a bug of ours: too many entries (`step.MOST_ENTRIES`), or they do not follow `after`.
        """

    def trim(self, first: int) -> None:
        """Drop the entries before that sequence and note it in the head. The newest entry always stays."""
