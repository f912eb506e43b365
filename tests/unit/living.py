"""Discovers and proxies without their threads: each takes its turns when a test tells it to, and dies when told to."""

from __future__ import annotations

from typing import Any, Final, Protocol, cast

from mooring.redis.memory import MemoryStream
from mooring.redis.stream import RawEntry, StreamReader, StreamWriter
from mooring_discover.leadership import Leadership
from mooring_discover.observations import Listed, Observation
from mooring_discover.owner import Clock, Owner
from mooring_discover.publisher import Publisher
from mooring_discover.suspects import Policy
from mooring_proxy.following import Froze, Known, Updated
from mooring_proxy.stored_table import decode_known, encode_known
from mooring_proxy.stream import StreamFollower
from tests.fates import Fated, Killed

SOURCE: Final = "etcd://registry/services"
LEAD_SECONDS: Final = 5.0
HOLD_SECONDS: Final = 10.0
KEPT_ENTRIES: Final = 8  # so few that a proxy which looks away for a moment misses some
PAGE: Final = 2  # and so few at a time that it stops in the middle of a batch


class Surroundings(Protocol):
    """What they live in: a Redis, a registry, time, and somebody who notes what is written."""

    redis: MemoryStream

    def time(self) -> float:
        """Return the present time."""

    def new_incarnation(self) -> str:
        """Return a name that no incarnation had."""

    def listing(self) -> Listed:
        """Return all that the registry holds."""

    def happen(self, what: str) -> None:
        """Let something happen."""

    def record(self) -> None:
        """Note what stands in the stream now."""


class Discover:
    """One discover: its owner takes turns when it is told to, and dies when it is told to."""

    def __init__(self, name: str, machine: Surroundings) -> None:
        self.name = name
        self.lives = 0
        self.inbox: list[Observation] = []
        self.connection = Fated(machine.redis.another(), machine.happen, machine.record)
        self._machine = machine
        self.restart()

    def restart(self) -> None:
        """Be killed if alive, and start knowing nothing; its lead is still its own until it expires."""
        self.lives += 1
        machine, stream = self._machine, cast("StreamWriter", self.connection)
        publisher = Publisher(stream, new_incarnation=machine.new_incarnation, stream_length=KEPT_ENTRIES)
        self.leadership = Leadership(stream, f"{self.name}-{self.lives}", expiry_seconds=LEAD_SECONDS)
        clock = Clock(machine.time, machine.time, lambda: 0.5)
        self.owner = Owner([SOURCE], publisher, self.leadership, Policy(hold_seconds=HOLD_SECONDS), clock)
        self.inbox = [machine.listing()]

    def turn(self, fates: list[str]) -> None:
        """Take a turn with what was heard since the last one."""
        self.connection.fates.extend(fates)
        inbox, self.inbox = self.inbox, []
        try:
            self.owner.turn(inbox)
        except Killed:
            self.restart()
        self.connection.fates.clear()

    def strive(self, fates: list[str]) -> None:
        """Ask for the lead, as its thread does all the time unless the process is paused."""
        self.connection.fates.extend(fates)
        try:
            self.leadership.ask()
        except Killed:
            self.restart()
        self.connection.fates.clear()


class Pages:
    """Reads few entries at a time."""

    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the stream has under that name
        """Return what the stream has."""
        return getattr(self._stream, name)

    def read(self, after: int, *, block_seconds: float, most: int = PAGE) -> tuple[RawEntry, ...]:
        """See `StreamReader`."""
        return self._stream.read(after, block_seconds=block_seconds, most=min(most, PAGE))


class Proxy:
    """One proxy, as far as it follows: what it was told last, which it also stores."""

    def __init__(self, machine: Surroundings) -> None:
        self.connection = Fated(Pages(machine.redis.another()), machine.happen)
        self.updates: list[Updated] = []
        self.stored = ""
        self._machine = machine
        self.restart(keeps_table=False)

    def restart(self, *, keeps_table: bool) -> None:
        """Be killed if alive, and start with the stored table or with none."""
        self.table: Known | None = decode_known(self.stored) if self.stored and keeps_table else None
        self.frozen: Froze | None = None
        stream = cast("StreamReader", self.connection)
        self.follower = StreamFollower(
            stream,
            self,
            clock=self._machine.time,
            jitter=lambda: 0.0,
            block_seconds=0.0,
            pause=lambda _, __: None,
        )

    def follow(self, turns: int, fates: list[str]) -> None:
        """Look at the stream so many times."""
        self.connection.fates.extend(fates)
        try:
            for _ in range(turns):
                self.follower.turn()
        except Killed:
            self.restart(keeps_table=True)
        self.connection.fates.clear()

    def updated(self, update: Updated) -> None:
        """See `Audience`."""
        self.updates.append(update)
        self.table, self.stored = update.known, encode_known(update.known)

    def froze(self, froze: Froze) -> None:
        """See `Audience`."""
        self.frozen = froze

    def redis_answers(self, answers: bool) -> None:
        """See `Audience`."""
