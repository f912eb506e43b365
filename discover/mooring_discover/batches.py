"""News become batches: entries with contiguous sequences, at most so many in one atomic step. Pure.

`Written` is what is known to stand in Redis. It advances only by a batch that is known to be appended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import evolve, field, frozen

from mooring.catalog import Catalog, fold
from mooring.entries import Entry
from mooring.redis.stream import Batch
from mooring_discover.differences import News

# An atomic step keeps everybody else in Redis waiting; 200 entries take about 2 ms there.
MOST_ENTRIES = 200


@frozen(kw_only=True)
class Written:
    """The stream as it stands: under which incarnation and epoch, up to which sequence, and what it folds to."""

    incarnation: str
    epoch: int
    sequence: int = 0
    first: int = 1
    complete: bool = False
    catalog: Catalog = field(factory=Catalog)
    ports: Mapping[str, str] = field(factory=dict)
    sources: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class Wanted:
    """What is to stand in Redis, beside the news: the ports, what the head says of sources, whether all is there."""

    ports: Mapping[str, str]
    sources: Mapping[str, str]
    complete: bool


def batches(written: Written, news: Sequence[News], wanted: Wanted, now: float) -> Iterator[Batch]:
    """Yield the batches that bring the stream from what is written to what is wanted; none when nothing is to be done.

    Only the last one says what the head is to say: if we crash before it, the head claims nothing that is not there.
    """
    if not news and not _is_needed(written, wanted):
        return
    for start in range(0, max(1, len(news)), MOST_ENTRIES):
        part = news[start : start + MOST_ENTRIES]
        is_last = start + MOST_ENTRIES >= len(news)
        after = written.sequence + start
        yield Batch(
            incarnation=written.incarnation,
            epoch=written.epoch,
            after=after,
            entries=tuple(_entry(written, after + offset, one, now) for offset, one in enumerate(part, 1)),
            ports=wanted.ports if is_last else written.ports,
            sources=wanted.sources if is_last else {},
            complete=written.complete or (is_last and wanted.complete),
        )


def advanced(written: Written, batch: Batch) -> Written:
    """Return what is written once a batch is."""
    return evolve(
        written,
        sequence=batch.after + len(batch.entries),
        complete=written.complete or batch.complete,
        catalog=fold(written.catalog, (entry.fact for entry in batch.entries)) if batch.entries else written.catalog,
        ports=batch.ports,
        sources={**written.sources, **batch.sources},
    )


def trimmed_to(written: Written, length: int) -> int | None:
    """Return the first sequence to keep when the stream is longer than `length`; None while that is not worth it."""
    present = written.sequence - written.first + 1
    return written.sequence - length + 1 if present > length + max(1, length // 10) else None


def _entry(written: Written, sequence: int, news: News, now: float) -> Entry:
    return Entry(
        sequence=sequence,
        incarnation=written.incarnation,
        epoch=written.epoch,
        at=news.at,
        fact=news.fact,
        source=news.source,
        revision=news.revision,
        seen_stream=now,
    )


def _is_needed(written: Written, wanted: Wanted) -> bool:
    # A revision that moved on without a fact is none of our business: it comes along with the next one.
    states = {name: value for name, value in wanted.sources.items() if name.endswith(":state")}
    changed = any(written.sources.get(name) != value for name, value in states.items())
    return changed or written.ports != wanted.ports or (wanted.complete and not written.complete)
