"""What the tests of discover's core are made of: short ways to say things, and an owner on a stream in memory."""

from collections.abc import Iterable, Mapping

from attrs import define, evolve, field

from mooring.model import Address, Instance, State
from mooring.redis.memory import MemoryStream
from mooring.redis.stream import Head
from mooring_discover.leadership import Leadership
from mooring_discover.observations import Gone, InstanceKey, Key, Listed, Observation, Seen, Withdrawn
from mooring_discover.owner import Clock, Owner
from mooring_discover.publisher import Publisher
from mooring_discover.suspects import Policy

POLICY = Policy()
FIRST, SECOND = "etcd://first/services", "etcd://second/services"


def instance(
    service: str = "web", name: str = "a", *, host: str = "h1", port: int = 8000, state: State = State.UP
) -> Instance:
    """Return an instance that differs from others in what matters here."""
    path = f"/services/{service}/{name}"
    return Instance(service=service, id=name, address=Address("10.0.0.1", port), host=host, state=state, path=path)


def fleet(hosts: int, each: int = 1, service: str = "web") -> list[Instance]:
    """Return instances on that many hosts, each with an address of its own."""
    return [
        instance(service, f"{host}-{number}", host=f"host{host}", port=1000 + host * 100 + number)
        for host in range(hosts)
        for number in range(each)
    ]


def listed(instances: Iterable[Instance] = (), *, source: str = FIRST, at: float = 0.0, revision: str = "1") -> Listed:
    """Return a listing of everything: these instances, no bindings, no hosts."""
    return Listed(source=source, revision=revision, at=at, instances=tuple(instances), bindings=(), hosts=frozenset())


def seen(record: Instance, *, source: str = FIRST, at: float = 0.0) -> Seen:
    """Return that an instance is there."""
    return Seen(source, "2", at, record)


def withdrawn(key: Key, cause: str = "stopped", *, source: str = FIRST, at: float = 0.0) -> Withdrawn:
    """Return that a record was withdrawn with a word."""
    return Withdrawn(source, "3", at, key, cause)


def expired(key: Key, *, source: str = FIRST, at: float = 0.0) -> Gone:
    """Return that a record is gone with its lease."""
    return Gone(source, "4", at, key, expired=True)


def deleted(key: Key, *, source: str = FIRST, at: float = 0.0) -> Gone:
    """Return that a record was deleted."""
    return Gone(source, "4", at, key, expired=False)


def states(instances: Iterable[Instance]) -> Mapping[InstanceKey, State]:
    """Return which instances there are, and in which state."""
    return {one.key: one.state for one in instances}


@define
class Desk:
    """An owner at a stream in memory: time moves when it is told to, and no thread runs."""

    stream: MemoryStream
    sources: tuple[str, ...] = (FIRST,)
    policy: Policy = POLICY
    now: float = 1000.0
    name: str = "discover"
    lives: int = 0
    incarnations: int = 0
    owner: Owner = field(init=False)
    publisher: Publisher = field(init=False)
    leadership: Leadership = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.restart()

    def restart(self, *, leads: bool = True) -> None:
        """Begin as a new process does: knowing nothing. The former one's lead is over."""
        self.lives += 1
        if self.lives > 1:
            self.stream.resign(self.leadership.leader)
        self.publisher = Publisher(self.stream, new_incarnation=self._incarnation, stream_length=100_000)
        self.leadership = Leadership(self.stream, f"{self.name}-{self.lives}", expiry_seconds=1e9)
        clock = Clock(lambda: self.now, lambda: self.now, lambda: 0.5)
        self.owner = Owner(self.sources, self.publisher, self.leadership, self.policy, clock)
        if leads:
            self.lead()

    def lead(self) -> None:
        """Ask for the lead once, as the thread of the lead does again and again."""
        self.leadership.ask()

    def turn(self, *observations: Observation, after_seconds: float = 0.0) -> None:
        """Make a turn, after some time."""
        self.now += after_seconds
        self.owner.turn([evolve(one, at=self.now) for one in observations])

    def quiet_down(self) -> None:
        """Let so much time pass that expiries are judged and Redis is asked again."""
        for _ in range(4):
            self.lead()
            self.turn(after_seconds=3.0)

    def _incarnation(self) -> str:
        self.incarnations += 1
        return f"incarnation-{self.incarnations}"


def desk() -> Desk:
    """Return an owner that leads on an empty Redis."""
    return Desk(MemoryStream(lambda: 0.0))


def types(one: Desk) -> list[str]:
    """Return the types of all entries, oldest first."""
    return [entry.fields["type"] for entry in one.stream.tail(1000)]


def head(one: Desk) -> Head:
    """Return the head that must be there."""
    present = one.stream.head()
    assert present is not None
    return present
