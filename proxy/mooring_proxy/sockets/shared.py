"""A proxy's listening sockets as the holder has them: all proxies of this host accept from the same.

The holder may be away. What is open stays open; an address that is wanted then is bound here after a short wait, for a
holder that is down must not stop new services. Once the holder is back it is offered everything that is had here, so
that it never binds a second socket beside one that a proxy has.

If we crash here: the holder sees the connection end, and keeps our wishes for a while.
"""

from __future__ import annotations

import os
import random
import socket
from functools import partial
from pathlib import Path
from typing import Final

from attrs import frozen
from twisted.application.internet import ClientService
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectionClosed
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from mooring.backoff import Backoff
from mooring.model import Address, Json
from mooring.telemetry import get_logger
from mooring_proxy import metrics
from mooring_proxy.sockets.binding import bind, taken_over
from mooring_proxy.sockets.source import CannotListen
from mooring_proxy.sockets.wire import Drop, Hello, Leave, Line, Offer, Refused, Settled, Want

# A holder that has not answered for so long is away, for the one who waits.
AWAY_SECONDS: Final = 2.0
# The holder is on this machine: asking often costs nothing, and it is soon noticed that it is back.
RECONNECT: Final = Backoff(first_seconds=0.02, most_seconds=0.5)

log = get_logger()


@frozen(eq=False)
class Wish:
    """An address that was asked for and is not had yet."""

    given: Deferred[socket.socket]
    timer: DelayedCall


class SharedSockets:
    """Has its sockets from the holder that listens at `path`."""

    is_shared = True

    def __init__(self, reactor: PosixReactorBase, path: Path) -> None:
        self._reactor = reactor
        self._name = ""
        self._line: Line | None = None
        self._wishes: dict[Address, Wish] = {}
        self._had: dict[Address, socket.socket] = {}
        self._held: set[Address] = set()  # of those that are had: what the holder has too
        self._closing: dict[Address, Deferred[bool]] = {}
        self._is_fresh: bool | None = None  # None: not settled yet
        self._leave: Deferred[None] | None = None
        endpoint = UNIXClientEndpoint(reactor, str(path), timeout=AWAY_SECONDS)
        factory = Factory.forProtocol(partial(Line, made=self._connected, lost=self._disconnected))
        factory.noisy = False
        self._service = ClientService(endpoint, factory, retryPolicy=_delay_seconds, clock=reactor)

    def start(self, name: str) -> None:
        """See SocketSource."""
        self._name = name
        metrics.HOLDER_AWAY.set(1)
        self._service.startService()

    def stop(self) -> None:
        """See SocketSource."""
        self._line = None
        self._service.stopService()
        for wish in self._wishes.values():
            wish.timer.cancel()
        for had in self._had.values():
            had.close()
        self._wishes.clear()
        self._had.clear()

    @property
    def outlives_us(self) -> bool:
        """See SocketSource."""
        return self._line is not None and self._held >= self._had.keys()

    # ------------------------------------------------------------------------------------------------- what is wanted
    def open(self, address: Address) -> Deferred[socket.socket]:
        """See SocketSource."""
        given: Deferred[socket.socket] = Deferred()
        wish = Wish(given, self._reactor.callLater(AWAY_SECONDS, self._bind_here, address))
        self._wishes[address] = wish
        closing = self._closing.get(address)
        if closing is None:
            self._ask(address, wish)
        else:
            # While the old socket is still open here, the holder could not bind a new one.
            closing.addCallback(self._ask_after, address, wish)
        return given

    def _ask_after(self, is_last: bool, address: Address, wish: Wish) -> bool:  # noqa: FBT001 -- a callback
        self._ask(address, wish)
        return is_last

    def close(self, address: Address) -> Deferred[bool]:
        """See SocketSource: closed here only when the holder has answered, so that the last is known to be the last."""
        wish = self._wishes.pop(address, None)
        if wish is not None:
            wish.timer.cancel()
        self._held.discard(address)
        dropped = self._drop(address)
        if address in self._had:
            self._closing[address] = dropped
            dropped.addCallback(self._closed, address, self._had.pop(address))
        return dropped

    def _drop(self, address: Address) -> Deferred[bool]:
        if self._line is None:
            return succeed(True)
        answer = self._line.ask(Drop, address=str(address))
        # A holder that stands still must not keep a port open whose service is gone.
        answer.addTimeout(AWAY_SECONDS, self._reactor)
        return answer.addCallbacks(lambda said: said["is_last"], lambda _: True)

    def _closed(self, is_last: bool, address: Address, had: socket.socket) -> bool:  # noqa: FBT001 -- a callback
        had.close()
        self._closing.pop(address, None)
        return is_last

    def settled(self, *, is_fresh: bool) -> None:
        """See SocketSource."""
        if self._is_fresh is None or (is_fresh and not self._is_fresh):
            self._is_fresh = is_fresh
            self._say_settled()

    def leave(self) -> Deferred[None]:
        """See SocketSource."""
        self._leave = Deferred()
        self._say_leaving(self._leave)
        return self._leave

    # ---------------------------------------------------------------------------------------------------- the holder
    def _connected(self, line: Line) -> None:
        log.info("connected to the holder of sockets")
        metrics.HOLDER_AWAY.set(0)
        self._line = line
        line.ask(Hello, name=self._name).addErrback(_unanswered)
        for address, had in self._had.items():
            self._offer(address, had)
        for address, wish in self._wishes.items():
            self._ask(address, wish)
        if self._is_fresh is not None:
            self._say_settled()
        if self._leave is not None:
            self._say_leaving(self._leave)

    def _disconnected(self, line: Line) -> None:
        if self._line is line:
            self._line = None
            self._held.clear()
            metrics.HOLDER_AWAY.set(1)
            log.warning("the holder of sockets is away, what is open stays open")

    def _ask(self, address: Address, wish: Wish) -> None:
        if self._line is not None and self._wishes.get(address) is wish:
            answer = self._line.ask(Want, address=str(address))
            answer.addCallback(lambda said: self._given(address, wish, said["socket"]))
            answer.addErrback(self._refused, address, wish).addErrback(_unanswered)

    def _given(self, address: Address, wish: Wish, descriptor: int) -> None:
        if self._wishes.get(address) is not wish:
            os.close(descriptor)  # wanted no longer, or had otherwise
            return
        try:
            given = taken_over(descriptor, address)
        except (OSError, ValueError) as error:
            raise Refused(str(error)) from error
        self._held.add(address)
        self._have(address, given)

    def _refused(self, failure: Failure, address: Address, wish: Wish) -> None:
        failure.trap(Refused)
        if self._wishes.get(address) is wish:
            self._have_not(address, str(failure.value))

    def _bind_here(self, address: Address) -> None:
        """Go on without the holder."""
        try:
            bound = bind(address)
        except OSError as error:
            self._have_not(address, f"{error}; the holder of sockets does not answer")
            return
        log.warning("the holder of sockets does not answer, bound here", address=str(address))
        self._have(address, bound)
        self._offer(address, bound)

    def _have(self, address: Address, had: socket.socket) -> None:
        wish = self._wishes.pop(address)
        if wish.timer.active():
            wish.timer.cancel()
        self._had[address] = had
        wish.given.callback(had)

    def _have_not(self, address: Address, problem: str) -> None:
        wish = self._wishes.pop(address)
        if wish.timer.active():
            wish.timer.cancel()
        wish.given.errback(CannotListen(problem))

    def _offer(self, address: Address, had: socket.socket) -> None:
        if self._line is not None:
            answer = self._line.ask(Offer, address=str(address), socket=had.fileno())
            answer.addCallback(lambda _: self._offered(address, had)).addErrback(_unanswered)

    def _offered(self, address: Address, had: socket.socket) -> None:
        if self._had.get(address) is had:
            self._held.add(address)

    def _say_settled(self) -> None:
        if self._line is not None:
            self._line.ask(Settled, is_fresh=bool(self._is_fresh)).addErrback(_unanswered)

    def _say_leaving(self, leave: Deferred[None]) -> None:
        if self._line is not None:
            answer = self._line.ask(Leave)
            answer.addCallback(lambda _: None if leave.called else leave.callback(None)).addErrback(_unanswered)

    def report(self) -> Json:
        """See SocketSource."""
        if self._line is None:
            return "the holder is away"
        return "asking the holder" if self._wishes or self._closing or not self.outlives_us else "held"


def _delay_seconds(failures: int) -> float:
    backoff = Backoff(RECONNECT.first_seconds, RECONNECT.most_seconds, failures)
    return backoff.delay_seconds(random.random())  # noqa: S311 -- jitter, not a secret


def _unanswered(failure: Failure) -> None:
    """Let a question be that was not answered: with the next connection everything is said anew."""
    if failure.check(ConnectionClosed) is None:
        log.warning("the holder of sockets refuses", problem=str(failure.value))
