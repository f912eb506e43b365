"""The holder of listening sockets: binds what proxies want, once, and gives each of them the same socket.

It accepts nobody: the kernel lets clients wait in the socket's queue while no proxy accepts. Whose wish counts for how
long is decided in holding.py. A holder that starts knows nothing; the proxies that live offer it what they have.

If we crash here: every socket that a proxy has lives on in that proxy; only sockets that no proxy has at this very
moment are gone.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from mooring.model import Address, parse_address
from mooring.telemetry import get_logger
from mooring_proxy.sockets import metrics
from mooring_proxy.sockets.binding import bind, is_same, taken_over
from mooring_proxy.sockets.holding import Holding
from mooring_proxy.sockets.wire import Drop, Hello, Leave, Line, Offer, Refused, Settled, Want

log = get_logger()


class Holder(Factory):
    """Holds sockets for the proxies that connect. `clock` is monotonic, `now` gives epoch seconds."""

    noisy = False

    def __init__(self, keep_seconds: float, *, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self.holding = Holding(keep_seconds)
        self._clock = clock
        self._now = now
        self._held: dict[Address, socket.socket] = {}
        self._since: dict[Address, float] = {}
        self._guests: dict[int, Guest] = {}
        self._numbers = 0

    def buildProtocol(self, addr: IAddress | None) -> Line:  # noqa: ARG002 -- Twisted's signature
        """Return our end of a new proxy's connection."""
        self._numbers += 1
        return Guest(self, self._numbers, self._now())

    def arrived(self, guest: Guest) -> None:
        """Know a proxy that connected."""
        self._guests[guest.number] = guest
        self.holding.arrived(guest.number)
        metrics.PROXIES.set(len(self._guests))

    def departed(self, guest: Guest) -> None:
        """Forget a proxy whose connection ended, and keep its wishes for a while."""
        del self._guests[guest.number]
        log.info("proxy departed", proxy=guest.name)
        self.let_go(self.holding.departed(guest.number, self._clock()))
        metrics.PROXIES.set(len(self._guests))

    # ---------------------------------------------------------------------------------------- what guests make of it
    def give(self, address: Address) -> socket.socket:
        """Return the socket of an address, bound now if nobody wanted it before.

        Raises:
            Refused: it cannot be bound.
        """
        if address not in self._held:
            try:
                self._hold(address, bind(address))
            except OSError as error:
                metrics.REFUSED.inc()
                log.warning("cannot bind", address=str(address), problem=str(error))
                raise Refused(str(error)) from error
            log.info("bound", address=str(address))
        return self._held[address]

    def take(self, address: Address, descriptor: int) -> None:
        """Hold a socket that a proxy has.

        Raises:
            Refused: it is not what it should be.
        """
        try:
            offered = taken_over(descriptor, address)
        except (OSError, ValueError) as error:
            raise Refused(str(error)) from error
        held = self._held.get(address)
        if held is None:
            self._hold(address, offered)
            log.info("holding what a proxy has", address=str(address))
            return
        with offered:
            if not is_same(held, offered):
                message = f"{address} is held already, and the socket offered is another: is this proxy on our network?"
                raise Refused(message)

    def _hold(self, address: Address, held: socket.socket) -> None:
        self._held[address], self._since[address] = held, self._now()
        metrics.HELD.set(len(self._held))

    def let_go(self, addresses: Iterable[Address]) -> None:
        """Close the sockets of these addresses, if they are held."""
        for address in addresses:
            held = self._held.pop(address, None)
            if held is not None:
                held.close()
                del self._since[address]
                log.info("let go", address=str(address))
        metrics.HELD.set(len(self._held))

    def look(self) -> None:
        """Let go of what was kept long enough; to be called every second or so."""
        self.let_go(self.holding.lapsed(self._clock()))

    def relieve(self) -> None:
        """Tell those who want to leave that they may, if so."""
        for guest in tuple(self._guests.values()):
            guest.relieve()

    def close(self) -> None:
        """Let go of everything; what proxies have lives on in them."""
        self.let_go(tuple(self._held))

    # --------------------------------------------------------------------------------------------------- for people
    def state(self) -> Mapping[str, object]:
        """Return what is held for whom, and who is there."""
        now = self._clock()
        return {
            "sockets": [
                {
                    "address": str(address),
                    "since": self._since[address],
                    "proxies": sorted(self._guests[one].name for one in self.holding.wishers(address)),
                    "kept_seconds": self.holding.kept_seconds(address, now),
                }
                for address in self._held
            ],
            "proxies": [
                {
                    "name": guest.name,
                    "since": guest.since,
                    "settled": self.holding.proxies[number].is_settled,
                    "fresh": self.holding.proxies[number].is_fresh,
                    "leaving": self.holding.proxies[number].is_leaving,
                    "wishes": len(self.holding.proxies[number].wishes),
                }
                for number, guest in self._guests.items()
            ],
        }


class Guest(Line):
    """A connected proxy, and what it says."""

    def __init__(self, holder: Holder, number: int, since: float) -> None:
        super().__init__(made=holder.arrived, lost=holder.departed)
        self.number = number
        self.name = ""
        self.since = since
        self._holder = holder
        self._leave: Deferred[dict[str, object]] | None = None

    @Hello.responder
    def hello(self, name: str) -> dict[str, object]:
        """See wire.Hello."""
        self.name = name
        log.info("proxy arrived", proxy=name)
        return {}

    @Want.responder
    def want(self, address: str) -> dict[str, object]:
        """See wire.Want. A wish that cannot be had remains one: somebody else may offer the socket later."""
        wanted = parse_address(address)
        self._holder.holding.wished(self.number, wanted)
        given = self._holder.give(wanted)
        self._holder.relieve()
        return {"socket": given.fileno()}

    @Offer.responder
    def offer(self, address: str, socket: int) -> dict[str, object]:
        """See wire.Offer."""
        wanted = parse_address(address)
        self._holder.take(wanted, socket)
        self._holder.holding.wished(self.number, wanted)
        self._holder.relieve()
        return {}

    @Drop.responder
    def drop(self, address: str) -> dict[str, object]:
        """See wire.Drop: when it was the last, the socket is closed here first, and then by the proxy."""
        unwanted = self._holder.holding.dropped(self.number, parse_address(address))
        self._holder.let_go(unwanted)
        self._holder.relieve()
        return {"is_last": bool(unwanted)}

    @Settled.responder
    def settled(self, is_fresh: bool) -> dict[str, object]:  # noqa: FBT001 -- AMP hands it over by name
        """See wire.Settled."""
        self._holder.let_go(self._holder.holding.settled(self.number, is_fresh=is_fresh))
        self._holder.relieve()
        return {}

    @Leave.responder
    def leave(self) -> Deferred[dict[str, object]]:
        """See wire.Leave."""
        self._holder.holding.leaves(self.number)
        leaving = self._leave = Deferred()
        self.relieve()
        return leaving

    def relieve(self) -> None:
        """Answer a proxy that wants to leave, as soon as another one accepts in its place."""
        if self._leave is not None and self._holder.holding.may_go(self.number):
            leave, self._leave = self._leave, None
            leave.callback({})
