"""What every driver does with a routing table, held to the twin in memory and to the relay with real sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from attrs import frozen
from twisted.internet.task import deferLater

from mooring.model import Address, State
from mooring.selector import Selector
from mooring_proxy.balancers.round_robin import RoundRobin
from mooring_proxy.drivers.memory import MemoryDriver
from mooring_proxy.drivers.relay import RelayDriver
from mooring_proxy.routing import Backend, BackendKey, Route, RoutingTable
from tests.reactors import DEADLINE_SECONDS, NamedBackend, reactor_thread
from tests.servers import free_port


@frozen
class Bench:
    """A driver, and what a client meets: `ask` returns the name of who served it, "" for nobody."""

    apply: Callable[[RoutingTable], None]
    ask: Callable[[Address], str]
    backend: Callable[[str], Address]
    stop: Callable[[], None]


@contextmanager
def memory_bench() -> Iterator[Bench]:
    """Run on the twin."""
    driver = MemoryDriver(RoundRobin)

    def ask(listener: Address) -> str:
        backend = driver.connect(listener)
        return backend.key.id if backend else ""

    def stop() -> None:
        driver.stop(0.0)

    yield Bench(driver.apply, ask, lambda name: Address(name, 1), stop)


def asked(listener: Address) -> str:
    """Connect as a client does, and read until the end."""
    try:
        with socket.create_connection((listener.host, listener.port), timeout=DEADLINE_SECONDS) as client:
            return client.recv(100).decode()
    except (ConnectionRefusedError, ConnectionResetError):
        return ""


@contextmanager
def relay_bench() -> Iterator[Bench]:
    """Run on the relay, with backends that listen on loopback."""
    with ExitStack() as ending, reactor_thread() as running:
        driver = RelayDriver(running.reactor, balancer=RoundRobin, connect_seconds=1.0)

        def backend(name: str) -> Address:
            listening = NamedBackend(name)
            ending.callback(listening.close)
            return Address("127.0.0.1", listening.port)

        def stop() -> None:
            running.start_and_wait(lambda: driver.stop(0.0)).result(DEADLINE_SECONDS)

        def apply(table: RoutingTable) -> None:
            running.call(lambda: driver.apply(table))
            # A port is closed in the reactor's next turn.
            running.start_and_wait(lambda: deferLater(running.reactor, 0.0)).result(DEADLINE_SECONDS)

        yield Bench(apply, asked, backend, stop)
        stop()


@pytest.fixture(params=[memory_bench, relay_bench], ids=["memory", "relay"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Run the test on both."""
    with request.param() as made:
        yield made


def listener() -> Address:
    """Return an address to listen on."""
    return Address("127.0.0.1", free_port())


def table_of(*routes: tuple[Address, list[Backend]]) -> RoutingTable:
    """Return a complete table with these routes."""
    return RoutingTable({at: Route(at, Selector("web"), tuple(backends)) for at, backends in routes}, complete=True)


def backend_of(bench: Bench, name: str, state: State = State.UP) -> Backend:
    """Return a backend that answers with its name."""
    return Backend(BackendKey("web", name), bench.backend(name), state)


def test_each_listener_leads_to_its_backends_in_turn(bench: Bench) -> None:
    """A table is served as it says."""
    web, api = listener(), listener()
    one, two, other = (backend_of(bench, name) for name in ("one", "two", "other"))
    bench.apply(table_of((web, [one, two]), (api, [other])))
    assert [bench.ask(web) for _ in range(4)] == ["one", "two", "one", "two"]
    assert bench.ask(api) == "other"


def test_a_listener_that_is_not_in_the_table_is_closed(bench: Bench) -> None:
    """What was routed before and is no longer is served to nobody, and the rest stays."""
    web, api = listener(), listener()
    one = backend_of(bench, "one")
    bench.apply(table_of((web, [one]), (api, [one])))
    bench.apply(table_of((api, [one])))
    assert [bench.ask(web), bench.ask(api)] == ["", "one"]


def test_a_listener_opens_when_the_table_has_it(bench: Bench) -> None:
    """Before that nobody is there."""
    web = listener()
    bench.apply(table_of())
    assert bench.ask(web) == ""
    bench.apply(table_of((web, [backend_of(bench, "one")])))
    assert bench.ask(web) == "one"


def test_backends_come_and_go(bench: Bench) -> None:
    """The listener stays, and leads to those that are in the table now."""
    web = listener()
    one, two = backend_of(bench, "one"), backend_of(bench, "two")
    bench.apply(table_of((web, [one])))
    bench.apply(table_of((web, [one, two])))
    assert {bench.ask(web) for _ in range(2)} == {"one", "two"}
    bench.apply(table_of((web, [two])))
    assert {bench.ask(web) for _ in range(2)} == {"two"}


def test_draining_gets_nothing_new(bench: Bench) -> None:
    """It is in the table, but for new connections it is not there; alone it serves nobody."""
    web = listener()
    one, leaving = backend_of(bench, "one"), backend_of(bench, "two", State.DRAINING)
    bench.apply(table_of((web, [one, leaving])))
    assert {bench.ask(web) for _ in range(3)} == {"one"}
    bench.apply(table_of((web, [leaving])))
    assert bench.ask(web) == ""


def test_without_a_backend_nobody_waits(bench: Bench) -> None:
    """A listener whose service is gone lets its clients go at once, and serves again when it is back."""
    web = listener()
    bench.apply(table_of((web, [])))
    assert bench.ask(web) == ""
    bench.apply(table_of((web, [backend_of(bench, "one")])))
    assert bench.ask(web) == "one"


def test_after_stop_nobody_is_served(bench: Bench) -> None:
    """All listeners are closed."""
    web = listener()
    bench.apply(table_of((web, [backend_of(bench, "one")])))
    assert bench.ask(web) == "one"
    bench.stop()
    assert bench.ask(web) == ""
