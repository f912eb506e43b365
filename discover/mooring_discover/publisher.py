"""The writing end: knows what stands in Redis, and appends batches to it in atomic steps.

What is written advances only by an `Appended`. After anything else there is *doubt*, and the head is read again before
the next append:

- another run id than the head's, or no head, or an entry that the head does not know, or a head behind what is written:
  the stream is gone, lost its last entries or is no longer ours alone, a new incarnation has to be begun;
- the head is where we left it: nothing happened, a batch without an answer was not written;
- anything else: that batch was written after all, or somebody else wrote. The catalog is read anew.

If a batch that counted as not written arrives late all the same, the next one does not follow the head any more, and is
overtaken: doubt again. So no batch is ever sent twice, and what it said is not said when it is no longer true.

Decides nothing about instances. Belongs to the owner's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from attrs import evolve, frozen

from mooring.catalog import Catalog
from mooring.errors import Fenced, InvalidInput
from mooring.facts import EpochBegan
from mooring.redis.stream import Appended, Batch, Head, StreamWriter
from mooring.telemetry import get_logger
from mooring_discover.batches import Written, advanced, trimmed_to
from mooring_discover.metrics import APPENDS, FACTS, INCARNATIONS, SEQUENCE

log = get_logger()


@frozen
class Unchanged:
    """The stream is as we left it."""


@frozen
class Reread:
    """The stream is ours to continue; what stands there was read anew."""

    written: Written


@frozen
class Absent:
    """There is no stream to continue; a new incarnation has to be begun in the Redis of this run id."""

    run_id: str


Standing: TypeAlias = Unchanged | Reread | Absent


class Publisher:
    """Appends to one stream on behalf of a leader.

    `written` is None while there is nothing to continue. `epoch_is_open`: the epoch's first entry is written.
    """

    def __init__(
        self,
        stream: StreamWriter,
        *,
        new_incarnation: Callable[[], str],
        stream_length: int,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare. `new_incarnation` returns a random name; `progress` is called after each batch of a long row."""
        self.written: Written | None = None
        self._stream = stream
        self._new_incarnation = new_incarnation
        self._stream_length = stream_length
        self._progress = progress
        self._doubt = True
        self._unanswered: Batch | None = None
        self.epoch_is_open = False

    def may_hold(self) -> tuple[Catalog, ...]:
        """Return the catalogs that may stand in Redis: what is written, and that with a batch without an answer."""
        if self.written is None:
            return ()
        if self._unanswered is None:
            return (self.written.catalog,)
        return (self.written.catalog, advanced(self.written, self._unanswered).catalog)

    def doubt(self) -> None:
        """Look at the head again before the next append."""
        self._doubt = True

    def is_certain(self, epoch: int) -> bool:
        """Whether it is known what stands in the stream, and that it stands under this epoch."""
        return not self._doubt and self.written is not None and self.written.epoch == epoch

    def look(self, epoch: int) -> Standing:
        """Find out where the stream stands.

        Raises:
            Unavailable: Redis does not answer.
            Fenced: another leads by now.
        """
        # In this order: should a replica that fell behind take over in between, the head is of another run id. The
        # other way round we would go on in the replica, and write anew what was written already.
        head = self._head()
        run_id = self._stream.run_id()
        if head is None or head.run_id != run_id:
            self.written, self._unanswered = None, None
            return Absent(run_id)
        if head.epoch != epoch:
            raise Fenced(f"the head holds epoch {head.epoch}, ours is {epoch}")
        standing = self._compare(head)
        if not isinstance(standing, Absent):
            self._doubt, self._unanswered = False, None
        return standing

    def begin(self, epoch: int, run_id: str) -> None:
        """Open a new incarnation; until it is complete, proxies keep what they have.

        Raises:
            Unavailable: Redis does not answer; whether it was opened shows when the head is read next.
            Fenced: another leads by now.
        """
        incarnation = self._new_incarnation()
        self._stream.begin(incarnation=incarnation, epoch=epoch, run_id=run_id)
        log.info("stream begun anew", incarnation=incarnation, epoch=epoch)
        INCARNATIONS.inc()
        self.written = Written(incarnation=incarnation, epoch=epoch)
        self._doubt = self.epoch_is_open = False

    def append(self, batches: Iterable[Batch]) -> bool:
        """Append batches in order; False when one was overtaken: what stands in the stream is to be looked at again.

        Raises:
            Unavailable: Redis does not answer. Whether it has the batch in question is found out by `look`.
        """
        for batch in batches:
            self._doubt, self._unanswered = True, batch
            outcome = self._stream.append(batch)
            self._unanswered = None
            if not isinstance(outcome, Appended):
                APPENDS.labels("overtaken").inc()
                log.warning("overtaken: the stream is not where we left it", epoch=batch.epoch, head=str(outcome.head))
                return False
            self._note(batch)
            self._progress()
        return True

    def trim(self) -> None:
        """Cut the stream's tail when it is longer than it should be.

        Raises:
            Unavailable: Redis does not answer; it is trimmed another time.
        """
        if self.written is None:
            return
        first = trimmed_to(self.written, self._stream_length)
        if first is not None:
            self._stream.trim(first)
            self.written = evolve(self.written, first=first)

    def _head(self) -> Head | None:
        try:
            return self._stream.head()
        except InvalidInput as error:
            log.warning("the stream's head cannot be read, it is begun anew", reason=str(error))
            return None

    def _compare(self, head: Head) -> Standing:
        newest = self._stream.tail(1)
        if newest and newest[-1].sequence != head.sequence:
            log.warning("somebody else wrote to the stream, it is begun anew", entry=newest[-1].sequence)
            return Absent(head.run_id)
        written = self.written
        if written and written.incarnation == head.incarnation and written.sequence > head.sequence:
            # A replica that lacked them took over, and whoever runs that Redis hides the run id.
            log.warning("the stream lost its last entries, it is begun anew", sequence=head.sequence)
            return Absent(head.run_id)
        ours = written and (written.incarnation, written.epoch, written.sequence)
        if ours == (head.incarnation, head.epoch, head.sequence):
            return Unchanged()
        try:
            catalog = self._stream.catalog()
        except InvalidInput as error:
            log.warning("the written catalog cannot be read, the stream is begun anew", reason=str(error))
            return Absent(head.run_id)
        self.written = Written(
            incarnation=head.incarnation,
            epoch=head.epoch,
            sequence=head.sequence,
            first=head.first,
            complete=head.complete,
            catalog=catalog,
            ports=self._stream.ports(),
            sources=head.sources,
        )
        # Every epoch opens with its own entry, so any entry of ours says that it stands there.
        self.epoch_is_open = any(entry.fields.get("epoch") == str(head.epoch) for entry in newest)
        log.info("stream taken up", incarnation=head.incarnation, epoch=head.epoch, sequence=head.sequence)
        return Reread(self.written)

    def _note(self, batch: Batch) -> None:
        if self.written is not None:
            self.written = advanced(self.written, batch)
        self._doubt = False
        APPENDS.labels("appended").inc()
        SEQUENCE.set(batch.after + len(batch.entries))
        for entry in batch.entries:
            FACTS.labels(entry.fact.type).inc()
            self.epoch_is_open = self.epoch_is_open or isinstance(entry.fact, EpochBegan)
