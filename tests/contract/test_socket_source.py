"""What every source of listening sockets does: one that binds by itself, and one that asks the holder."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest
from twisted.internet.defer import Deferred

from mooring.model import Address
from mooring_proxy.sockets.binding import is_same, taken_over
from mooring_proxy.sockets.holder import Holder
from mooring_proxy.sockets.own import OwnSockets
from mooring_proxy.sockets.shared import SharedSockets
from mooring_proxy.sockets.source import CannotListen, SocketSource
from mooring_proxy.sockets.wire import Refused
from tests.reactors import DEADLINE_SECONDS, ReactorThread, reactor_thread
from tests.servers import free_port
from tests.waiting import wait_until

T = TypeVar("T")


class Bench:
    """A source in a reactor's thread."""

    def __init__(self, running: ReactorThread, source: SocketSource, holder: Holder | None = None) -> None:
        self.running = running
        self.source = source
        self._holder = holder

    @property
    def holder(self) -> Holder:
        """The holder, where there is one."""
        assert self._holder is not None
        return self._holder

    def open(self, address: Address) -> socket.socket:
        """Open, and wait for the socket."""
        return self.waited(lambda: self.source.open(address))

    def close(self, address: Address) -> bool:
        """Close, and wait to hear whether it was the last."""
        return self.waited(lambda: self.source.close(address))

    def waited(self, ask: Callable[[], Deferred[T]]) -> T:
        """Return what a Deferred gives, or raise what it fails with."""
        ended: Future[T] = Future()
        self.running.call(lambda: ask().addCallbacks(ended.set_result, lambda why: ended.set_exception(why.value)))
        return ended.result(DEADLINE_SECONDS)


@contextmanager
def own() -> Iterator[Bench]:
    """Give a source that binds by itself."""
    with reactor_thread() as running:
        source = OwnSockets()
        yield Bench(running, source)
        source.stop()


@contextmanager
def shared(proxies: int = 1) -> Iterator[Bench]:
    """Give a source that asks a holder which keeps nothing for those who are gone."""
    with several(proxies) as (bench, *_):
        yield bench


@contextmanager
def several(proxies: int) -> Iterator[list[Bench]]:
    """Give sources that ask one holder."""
    with TemporaryDirectory() as directory, reactor_thread() as running, ExitStack() as ending:
        path = Path(directory, "sockets")
        holder = Holder(0.0, clock=time.monotonic, now=time.time)
        running.call(lambda: running.reactor.listenUNIX(str(path), holder))
        ending.callback(running.call, holder.close)
        made = [SharedSockets(running.reactor, path) for _ in range(proxies)]
        for number, source in enumerate(made):
            running.call(lambda source=source, number=number: source.start(f"proxy {number}"))  # type: ignore[misc]
            ending.callback(running.call, source.stop)
        wait_until(lambda: running.call(lambda: len(holder.state()["proxies"]) == proxies), "all to be connected")  # type: ignore[arg-type]
        yield [Bench(running, source, holder) for source in made]
        for source in made:
            running.call(source.stop)
        wait_until(lambda: not running.call(holder.state)["proxies"], "all to be gone")


@pytest.fixture(params=[own, shared])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Run the test on both."""
    make: Callable[[], AbstractContextManager[Bench]] = request.param
    with make() as made:
        yield made


def here(host: str = "127.0.0.1") -> Address:
    """Return an address that nobody listens on."""
    return Address(host, free_port())


def descriptors() -> int:
    """Return how many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_socket_listens_where_it_was_wanted_and_does_not_block(bench: Bench, host: str) -> None:
    """With either protocol, on one address or on all."""
    address = here(host)
    opened = bench.open(address)
    assert opened.getsockname()[:2] == (address.host, address.port)
    assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    with pytest.raises(BlockingIOError):
        opened.accept()
    assert bench.close(address)


def test_an_address_that_is_taken_is_refused_with_the_reason(bench: Bench) -> None:
    """And is had once it is free."""
    address = here()
    with socket.create_server((address.host, address.port)), pytest.raises(CannotListen, match="in use"):
        bench.open(address)
    bench.open(address)


def test_an_address_that_is_not_ours_is_refused(bench: Bench) -> None:
    """No machine has the addresses for documentation."""
    with pytest.raises(CannotListen):
        bench.open(Address("192.0.2.1", free_port()))


def test_the_last_to_close_is_told_so_and_the_port_is_free(bench: Bench) -> None:
    """Somebody else may listen there at once."""
    address = here()
    bench.open(address)
    assert bench.close(address)
    with socket.create_server((address.host, address.port)):
        pass


def test_an_address_is_opened_again_while_it_closes(bench: Bench) -> None:
    """The new socket comes when the old one is gone."""
    address = here()
    old = bench.open(address)
    bench.running.call(lambda: bench.source.close(address))
    opened = bench.open(address)
    assert old.fileno() == -1
    assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_all_have_the_same_socket_and_only_the_last_closes_it() -> None:
    """One queue for all: who waits in it is taken by whoever is there."""
    address = here()
    with several(2) as (one, two):
        assert is_same(one.open(address), two.open(address))
        assert not one.close(address)
        assert two.close(address)
        assert one.holder.state()["sockets"] == []


def test_a_wish_that_is_dropped_before_its_answer_leaves_nothing_open() -> None:
    """Neither here nor at the holder."""
    address = here()
    with shared() as bench:
        before = descriptors()

        def open_and_close() -> Deferred[bool]:
            bench.source.open(address)
            return bench.source.close(address)

        bench.waited(open_and_close)
        wait_until(lambda: descriptors() == before, "no descriptor to be left")
        assert bench.holder.state()["sockets"] == []


def test_a_descriptor_that_is_something_else_is_refused_and_closed() -> None:
    """A number that was closed and given anew must not lead clients astray."""
    address, elsewhere = here(), here()
    with socket.create_server((elsewhere.host, elsewhere.port)) as other, socket.socket() as idle:
        for given in (other, idle):
            descriptor = os.dup(given.fileno())
            with pytest.raises(ValueError, match="does not listen there"):
                taken_over(descriptor, address)
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(OSError, match="non-socket"):
        taken_over(reading, address)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)


def test_a_second_socket_for_an_address_is_refused() -> None:
    """Two sockets are two queues; it can only come from another network, or from one who shares ports."""
    address = here()
    holder = Holder(0.0, clock=time.monotonic, now=time.time)
    with ExitStack() as ending:
        ending.callback(holder.close)
        one, two = (ending.enter_context(socket.socket()) for _ in range(2))
        for made in (one, two):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind((address.host, address.port))
            made.listen()
        holder.take(address, os.dup(one.fileno()))
        holder.take(address, os.dup(one.fileno()))
        with pytest.raises(Refused, match="the socket offered is another"):
            holder.take(address, os.dup(two.fileno()))
