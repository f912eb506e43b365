"""The stream in a real Redis (or Valkey), 6.2 or later: each write is one script, and a script is atomic.

The scripts lie beside this module; what they are to write was worked out in `step`. Safe to use from several threads:
a blocking `read` keeps one connection to itself, the others are shared.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from threading import Event
from typing import Any, Final, cast

from redis import Redis
from redis.commands.core import Script

from mooring.catalog import Catalog
from mooring.errors import Fenced, Unavailable
from mooring.keys import RedisNames
from mooring.redis.connection import BLOCK_MOST_SECONDS, Connected, connect, in_our_words
from mooring.redis.step import SOURCE_PREFIX, Step, Table, head_of, read_catalog, step_of
from mooring.redis.stream import Appended, Batch, Head, Lead, Outcome, Overtaken, RawEntry

_SCAN_COUNT: Final = 1000

# What the next append need not write again: the table of ports that the last one left, in this incarnation and epoch.
_Written = tuple[str, int, Mapping[str, str]]


class RedisStream:
    """The stream of one namespace in one Redis; implements `StreamWriter`."""

    def __init__(self, connected: Connected, names: RedisNames) -> None:
        self._connected = connected
        self._client = connected.client
        self._names = names
        self._where = connected.shown
        self._closed = Event()
        self._ports_written: _Written | None = None
        self._append, self._lead, self._resign, self._begin, self._trim = (
            _script(connected.client, name) for name in ("append", "lead", "resign", "begin", "trim")
        )

    @classmethod
    def from_url(cls, url: str, names: RedisNames | None = None) -> RedisStream:
        """Return a stream that connects when it is first asked something.

        Raises:
            SettingsError: the address cannot be understood.
        """
        return cls(connect(url), names or RedisNames())

    # -- StreamReader -------------------------------------------------------------------------------------------------

    def head(self) -> Head | None:
        """See `StreamReader`."""
        # Not in a transaction: a Redis that is full refuses those, and reading has to go on.
        while True:
            with self._asking():
                fields = self._client.hgetall(self._names.head)
                exists = self._client.exists(self._names.events)
                again = fields if exists else self._client.hgetall(self._names.head)
            head = head_of(cast("dict[str, str]", fields))
            if exists or head is None or head.sequence == 0:
                return head
            if again == fields:
                return None

    def run_id(self) -> str:
        """See `StreamReader`; empty where the provider of a managed Redis hides it."""
        with self._asking():
            return str(self._client.info("server").get("run_id", ""))

    def catalog(self) -> Catalog:
        """See `StreamReader`."""
        keys = dict(zip(Table, self._tables(), strict=True))
        with self._asking():
            # A field may come twice; the later one is the newer.
            tables = {table: dict(self._client.hscan_iter(key, count=_SCAN_COUNT)) for table, key in keys.items()}
        return read_catalog(tables)

    def ports(self) -> Mapping[str, str]:
        """See `StreamReader`."""
        with self._asking():
            return cast("dict[str, str]", self._client.hgetall(self._names.ports))

    def read(self, after: int, *, block_seconds: float, most: int = 500) -> tuple[RawEntry, ...]:
        """See `StreamReader`."""
        until = time.monotonic() + block_seconds
        while True:
            entries = self._read_once(after, min(until - time.monotonic(), BLOCK_MOST_SECONDS), most)
            if entries or time.monotonic() >= until:
                return entries

    def tail(self, most: int) -> tuple[RawEntry, ...]:
        """See `StreamReader`."""
        with self._asking():
            answer = self._client.xrevrange(self._names.events, count=most)
        return tuple(reversed(_raw_entries(answer)))

    def announce(self, proxy_id: str, fields: Mapping[str, str], *, expiry_seconds: int) -> None:
        """See `StreamReader`."""
        key = self._names.proxy(proxy_id)
        with self._asking():
            together = self._client.pipeline(transaction=True)
            together.delete(key)
            together.hset(key, mapping=cast("dict[Any, Any]", fields))
            together.expire(key, expiry_seconds)
            together.execute()

    def leader(self) -> Lead | None:
        """See `StreamReader`."""
        with self._asking():
            said = cast("str | None", self._client.get(self._names.leader))
        epoch, _, leader = (said or "").partition(" ")
        return Lead(leader, int(epoch)) if epoch.isdecimal() else None

    def announced(self) -> Mapping[str, Mapping[str, str]]:
        """See `StreamReader`."""
        prefix = self._names.proxy("")
        with self._asking():
            keys = sorted(set(self._client.scan_iter(match=_literally(prefix) + "*", count=_SCAN_COUNT)))
            together = self._client.pipeline(transaction=False)
            for key in keys:
                together.hgetall(key)
            said = together.execute()
        return {key.removeprefix(prefix): fields for key, fields in zip(keys, said, strict=True) if fields}

    def close(self) -> None:
        """See `StreamReader`."""
        self._closed.set()
        self._connected.close()

    # -- StreamWriter -------------------------------------------------------------------------------------------------

    def lead(self, leader: str, *, expiry_seconds: float) -> int | None:
        """See `StreamWriter`."""
        keys = (self._names.leader, self._names.head)
        return cast("int | None", self._run(self._lead, keys, (leader, max(1, round(expiry_seconds * 1000)))))

    def resign(self, leader: str) -> None:
        """See `StreamWriter`."""
        self._run(self._resign, (self._names.leader,), (leader,))

    def begin(self, *, incarnation: str, epoch: int, run_id: str) -> Head:
        """See `StreamWriter`."""
        present = self._run(self._begin, self._everything(), (incarnation, epoch, run_id))
        if present != str(epoch):
            raise Fenced(f"the head holds epoch {present}, ours is {epoch}")
        self._ports_written = None
        return Head(incarnation=incarnation, epoch=epoch, run_id=run_id)

    def append(self, batch: Batch) -> Outcome:
        """See `StreamWriter`."""
        step = step_of(batch)
        written: _Written = (batch.incarnation, batch.epoch, batch.ports)
        ports = ("same",) if written == self._ports_written else _counted(_flat(batch.ports))
        # If we crash, or the answer is lost, nobody knows what stands there: the next append writes the ports again.
        self._ports_written = None
        said, *rest = cast("list[Any]", self._run(self._append, self._everything(), _arguments(batch, step, ports)))
        if said != "appended":
            return Overtaken(head_of(_pairs(rest[0])) if rest else None)
        self._ports_written = written
        return Appended(batch.after + len(step.entries))

    def trim(self, first: int) -> None:
        """See `StreamWriter`."""
        self._run(self._trim, (self._names.head, self._names.events), (first,))

    # -- asking -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _asking(self) -> Iterator[None]:
        self._refuse_if_closed()
        try:
            with in_our_words(self._where):
                yield
        except Unavailable:
            self._refuse_if_closed()
            raise

    def _refuse_if_closed(self) -> None:
        if self._closed.is_set():
            raise Unavailable(f"Redis {self._where}: we have closed the connection") from None

    def _run(self, script: Script, keys: Iterable[str], arguments: Iterable[str | int]) -> object:
        with self._asking():
            return script(keys=tuple(keys), args=tuple(arguments))

    def _read_once(self, after: int, block_seconds: float, most: int) -> tuple[RawEntry, ...]:
        block = max(1, round(block_seconds * 1000)) if block_seconds > 0 else None
        with self._asking():
            answer = self._client.xread({self._names.events: f"{after}-0"}, count=most, block=block)
        streams = cast("list[tuple[str, list[Any]]]", answer)
        return _raw_entries(streams[0][1]) if streams else ()

    def _tables(self) -> tuple[str, str, str]:
        return self._names.catalog, self._names.bindings, self._names.settings

    def _everything(self) -> tuple[str, ...]:
        return self._names.head, self._names.events, *self._tables(), self._names.ports


def _script(client: Redis, name: str) -> Script:
    text = files("mooring.redis").joinpath(f"{name}.lua").read_text(encoding="utf-8")
    return client.register_script(text)


def _arguments(batch: Batch, step: Step, ports: tuple[str, ...]) -> list[str]:
    """Return the arguments of append.lua, in the order that its first lines state."""
    arguments = [batch.incarnation, str(batch.epoch), str(batch.after), "1" if batch.complete else ""]
    arguments.append(str(len(step.entries)))
    for entry in step.entries:
        arguments += _counted(_flat(entry.fields))
    for table in Table:
        writes = [write for write in step.writes if write.table is table]
        arguments += _counted(_flat({write.field: write.value for write in writes if write.value is not None}))
        arguments += _counted(tuple(write.field for write in writes if write.value is None))
    arguments += ports
    arguments += _counted(_flat({SOURCE_PREFIX + name: value for name, value in batch.sources.items()}))
    return arguments


def _flat(fields: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(text for pair in fields.items() for text in pair)


def _counted(texts: tuple[str, ...]) -> tuple[str, ...]:
    return str(len(texts)), *texts


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _raw_entries(answer: object) -> tuple[RawEntry, ...]:
    pairs = cast("list[tuple[str, dict[str, str]]]", answer)
    return tuple(RawEntry(int(entry_id.partition("-")[0]), fields) for entry_id, fields in pairs)


def _literally(text: str) -> str:
    """Return a pattern of Redis that matches just this text."""
    return "".join(f"\\{character}" if character in "*?[]^\\" else character for character in text)
