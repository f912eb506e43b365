"""The relay with real sockets: half-close, slow readers, resets, drain, and ports that are not to be had."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager, suppress
from hashlib import sha256
from threading import Event, Thread

import pytest

from mooring.model import Address
from mooring.selector import Selector
from mooring_proxy.balancers.round_robin import RoundRobin
from mooring_proxy.drivers.relay import RelayDriver
from mooring_proxy.relay.listener import FIRST_TABLE_SECONDS
from mooring_proxy.routing import Backend, BackendKey, Route, RoutingTable
from tests.reactors import DEADLINE_SECONDS, NamedBackend, ReactorThread, reactor_thread
from tests.servers import free_port
from tests.waiting import wait_until

PIECE = bytes(range(256)) * 256
LONG_PIECES = 400  # 26 MB: more than all buffers between a client and a backend together


class Relaying:
    """A relay in front of backends that do what a test wants."""

    def __init__(self, running: ReactorThread, ending: ExitStack) -> None:
        self._running = running
        self.ending = ending
        self.driver = RelayDriver(running.reactor, balancer=RoundRobin, connect_seconds=1.0)
        self.at = Address("127.0.0.1", free_port())

    def backend(self, name: str, serve: Callable[[socket.socket], None]) -> Backend:
        """Return a backend that sends its name, then serves."""
        listening = NamedBackend(name, serve)
        self.ending.callback(listening.close)
        return Backend(BackendKey("web", name), Address("127.0.0.1", listening.port))

    def route(self, *backends: Backend, complete: bool = True) -> None:
        """Let the listener lead to these."""
        table = RoutingTable({self.at: Route(self.at, Selector("web"), backends)}, complete=complete)
        self._running.call(lambda: self.driver.apply(table))

    def unroute(self) -> None:
        """Take the listener away."""
        self._running.call(lambda: self.driver.apply(RoutingTable(complete=True)))

    def client(self) -> socket.socket:
        """Connect to the listener."""
        return socket.create_connection((self.at.host, self.at.port), timeout=DEADLINE_SECONDS)

    def stop(self, drain_seconds: float) -> Future[None]:
        """Begin to drain."""
        return self._running.start_and_wait(lambda: self.driver.stop(drain_seconds))

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition that must be looked at in the reactor's thread."""
        wait_until(lambda: self._running.call(condition), what, DEADLINE_SECONDS)


class Dying:
    """A backend that accepts and ends without a word, by FIN or by RST."""

    def __init__(self, how: str) -> None:
        self.accepted = 0
        self._linger = struct.pack("ii", how == "RST", 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.backend = Backend(BackendKey("web", "dying"), Address("127.0.0.1", self._listener.getsockname()[1]))
        self._thread = Thread(target=self._die)
        self._thread.start()

    def _die(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, self._linger)
                client.close()

    def close(self) -> None:
        """Be dead."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE_SECONDS)
        self._listener.close()


@pytest.fixture
def relaying() -> Iterator[Relaying]:
    """Have a relay; in the end nothing of it is left."""
    with ExitStack() as ending, reactor_thread() as running:
        made = Relaying(running, ending)
        yield made
        made.stop(0.0).result(DEADLINE_SECONDS)
        assert made.driver.connections() == 0


def received(client: socket.socket) -> bytes:
    """Read until the other side has sent everything."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_client_may_end_first_and_still_get_the_answer(relaying: Relaying) -> None:
    """Half-close goes through: the backend sees the end of the request, the client the whole answer after it."""

    def answer(client: socket.socket) -> None:
        request = received(client)
        client.sendall(sha256(request).digest())

    relaying.route(relaying.backend("one", answer))
    with relaying.client() as client:
        client.sendall(b"a request that ends with FIN")
        client.shutdown(socket.SHUT_WR)
        assert received(client) == b"one" + sha256(b"a request that ends with FIN").digest()


def test_a_backend_may_end_first_and_still_get_the_tail(relaying: Relaying) -> None:
    """The other half stays open until the client has said everything."""
    tails: Future[bytes] = Future()

    def say_and_listen(client: socket.socket) -> None:
        client.shutdown(socket.SHUT_WR)
        tails.set_result(received(client))

    relaying.route(relaying.backend("one", say_and_listen))
    with relaying.client() as client:
        assert received(client) == b"one"
        client.sendall(PIECE)
    assert tails.result(DEADLINE_SECONDS) == PIECE


def test_a_slow_reader_holds_up_the_sender_and_loses_nothing(relaying: Relaying) -> None:
    """Back-pressure: what the client does not read is not piled up in the relay, and all of it arrives in the end."""
    sent = [0]
    stuck = Event()

    def send_much(client: socket.socket) -> None:
        client.settimeout(0.5)
        for _ in range(LONG_PIECES):
            rest = memoryview(PIECE)
            while rest:
                try:
                    count = client.send(rest)
                except TimeoutError:
                    stuck.set()
                    continue
                sent[0] += count
                rest = rest[count:]

    relaying.route(relaying.backend("", send_much))
    with relaying.client() as client:
        assert stuck.wait(DEADLINE_SECONDS), "the sender was never held up"
        assert sent[0] < LONG_PIECES * len(PIECE)
        assert sha256(received(client)).digest() == sha256(PIECE * LONG_PIECES).digest()


def test_a_reset_is_passed_on(relaying: Relaying) -> None:
    """A client learns that its answer was cut short: a clean end would hide the loss."""

    def answer_and_die(client: socket.socket) -> None:
        client.recv(1)
        client.sendall(PIECE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    relaying.route(relaying.backend("", answer_and_die))
    with relaying.client() as client:
        client.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            received(client)


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_a_backend_that_ends_without_a_word_is_passed_over(relaying: Relaying, how: str) -> None:
    """Killed between its accept and its first read: the client, who has not spoken yet, is served by another."""
    dying = Dying(how)
    relaying.ending.callback(dying.close)
    relaying.route(dying.backend, relaying.backend("two", lambda client: client.sendall(client.recv(5))))
    for _ in range(4):
        with relaying.client() as client:
            assert client.recv(3) == b"two"
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"
    assert dying.accepted
    relaying.wait_until(lambda: relaying.driver.connections() == 0, "all connections to end")


def test_who_comes_before_the_first_table_is_served_by_it(relaying: Relaying) -> None:
    """A static listener answers at once; its first clients wait for the catalog."""
    relaying.route(complete=False)
    with relaying.client() as client:
        relaying.wait_until(lambda: relaying.driver.connections() == 1, "the connection")
        relaying.route(relaying.backend("one", lambda _: None))
        assert received(client) == b"one"


def test_who_waits_for_the_first_table_in_vain_is_let_go(relaying: Relaying) -> None:
    """After a second the client is reset: it may be served elsewhere."""
    relaying.route(complete=False)
    began = time.monotonic()
    with relaying.client() as client, pytest.raises(ConnectionResetError):
        client.recv(1)
    assert time.monotonic() - began >= FIRST_TABLE_SECONDS * 0.9


def test_a_backend_that_leaves_the_table_keeps_its_connections(relaying: Relaying) -> None:
    """Neither a removed backend nor a removed listener touches what is open."""

    def echo(client: socket.socket) -> None:
        client.sendall(client.recv(10))

    relaying.route(relaying.backend("one", echo))
    with relaying.client() as client:
        assert client.recv(3) == b"one"
        relaying.route()
        relaying.unroute()
        client.sendall(b"still here")
        assert received(client) == b"still here"


def test_draining_lets_open_connections_finish(relaying: Relaying) -> None:
    """Nobody new is accepted, and the drain ends with the last connection, not with the deadline."""
    relaying.route(relaying.backend("one", lambda client: client.sendall(client.recv(10))))
    with relaying.client() as client:
        assert client.recv(3) == b"one"
        drained = relaying.stop(60.0)
        relaying.wait_until(lambda: relaying.driver.report() == [], "the listener to close")
        with pytest.raises(ConnectionRefusedError):
            relaying.client()
        assert not drained.done()
        client.sendall(b"bye")
        assert received(client) == b"bye"
    drained.result(DEADLINE_SECONDS)


def test_the_drain_ends_at_its_deadline(relaying: Relaying) -> None:
    """Whoever does not end is reset."""
    relaying.route(relaying.backend("one", lambda client: client.sendall(received(client))))
    with relaying.client() as client:
        assert client.recv(3) == b"one"
        relaying.stop(0.2).result(DEADLINE_SECONDS)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


@contextmanager
def standing_still(running: ReactorThread) -> Iterator[None]:
    """Keep the reactor busy, so that connections pile up in backlogs."""
    began, go_on = Event(), Event()

    def stand() -> None:
        began.set()
        go_on.wait(DEADLINE_SECONDS)

    running.reactor.callFromThread(stand)
    assert began.wait(DEADLINE_SECONDS)
    try:
        yield
    finally:
        go_on.set()


def test_who_waits_in_the_backlog_when_the_listener_closes_is_served(relaying: Relaying) -> None:
    """A connection that the kernel accepted for us is ours: a proxy that stops resets none of them."""
    relaying.route(relaying.backend("one", lambda _: None))
    with ExitStack() as ending:
        with standing_still(relaying._running):  # noqa: SLF001
            clients = [ending.enter_context(closing(relaying.client())) for _ in range(200)]
            relaying._running.reactor.callFromThread(relaying.driver.stop, 30.0)  # noqa: SLF001
        assert {received(client) for client in clients} == {b"one"}


def test_a_port_that_is_taken_is_asked_for_again(relaying: Relaying) -> None:
    """Another process's port stops nothing else, is reported, and is had as soon as it is free."""
    with socket.create_server((relaying.at.host, relaying.at.port)):
        relaying.route(relaying.backend("one", lambda _: None))
        (report,) = relaying.driver.report()
        assert isinstance(report, dict)
        assert "in use" in str(report["problem"])
    relaying.wait_until(
        lambda: "''" in str([one["problem"] for one in relaying.driver.report() if isinstance(one, dict)]),
        "no listener to have a problem",
    )
    with relaying.client() as client:
        assert received(client) == b"one"
