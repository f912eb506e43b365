"""A stream that a test writes, and the proxies that follow it, life after life, each with the state that was stored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from mooring.catalog import Catalog
from mooring.facts import Fact
from mooring.keys import RedisNames
from mooring.model import Instance
from mooring.redis.client import RedisStream
from mooring.redis.stream import Appended, Head
from mooring_proxy import state_dir
from mooring_proxy.following import Known, Position
from mooring_proxy.presence import Presence, presence
from mooring_proxy.proxy import Standing
from tests.chaos.commands import struck_stream
from tests.chaos.crashing import Life, Trap
from tests.chaos.seams import READER
from tests.chaos.sites import empty
from tests.chaos.tables import Proxy
from tests.servers import RedisServer
from tests.streams import batch_of, begun

MOST_LOOKS = 60
PROXY = "h1:1936"


@frozen
class Ending:
    """What the proxy knows when all is quiet, what of it is stored, and what it has told of itself."""

    known: Known
    stored: Known | None
    announced: Mapping[str, str]


class Station:
    """One stream in a namespace of its own, and the proxy that follows it, in whose table one instance always is."""

    def __init__(self, server: RedisServer, namespace: str, directory: Path, trap: Trap, always: Instance) -> None:
        self.asked = Trap()
        self._server = server
        self._names = RedisNames(namespace)
        self._directory = directory
        self._trap = trap
        self._stream = RedisStream.from_url(server.url, self._names)
        self._streams = [self._stream]
        self._truth: dict[Position, Catalog] = {}
        self._lives = 0
        self._has_stored = False
        self._always = frozenset({always.key})
        directory.mkdir()
        self._start()

    # -- what discover does

    def begin(self, *facts: Fact, ports: Mapping[str, str]) -> None:
        """Open another incarnation with these facts, of which a proxy may make a table only at the end."""
        self._lives += 1
        epoch = self._stream.lead("writer", expiry_seconds=600)
        assert epoch is not None
        begun(self._stream, f"life-{self._lives}", epoch)
        self.write(*facts, ports=ports, complete=True)

    def write(self, *facts: Fact, ports: Mapping[str, str], complete: bool = False) -> None:
        """Append facts, with the table of ports that goes with them, and let the proxy look."""
        head = self._head()
        batch = batch_of(head, *facts, ports=ports, complete=complete)
        assert self._stream.append(batch) == Appended(head.sequence + len(facts))
        self._truth[Position(head.incarnation, head.sequence + len(facts))] = self._stream.catalog()
        self._look_until_caught_up()

    def trim_unseen(self, *facts: Fact, ports: Mapping[str, str]) -> None:
        """Append facts one by one and drop all but the last before the proxy looks."""
        for fact in facts:
            head = self._head()
            self._stream.append(batch_of(head, fact, ports=ports))
        self._stream.trim(self._head().sequence)
        self.write(ports=ports)

    def empty(self) -> None:
        """Let Redis forget everything."""
        empty(self._server, self._names.namespace)

    def _head(self) -> Head:
        head = self._stream.head()
        assert head is not None
        return head

    # -- what the proxy does

    def _start(self) -> None:
        """Begin a life of the proxy: what an earlier one stored is there, whole, and was true when it was stored."""
        self._life = Life()
        stream = struck_stream(self._server.url, self._names, self._trap, self._life)
        reader = self.asked.guard(stream, READER, self._life)
        self._streams.append(stream)
        self.stored = state_dir.load(self._directory)
        assert (self.stored is not None) == self._has_stored, "what was stored cannot be read"
        if self.stored is not None:
            self._is_true(self.stored)
        self.proxy = Proxy(reader, self._keep)
        self.proxy.table.always = self._always
        self._presence = Presence(reader, PROXY, self._fields)

    def _keep(self, known: Known) -> None:
        self._is_true(known)
        state_dir.save(self._directory, known)
        self._has_stored = True

    def _is_true(self, known: Known) -> None:
        """Check that a catalog is what stood beside the stream at the very position that it names."""
        assert known.catalog == self._truth[known.position], f"the catalog is not that of {known.position}"

    def _fields(self) -> Mapping[str, str]:
        known = self.proxy.table.known
        standing = Standing(complete=known is not None, position=known.position if known else None)
        return presence(standing, host="h1", driver="relay", connections=0)

    def _look_until_caught_up(self) -> None:
        for _ in range(MOST_LOOKS):
            if self._life.is_over:
                self._start()
            self.proxy.looks()
            self._presence.turn()
            if self.proxy.is_at(self._stream) and self._has_announced():
                return
        raise AssertionError(f"the proxy does not catch up: {self.proxy.table.known}, {self.proxy.table.problems}")

    def _has_announced(self) -> bool:
        said = self._stream.announced().get(PROXY, {})
        return (
            said.get("sequence") == str(self._head().sequence) and said.get("incarnation") == self._head().incarnation
        )

    def ending(self) -> Ending:
        """Return what the proxy knows, what is stored and what is announced."""
        known = self.proxy.table.known
        assert known is not None
        assert not self.proxy.table.problems, self.proxy.table.problems
        return Ending(known, state_dir.load(self._directory), self._stream.announced()[PROXY])

    def close(self) -> None:
        """Let go of everything."""
        self.empty()
        for stream in self._streams:
            stream.close()
