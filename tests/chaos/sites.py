"""A Redis, a registry as what it would tell, and the discovers that write what it tells, life after life.

A discover is the real one, from the owner of its state to its publisher and its lead, at a real Redis. It makes its
turns when it is told to, and time passes when it does, so that every run makes the same calls in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping

import redis
from attrs import evolve, frozen

from mooring.keys import RedisNames, catalog_field
from mooring.model import Address, Binding, Instance
from mooring.redis.client import RedisStream
from mooring.redis.stream import StreamReader, StreamWriter
from mooring_discover.leadership import Leadership
from mooring_discover.observations import Key, Listed, Observation, Seen, Withdrawn
from mooring_discover.owner import Clock, Owner
from mooring_discover.publisher import Publisher
from mooring_discover.suspects import Policy
from tests.chaos.commands import struck_stream
from tests.chaos.crashing import Life, Trap
from tests.chaos.seams import STREAM
from tests.chaos.tables import Proxy
from tests.checker import check
from tests.servers import RedisServer

SOURCE = "etcd://registry/services"
LEAD_SECONDS = 600.0
TURN_SECONDS = 3.0  # beyond any backoff, and beyond the time after which the head is looked at again
MOST_TURNS = 30


def instance(name: str, *, port: int = 8000, weight: int = 100, service: str = "web") -> Instance:
    """Return an instance whose service asks for its own port on the proxies."""
    address = Address("10.0.0.1", port)
    return Instance(service=service, id=name, address=address, host="h1", port=port, weight=weight, container=name)


def fleet(count: int) -> list[Instance]:
    """Return so many instances."""
    return [instance(f"i{number:03}", port=9000 + number) for number in range(count)]


def binding(name: str) -> Binding:
    """Return a consumer's wish."""
    return Binding(key=f"h1/consumer/{name}", service="web", port=5432, host="h1", container="consumer")


class Discover:
    """One life of a discover, until its end or until a crash."""

    def __init__(self, stream: StreamWriter, life: Life, site: Site, name: str) -> None:
        self.life = life
        self.publisher = Publisher(stream, new_incarnation=site.new_incarnation, stream_length=site.stream_length)
        self.leadership = Leadership(stream, name, expiry_seconds=LEAD_SECONDS)
        clock = Clock(site.clock, site.clock, lambda: 0.5)
        self.owner = Owner([SOURCE], self.publisher, self.leadership, Policy(hold_seconds=20.0), clock)

    def turn(self, *observations: Observation) -> None:
        """Ask for the lead, as its thread does now and then, and make a turn."""
        self.leadership.ask()
        self.owner.turn(observations)

    @property
    def is_certain(self) -> bool:
        """Whether it leads and knows the stream to be complete."""
        epoch, written = self.leadership.epoch, self.publisher.written
        return (
            epoch is not None
            and self.owner.trouble is None
            and self.publisher.is_certain(epoch)
            and written is not None
            and written.complete
        )

    def resign(self) -> None:
        """End in order, as on SIGTERM: the lead is given up."""
        self.leadership.stop(0)
        self.leadership.start(lambda: None)
        self.leadership.stop(10.0)


@frozen
class Ending:
    """What stands in Redis when all is quiet, without epochs, times and revisions."""

    catalog: Mapping[Key, Instance | Binding]
    ports: Mapping[str, str]
    states: Mapping[str, str]


class Site:
    """One namespace of a Redis; `held` is what the registry holds. A proxy follows all along.

    The trap lets pass single commands to Redis; `asked` counts what the discovers asked of a stream, and never springs.
    """

    def __init__(self, server: RedisServer, namespace: str, trap: Trap, *, stream_length: int = 1000) -> None:
        self.held: dict[Key, Instance | Binding] = {}
        self.stream_length = stream_length
        self._namespace = namespace
        self._names = RedisNames(namespace)
        self._server = server
        self._redis = redis.Redis(port=server.port)
        self._streams: list[RedisStream] = []
        self.asked = Trap()
        self.stream = RedisStream.from_url(server.url, self._names)
        self.proxy = Proxy(self.stream)
        self._trap = trap
        self._now = 1000.0
        self._incarnations = 0
        self._revision = 0
        self.discover = self.started()

    def clock(self) -> float:
        """Give the time at this site."""
        return self._now

    def new_incarnation(self) -> str:
        """Name a further incarnation."""
        self._incarnations += 1
        return f"incarnation-{self._incarnations}"

    def started(self) -> Discover:
        """Return a further discover, which has heard nothing yet."""
        life = Life()
        stream = struck_stream(self._server.url, self._names, self._trap, life)
        self._streams.append(stream)
        return Discover(self.asked.guard(stream, STREAM, life), life, self, f"discover-{len(self._streams)}")

    # -- what the registry does

    def hold(self, *records: Instance | Binding) -> None:
        """Let these records be in the registry."""
        self.held.update({one.key: one for one in records})
        self.tell(*(Seen(SOURCE, self._next_revision(), self._now, one) for one in records))

    def withdraw(self, record: Instance | Binding) -> None:
        """Take a record out, with a word."""
        del self.held[record.key]
        self.tell(Withdrawn(SOURCE, self._next_revision(), self._now, record.key, "stopped"))

    def listing(self) -> Listed:
        """Return everything that the registry holds."""
        records = self.held.values()
        return Listed(
            source=SOURCE,
            revision=str(self._revision),
            at=self._now,
            instances=tuple(one for one in records if isinstance(one, Instance)),
            bindings=tuple(one for one in records if isinstance(one, Binding)),
            hosts=frozenset({"h1"}),
        )

    def _next_revision(self) -> str:
        self._revision += 1
        return str(self._revision)

    # -- what else happens

    def empty(self) -> None:
        """Let Redis forget everything."""
        empty(self._server, self._namespace)

    def lead_expires(self) -> None:
        """Let the time pass after which a leader that died is no leader any more."""
        self._redis.delete(self._names.leader)

    def succeed(self) -> None:
        """Let another discover begin; it lists, and takes the lead as soon as nobody has it."""
        self.discover = self.started()
        self.discover.turn(self.listing())
        if self.discover.leadership.epoch is None:
            self.lead_expires()
        self.settle()

    def let_pass(self, seconds: float) -> None:
        """Let time pass, and what follows from it be written."""
        self._now += seconds
        self.settle()

    def tell(self, *observations: Observation) -> None:
        """Let the discover hear something and work until there is nothing left to do."""
        self.discover.turn(*observations)
        self.settle()

    def settle(self) -> None:
        """Let time pass until all is written; a discover that died is followed by the next life."""
        for _ in range(MOST_TURNS):
            if self.discover.life.is_over:
                self.proxy.looks()
                self.lead_expires()
                self.discover = self.started()
                self.discover.turn(self.listing())
            before = len(self._trap.calls)
            self._now += TURN_SECONDS
            self.discover.turn()
            self.proxy.looks()
            wrote = any(call.writes and call.method != "lead.lua" for call in self._trap.calls[before:])
            if self.discover.is_certain and not wrote and not self.discover.life.is_over:
                self.proxy.catches_up(self.stream)
                return
        raise AssertionError(f"does not come to rest: {self.discover.owner.trouble}")

    def ending(self) -> Ending:
        """Assert that the stream is a legal history that the proxy followed, and return what it came to."""
        check(self.stream)
        head, catalog, ports = self.stream.head(), self.stream.catalog(), self.stream.ports()
        assert head is not None
        assert head.complete
        records: list[Instance | Binding] = [*catalog.instances(), *catalog.bindings.values()]
        written = {one.key: _essence(one) for one in records}
        assert written == self.held, "the catalog is not what the registry holds"
        assert (self.proxy.catalog, self.proxy.ports) == (catalog, ports), "the proxy's table is another"
        assert not self.proxy.table.problems, self.proxy.table.problems
        return Ending(written, ports, {name: state for name, state in head.sources.items() if name.endswith(":state")})

    def close(self) -> None:
        """Let go of everything."""
        self.empty()
        for stream in (*self._streams, self.stream):
            stream.close()
        self._redis.close()


def _essence(record: Instance | Binding) -> Instance | Binding:
    if isinstance(record, Binding):
        return record
    return evolve(record, cause="", seen_docker=None, seen_registry=None)


def empty(server: RedisServer, namespace: str) -> None:
    """Let a Redis forget everything below a namespace."""
    with redis.Redis(port=server.port) as client:
        for key in client.scan_iter(f"{namespace}:*"):
            client.delete(key)


def never_removed(stream: StreamReader, one: Instance) -> None:
    """Assert that no entry says that this instance went."""
    removed = [raw for raw in stream.tail(10_000) if raw.fields["type"] == "instance-removed"]
    gone = [raw.sequence for raw in removed if raw.fields["key"] == catalog_field(*one.key)]
    assert not gone, f"{one.key} was removed while it was held, by entries {gone}"
