"""A stream read whole, with what stands beside it, as it was at one moment. Whether it is legal, history.py judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

from mooring.catalog import Catalog
from mooring.errors import DocumentError, Unavailable
from mooring.redis.stream import Head, RawEntry, StreamReader

PAGE: Final = 500
ATTEMPTS: Final = 50


@frozen(kw_only=True)
class Whole:
    """All of a stream. `catalog` is None when it cannot be read; `unreadable` says why."""

    head: Head
    entries: tuple[RawEntry, ...]
    catalog: Catalog | None
    ports: Mapping[str, str]
    unreadable: str = ""


def read_whole(stream: StreamReader) -> Whole | None:
    """Read a stream and what stands beside it, or return None when there is none.

    A writer may be at work: what stands beside the entries is read again until nothing was written meanwhile.

    Raises:
        Unavailable: Redis does not answer, or there was never a moment's rest.
        DocumentError: the head cannot be read.
    """
    entries: list[RawEntry] = []
    head = stream.head()
    for _ in range(ATTEMPTS):
        if head is None:
            return None
        for page in pages(stream, entries[-1].sequence if entries else 0):
            entries += page
        catalog, unreadable = read_catalog(stream)
        ports = stream.ports()
        before, head = head, stream.head()
        if head is not None and _position(head) == _position(before):
            return Whole(head=head, entries=tuple(entries), catalog=catalog, ports=ports, unreadable=unreadable)
        # An entry never changes: only those that came have to be read, unless they follow others than before.
        if head is None or (head.incarnation, head.first) != (before.incarnation, before.first):
            entries.clear()
    raise Unavailable("the stream did not stand still while it was read")


def pages(stream: StreamReader, after: int) -> Iterator[tuple[RawEntry, ...]]:
    """Iterate over the entries after that sequence, to the end of the stream, a page at a time.

    Raises:
        Unavailable: Redis does not answer.
    """
    while page := stream.read(after, block_seconds=0, most=PAGE):
        yield page
        if page[-1].sequence == after:
            return  # a stranger's entry `<after>-1`: there is no way past it
        after = page[-1].sequence


def read_catalog(stream: StreamReader) -> tuple[Catalog | None, str]:
    """Return the catalog, or None and why it cannot be read.

    Raises:
        Unavailable: Redis does not answer.
    """
    try:
        return stream.catalog(), ""
    except DocumentError as error:
        return None, str(error)


def _position(head: Head) -> tuple[str, int, int, int]:
    return head.incarnation, head.epoch, head.first, head.sequence
