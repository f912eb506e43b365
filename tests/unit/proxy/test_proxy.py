"""The proxy between follower and driver: what it applies, when it is ready, and how it freezes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve

from mooring.catalog import catalog_of
from mooring.entries import Entry
from mooring.facts import InstanceAdded
from mooring.model import Address, Instance
from mooring.selector import Selector
from mooring_proxy.balancers.round_robin import RoundRobin
from mooring_proxy.drivers.memory import MemoryDriver
from mooring_proxy.following import Froze, Known, Position, Updated
from mooring_proxy.presence import presence
from mooring_proxy.proxy import Proxy
from mooring_proxy.routing import BackendKey, RoutingTable, Rules, StaticListener

WEB = Instance(service="web", id="one", address=Address("10.0.0.1", 80), port=8080, seen_docker=99.0)
AT = Address("0.0.0.0", 8080)


class AtOnce:
    """A reactor whose next turn is now."""

    def callFromThread(self, callable: Callable[..., object], *args: object, **kwargs: object) -> None:  # noqa: A002
        """Call it."""
        callable(*args, **kwargs)


class Bench:
    """A proxy with a driver in memory."""

    def __init__(self, **rules: Any) -> None:  # noqa: ANN401 -- whatever Rules take
        self.driver = MemoryDriver(RoundRobin)
        self.kept: list[Known] = []
        reactor: Any = AtOnce()
        self.proxy = Proxy(reactor, self.driver, Rules(**rules), now=lambda: 100.0, keep=self.kept.append)
        self.proxy.start()

    def served(self) -> str | None:
        """Return who serves a client."""
        backend = self.driver.connect(AT)
        return backend.key.id if backend else None


def known(sequence: int, *instances: Instance, ports: dict[str, str] | None = None) -> Known:
    """Return what is known at a sequence."""
    return Known(Position("life", sequence), catalog_of(instances), {"8080/tcp": "web"} if ports is None else ports)


def test_it_is_ready_when_its_table_is_complete() -> None:
    """Not before the first update, and not once it froze."""
    bench = Bench()
    reasons = [bench.proxy.standing.why_not_ready]
    bench.proxy.updated(Updated(known(1, WEB)))
    reasons.append(bench.proxy.standing.why_not_ready)
    bench.proxy.froze(Froze(Position("life", 1), "entry 2-0: broken"))
    reasons.append(bench.proxy.standing.why_not_ready)
    frozen = "the table is frozen: at entry 1-0: entry 2-0: broken"
    assert reasons == ["the table is not complete yet", None, frozen]
    assert bench.served() == "one"


def test_static_listeners_are_there_before_anything_is_known() -> None:
    """The driver is given an incomplete table first."""
    bench = Bench(static=(StaticListener(AT, Selector("web")),))
    assert [table.complete for table in bench.driver.tables] == [False]
    assert list(bench.driver.tables[0].routes) == [AT]


def test_what_was_applied_is_kept_and_shown() -> None:
    """The catalog goes to the state directory, its entries to the list of the recent ones."""
    bench = Bench()
    entry = Entry(sequence=2, incarnation="life", epoch=1, at=1.0, fact=InstanceAdded(WEB), seen_stream=99.5)
    bench.proxy.updated(Updated(known(2, WEB), (entry,)))
    assert bench.kept == [known(2, WEB)]
    state = bench.proxy.state()
    assert (state["incarnation"], state["sequence"], state["frozen"]) == ("life", 2, None)
    assert state["recent"] == [
        {
            "sequence": 2,
            "type": "instance-added",
            "service": "web",
            "id": "one",
            "state": "up",
            "seen_docker": 99.0,
            "seen_stream": 99.5,
            "applied_at": 100.0,
        }
    ]


def test_a_driver_that_fails_freezes_the_table() -> None:
    """Our own bug: what was applied last stays, and nothing after it is tried."""
    bench = Bench()
    bench.proxy.updated(Updated(known(1, WEB)))

    def fail(table: RoutingTable) -> None:
        raise ZeroDivisionError(table)

    apply, bench.driver.apply = bench.driver.apply, fail  # type: ignore[method-assign]
    bench.proxy.updated(Updated(known(2)))
    bench.driver.apply = apply  # type: ignore[method-assign]
    bench.proxy.updated(Updated(known(3)))
    assert "ZeroDivisionError" in bench.proxy.standing.frozen
    assert bench.proxy.standing.position == Position("life", 1)
    assert bench.served() == "one"
    assert bench.kept == [known(1, WEB)]


def test_a_stored_table_is_used_until_there_is_a_newer_one() -> None:
    """It is marked stale; it never replaces what came from Redis."""
    bench = Bench()
    bench.proxy.use_stored(known(5, evolve(WEB, id="old")))
    assert (bench.proxy.standing.stale, bench.served()) == (True, "old")
    bench.proxy.updated(Updated(known(1, WEB)))
    assert (bench.proxy.standing.stale, bench.served()) == (False, "one")
    bench.proxy.use_stored(known(5, evolve(WEB, id="old")))
    assert (bench.proxy.standing.stale, bench.served()) == (False, "one")


def test_refused_ports_are_shown() -> None:
    """`/state` names the service, the port and the reason."""
    bench = Bench(publish_ports=range(9000, 9001))
    bench.proxy.updated(Updated(known(1, WEB)))
    assert bench.proxy.state()["refused"] == [
        {"service": "web", "port": "8080/tcp", "reason": "outside --publish-ports 9000-9000"}
    ]


def test_the_presence_says_how_far_it_is() -> None:
    """Everything as text, and empty what is not known yet."""
    bench = Bench()
    fields = presence(bench.proxy.standing, host="here", driver="memory", connections=0)
    assert (fields["incarnation"], fields["sequence"], fields["applied_at"]) == ("", "", "")
    bench.proxy.updated(Updated(known(7, WEB)))
    leaving = {BackendKey("hello/v1", "h:one:80"): 2}
    fields = presence(bench.proxy.standing, host="here", driver="memory", connections=3, leaving=leaving)
    assert fields == {
        "incarnation": "life",
        "sequence": "7",
        "applied_at": "100.000000",
        "driver": "memory",
        "connections": "3",
        "leaving": '{"hello/v1|h:one:80":2}',
        "frozen": "",
        "stale": "",
        "host": "here",
    }


def test_redis_away_is_shown() -> None:
    """Three answers: not followed at all, answers, away."""
    bench = Bench()
    shown = [bench.proxy.state()["redis"]]
    for answers in (False, True):
        bench.proxy.redis_answers(answers)
        shown.append(bench.proxy.state()["redis"])
    assert shown == [None, "away", "answers"]
