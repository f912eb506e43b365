"""The twin of Redis in this process: same seam, same contract, and every failure on request.

It keeps what Redis keeps, as text, and lives through the codec as Redis does, so that a test on the twin tests that
too. A `MemoryStream` is one connection; `another()` is a second one to the same server. Everything that a test can do
to a Redis is done to the server, and so to all its connections: `wipe`, `fail`, `recover`, `lose_answer`, `intrude`, …

Time for the expiries comes from the given clock. Only a blocking `read` waits in real time.
"""

from __future__ import annotations

import copy
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter

from attrs import evolve

from mooring.catalog import Catalog
from mooring.errors import Fenced, Unavailable
from mooring.redis.memory_server import Clock, Contents, Expiring, HeldLead, Replica, Server, carry_out, empty_tables
from mooring.redis.step import read_catalog, step_of
from mooring.redis.stream import Appended, Batch, Head, Lead, Outcome, Overtaken, RawEntry


class MemoryStream:
    """A connection to a Redis that is not there. Safe to use from several threads."""

    def __init__(self, clock: Clock = time.monotonic, *, server: Server | None = None) -> None:
        self._server = server or Server(clock)
        self._closed = False

    def another(self) -> MemoryStream:
        """Return a further connection to the same server, with a `close` of its own."""
        return MemoryStream(server=self._server)

    # -- what a test does to the server -------------------------------------------------------------------------------

    def wipe(self, *, is_restarted: bool = True) -> None:
        """Empty the server, as a restart without its data does (another run id), or else as FLUSHALL (the same).

        A read that is blocked goes on waiting, as in Redis when the keys are deleted: it sees nothing until the
        refilled stream has passed its cursor.
        """
        with self._server.changed:
            self._server.life += is_restarted
            self._server.contents = Contents(run_id=f"run-{self._server.life}")

    def delete_stream(self) -> None:
        """Delete the stream alone, as DEL does; what stands beside it stays."""
        with self._server.changed:
            self._server.contents.entries = []

    def replicate(self) -> Replica:
        """Return a replica that has everything until now, and hears of nothing later."""
        with self._server.changed:
            return Replica(copy.deepcopy(self._server.contents))

    def fail_over(self, replica: Replica) -> None:
        """Let a replica be the server from now on: another run id, and all that it had not heard of is lost."""
        with self._server.changed:
            self._server.life += 1
            self._server.contents = copy.deepcopy(replica.contents)
            self._server.contents.run_id = f"run-{self._server.life}"

    def fail(self, reason: str = "the connection is refused") -> None:
        """Let every call raise `Unavailable` from now on, a blocked read at once."""
        with self._server.changed:
            self._server.failure = reason
            self._server.changed.notify_all()

    def recover(self) -> None:
        """Answer again."""
        with self._server.changed:
            self._server.failure = ""

    def lose_answer(self, times: int = 1) -> None:
        """Let the next writes happen but raise `Unavailable`, as when the connection breaks before the answer."""
        with self._server.changed:
            self._server.answers_to_lose = times

    def scribble(self, fields: Mapping[str, str]) -> None:
        """Append an entry as a stranger's XADD does: far behind the last one, and unknown to the head."""
        with self._server.changed:
            last = self._server.contents.last_sequence
            self._server.contents.entries.append(RawEntry(last + 10**12, dict(fields)))
            self._server.changed.notify_all()

    def intrude(self, fields: Mapping[str, str]) -> int:
        """Append an entry that no discover of ours wrote, in the right place; return its sequence."""
        with self._server.changed:
            head = self._server.contents.head
            if head is None:
                raise ValueError("there is no stream to intrude on: call begin first")
            self._server.contents.entries.append(RawEntry(head.sequence + 1, dict(fields)))
            self._server.contents.head = evolve(head, sequence=head.sequence + 1)
            self._server.changed.notify_all()
            return head.sequence + 1

    # -- StreamReader -------------------------------------------------------------------------------------------------

    def head(self) -> Head | None:
        """See `StreamReader`."""
        with self._asked() as contents:
            head = contents.head
            return None if head is not None and head.sequence and not contents.entries else head

    def run_id(self) -> str:
        """See `StreamReader`."""
        with self._asked() as contents:
            return contents.run_id

    def catalog(self) -> Catalog:
        """See `StreamReader`."""
        with self._asked() as contents:
            tables = {table: dict(fields) for table, fields in contents.tables.items()}
        return read_catalog(tables)

    def ports(self) -> Mapping[str, str]:
        """See `StreamReader`."""
        with self._asked() as contents:
            return dict(contents.ports)

    def read(self, after: int, *, block_seconds: float, most: int = 500) -> tuple[RawEntry, ...]:
        """See `StreamReader`."""
        with self._asked():
            self._server.changed.wait_for(lambda: self._refusal() or self._after(after), max(0.0, block_seconds))
            self._refuse()
            return self._after(after)[:most]

    def tail(self, most: int) -> tuple[RawEntry, ...]:
        """See `StreamReader`."""
        with self._asked() as contents:
            return tuple(contents.entries[-most:])

    def announce(self, proxy_id: str, fields: Mapping[str, str], *, expiry_seconds: int) -> None:
        """See `StreamReader`."""
        with self._written() as contents:
            contents.announced[proxy_id] = Expiring(dict(fields), self._server.clock() + expiry_seconds)

    def leader(self) -> Lead | None:
        """See `StreamReader`."""
        with self._asked() as contents:
            held = contents.lead
            return Lead(held.leader, held.epoch) if held and self._server.clock() < held.gone_at else None

    def announced(self) -> Mapping[str, Mapping[str, str]]:
        """See `StreamReader`."""
        with self._asked() as contents:
            now = self._server.clock()
            return {name: said.fields for name, said in contents.announced.items() if now < said.gone_at}

    def close(self) -> None:
        """See `StreamReader`."""
        with self._server.changed:
            self._closed = True
            self._server.changed.notify_all()

    # -- StreamWriter -------------------------------------------------------------------------------------------------

    def lead(self, leader: str, *, expiry_seconds: float) -> int | None:
        """See `StreamWriter`."""
        with self._written() as contents:
            now = self._server.clock()
            held = contents.lead if contents.lead and now < contents.lead.gone_at else None
            if held is not None and held.leader != leader:
                return None
            epoch = contents.epoch
            if held is None or held.epoch != epoch:
                epoch = max(epoch, held.epoch if held else 0) + 1
            contents.lead = HeldLead(leader, epoch, now + expiry_seconds)
            contents.epoch = epoch
            contents.head = evolve(contents.head, epoch=epoch) if contents.head else None
            return epoch

    def resign(self, leader: str) -> None:
        """See `StreamWriter`."""
        with self._written() as contents:
            if contents.lead and contents.lead.leader == leader:
                contents.lead = None

    def begin(self, *, incarnation: str, epoch: int, run_id: str) -> Head:
        """See `StreamWriter`."""
        with self._written() as contents:
            if contents.epoch not in (0, epoch):
                raise Fenced(f"the head holds epoch {contents.epoch}, ours is {epoch}")
            contents.head = Head(incarnation=incarnation, epoch=epoch, run_id=run_id)
            contents.epoch = epoch
            contents.entries, contents.tables, contents.ports = [], empty_tables(), {}
            return contents.head

    def append(self, batch: Batch) -> Outcome:
        """See `StreamWriter`."""
        step = step_of(batch)
        with self._written() as contents:
            head = contents.head
            if head is None or head.sequence != contents.last_sequence:
                return Overtaken(None)  # the stream is not the one that the head is about
            if (head.incarnation, head.epoch) != (batch.incarnation, batch.epoch):
                return Overtaken(head)
            end = batch.after + len(step.entries)
            if step.entries and head.sequence == end and contents.entries[-1:] == [step.entries[-1]]:
                return Appended(end)  # this very batch, after a lost answer
            if head.sequence != batch.after:
                return Overtaken(head)
            carry_out(contents, head, batch, step)
            return Appended(end)

    def trim(self, first: int) -> None:
        """See `StreamWriter`."""
        with self._written() as contents:
            head = contents.head
            if head is not None and head.first < first <= head.sequence:
                contents.head = evolve(head, first=first)
                contents.entries = [entry for entry in contents.entries if entry.sequence >= first]

    # -- the server's side of a call ----------------------------------------------------------------------------------

    @contextmanager
    def _asked(self) -> Iterator[Contents]:
        with self._server.changed:
            self._refuse()
            yield self._server.contents

    @contextmanager
    def _written(self) -> Iterator[Contents]:
        with self._asked() as contents:
            yield contents
            self._server.changed.notify_all()
            if self._server.answers_to_lose:
                self._server.answers_to_lose -= 1
                raise Unavailable("Redis: the connection broke before the answer came")

    def _refusal(self) -> str:
        return "closed" if self._closed else self._server.failure

    def _refuse(self) -> None:
        if self._refusal():
            raise Unavailable(f"Redis: {self._refusal()}")

    def _after(self, after: int) -> tuple[RawEntry, ...]:
        entries = self._server.contents.entries
        return tuple(entries[bisect_right(entries, after, key=attrgetter("sequence")) :])
