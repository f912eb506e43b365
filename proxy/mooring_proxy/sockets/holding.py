"""Which addresses are held for whom: a machine of values. The sockets themselves are holder.py's.

An address is held as long as somebody wants it:

- A connected proxy wants what it wished for, until it drops the wish or departs.
- The wishes of a proxy that departed, for whatever reason, are kept for `keep_seconds`: it is being restarted, and its
  clients wait in the kernel's queue meanwhile.
- A kept wish ends earlier by newer and better knowledge: when a proxy says that its table is fresh and that it has
  wished for all there is in it, all kept wishes end; when a proxy with a fresh table drops an address, the kept wish
  for that address ends.

So nothing closes while proxies are restarted, one or all; what ended while the only proxy was away closes as soon as
its successor knows the catalog; and nothing stays open for ever. A table from a proxy's own disk is settled, but not
fresh: it may lack what came last, so by it nothing is let go.

All this takes for granted that the proxies of one holder are told to listen for the same things.

A proxy that leaves may stop accepting when another one that is settled, and does not leave, wants all that it wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import field, mutable

from mooring.model import Address

NOTHING: Final[frozenset[Address]] = frozenset()


@mutable
class Wisher:
    """A connected proxy: what it wants, and how it stands."""

    wishes: set[Address] = field(factory=set)
    is_settled: bool = False
    is_fresh: bool = False
    is_leaving: bool = False


class Holding:
    """Who wants what. `now` is in seconds of a clock that does not jump; methods return what nobody wants any more."""

    def __init__(self, keep_seconds: float) -> None:
        self._keep_seconds = keep_seconds
        self._proxies: dict[int, Wisher] = {}
        self._wishers: dict[Address, set[int]] = {}
        self._kept_until: dict[Address, float] = {}

    # ---------------------------------------------------------------------------------------------- what proxies say
    def arrived(self, proxy: int) -> None:
        """Know a proxy from now on."""
        self._proxies[proxy] = Wisher()

    def wished(self, proxy: int, address: Address) -> None:
        """Note that a proxy wants an address."""
        self._proxies[proxy].wishes.add(address)
        self._wishers.setdefault(address, set()).add(proxy)

    def dropped(self, proxy: int, address: Address) -> frozenset[Address]:
        """Note that a proxy wants an address no longer."""
        self._proxies[proxy].wishes.discard(address)
        self._wishers.get(address, set()).discard(proxy)
        if self._proxies[proxy].is_fresh:
            self._kept_until.pop(address, None)
        return self._unwanted((address,))

    def settled(self, proxy: int, *, is_fresh: bool) -> frozenset[Address]:
        """Note that a proxy accepts connections, and has wished for all that is in its table."""
        one = self._proxies[proxy]
        one.is_settled = True
        one.is_fresh = one.is_fresh or is_fresh
        if not is_fresh:
            return NOTHING
        ended, self._kept_until = tuple(self._kept_until), {}
        return self._unwanted(ended)

    def leaves(self, proxy: int) -> None:
        """Note that a proxy is about to depart and looks for somebody who accepts in its place."""
        self._proxies[proxy].is_leaving = True

    def departed(self, proxy: int, now: float) -> frozenset[Address]:
        """Forget a proxy, and keep its wishes for a while."""
        gone = self._proxies.pop(proxy)
        for address in gone.wishes:
            self._wishers[address].discard(proxy)
            self._kept_until[address] = now + self._keep_seconds
        return self.lapsed(now)

    # ------------------------------------------------------------------------------------------------- what follows
    def lapsed(self, now: float) -> frozenset[Address]:
        """Let the wishes end that were kept long enough."""
        ended = [address for address, until in self._kept_until.items() if until <= now]
        for address in ended:
            del self._kept_until[address]
        return self._unwanted(ended)

    def may_go(self, proxy: int) -> bool:
        """Tell whether another proxy accepts everywhere where this one does."""
        leaving = self._proxies[proxy]
        return any(
            other.is_settled and not other.is_leaving and other.wishes >= leaving.wishes
            for number, other in self._proxies.items()
            if number != proxy
        )

    def _unwanted(self, addresses: Iterable[Address]) -> frozenset[Address]:
        ended = [one for one in addresses if not self._wishers.get(one) and one not in self._kept_until]
        for address in ended:
            self._wishers.pop(address, None)
        return frozenset(ended)

    # ---------------------------------------------------------------------------------------------------- to look at
    @property
    def proxies(self) -> Mapping[int, Wisher]:
        """The connected proxies."""
        return self._proxies

    def wishers(self, address: Address) -> frozenset[int]:
        """Return who wants an address."""
        return frozenset(self._wishers.get(address, ()))

    def kept_seconds(self, address: Address, now: float) -> float | None:
        """Return how much longer an address is kept for those who departed, or None: it is not."""
        until = self._kept_until.get(address)
        return None if until is None else max(0.0, until - now)
