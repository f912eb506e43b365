"""What every driver does with a routing table: the twin in memory, the relay with its own and with shared sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from attrs import frozen

from mooring.model import Address, State
from mooring.selector import Selector
from mooring_proxy.balancers.round_robin import RoundRobin
from mooring_proxy.drivers.memory import MemoryDriver
from mooring_proxy.drivers.relay import RelayDriver
from mooring_proxy.routing import Backend, BackendKey, Route, RoutingTable
from mooring_proxy.sockets.holder import Holder
from mooring_proxy.sockets.own import OwnSockets
from mooring_proxy.sockets.shared import SharedSockets
from mooring_proxy.sockets.source import SocketSource
from tests.reactors import DEADLINE_SECONDS, NamedBackend, ReactorThread, reactor_thread
from tests.servers import free_port
from tests.waiting import wait_until


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
    """Run on the relay, with sockets of its own."""
    with reactor_thread() as running, ExitStack() as ending:
        yield bench_of(running, OwnSockets(), ending, lambda: None)


@contextmanager
def shared_bench() -> Iterator[Bench]:
    """Run on the relay, with sockets that a holder holds; it keeps nothing for those who are gone."""
    with TemporaryDirectory() as directory, reactor_thread() as running, ExitStack() as ending:
        path = Path(directory, "sockets")
        holder = Holder(0.0, clock=time.monotonic, now=time.time)
        running.call(lambda: running.reactor.listenUNIX(str(path), holder))
        ending.callback(running.call, holder.close)
        sockets = SharedSockets(running.reactor, path)
        running.call(lambda: sockets.start("test"))

        def is_quiet() -> bool:
            return sockets.report() == "held" or not holder.state()["proxies"]

        yield bench_of(running, sockets, ending, lambda: wait_until(lambda: running.call(is_quiet), "all to be held"))


def bench_of(running: ReactorThread, sockets: SocketSource, ending: ExitStack, quiet: Callable[[], object]) -> Bench:
    """Return a relay with backends that listen on loopback; `quiet` waits until what was asked for has come about."""
    driver = RelayDriver(running.reactor, balancer=RoundRobin, connect_seconds=1.0, sockets=sockets)

    def backend(name: str) -> Address:
        listening = NamedBackend(name)
        ending.callback(listening.close)
        return Address("127.0.0.1", listening.port)

    def stop() -> None:
        running.start_and_wait(lambda: driver.stop(0.0)).result(DEADLINE_SECONDS)
        quiet()

    def apply(table: RoutingTable) -> None:
        running.call(lambda: driver.apply(table))
        quiet()

    ending.callback(stop)
    return Bench(apply, asked, backend, stop)


@pytest.fixture(params=[memory_bench, relay_bench, shared_bench], ids=["memory", "relay", "shared sockets"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Run the test on each."""
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
