"""Whose wish for an address counts for how long, and who may leave."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mooring.model import Address
from mooring_proxy.sockets.holding import Holding

KEEP_SECONDS = 60.0
WEB, API = Address("0.0.0.0", 80), Address("0.0.0.0", 81)
ADDRESSES = [WEB, API, Address("::", 80)]


def holding_of(*proxies: int, wishes: tuple[Address, ...] = (WEB,)) -> Holding:
    """Return what a holder knows when these proxies want all of these."""
    holding = Holding(KEEP_SECONDS)
    for proxy in proxies:
        holding.arrived(proxy)
        for address in wishes:
            holding.wished(proxy, address)
    return holding


def test_an_address_is_wanted_while_anybody_wants_it() -> None:
    """The last who drops it ends it."""
    holding = holding_of(1, 2)
    assert holding.dropped(1, WEB) == frozenset()
    assert holding.dropped(2, WEB) == {WEB}


def test_what_a_departed_proxy_wanted_is_kept_for_a_while() -> None:
    """It is being restarted; when it does not come back, the socket goes."""
    holding = holding_of(1)
    assert holding.departed(1, now=100.0) == frozenset()
    assert holding.kept_seconds(WEB, 110.0) == KEEP_SECONDS - 10
    assert holding.lapsed(100.0 + KEEP_SECONDS - 0.1) == frozenset()
    assert holding.lapsed(100.0 + KEEP_SECONDS) == {WEB}


def test_a_successor_with_a_fresh_table_ends_what_it_does_not_want() -> None:
    """A service that ended while the only proxy was away is not listened for until the time is up."""
    holding = holding_of(1, wishes=(WEB, API))
    holding.departed(1, now=100.0)
    holding.arrived(2)
    holding.wished(2, API)
    assert holding.settled(2, is_fresh=True) == {WEB}
    assert holding.lapsed(1000.0) == frozenset()


def test_a_stored_table_ends_nothing() -> None:
    """It may lack what came last; the fresh one that follows may end it."""
    holding = holding_of(1)
    holding.departed(1, now=100.0)
    holding.arrived(2)
    assert holding.settled(2, is_fresh=False) == frozenset()
    assert holding.settled(2, is_fresh=True) == {WEB}


def test_who_was_there_before_says_nothing_about_those_who_depart() -> None:
    """It may lag behind: what the departed one wanted may be in its table in a moment."""
    holding = holding_of(1)
    holding.arrived(2)
    holding.settled(2, is_fresh=True)
    assert holding.departed(1, now=100.0) == frozenset()


def test_who_drops_an_address_with_a_fresh_table_speaks_for_the_departed_too() -> None:
    """The service is gone: nobody would accept there while the other one is being restarted."""
    holding = holding_of(1, 2)
    holding.settled(2, is_fresh=True)
    holding.departed(1, now=100.0)
    assert holding.dropped(2, WEB) == {WEB}


def test_who_drops_an_address_by_a_stored_table_speaks_for_himself() -> None:
    """The departed one may have known better."""
    holding = holding_of(1, 2)
    holding.settled(2, is_fresh=False)
    holding.departed(1, now=100.0)
    assert holding.dropped(2, WEB) == frozenset()


def test_who_leaves_may_go_when_another_accepts_in_its_place() -> None:
    """One that is settled, wants the same at least, and does not leave itself."""
    holding = holding_of(1, 2)
    assert not holding.may_go(1)  # 2 knows nothing yet
    holding.settled(2, is_fresh=False)
    assert holding.may_go(1)
    holding.wished(1, API)
    assert not holding.may_go(1)  # nobody would accept there
    holding.wished(2, API)
    assert holding.may_go(1)
    holding.leaves(2)
    assert not holding.may_go(1)


def test_of_those_who_leave_together_the_last_is_told_that_it_is_alone() -> None:
    """Otherwise all would close at once."""
    holding = holding_of(1, 2, 3)
    for proxy in (1, 2, 3):
        holding.settled(proxy, is_fresh=True)
    told = []
    for proxy in (1, 2, 3):
        holding.leaves(proxy)
        told.append(holding.may_go(proxy))
    assert told == [True, True, False]


class Model(RuleBasedStateMachine):
    """Any history of proxies, against what the rules say in words; `held` is what an edge would hold."""

    def __init__(self) -> None:
        super().__init__()
        self.holding = Holding(KEEP_SECONDS)
        self.now = 0.0
        self.numbers = 0
        self.wishes: dict[int, set[Address]] = {}
        self.fresh: set[int] = set()
        self.kept: dict[Address, float] = {}
        self.held: set[Address] = set()

    def let_go(self, addresses: frozenset[Address]) -> None:
        """Close what nobody wants any more."""
        assert not any(address in wishes for wishes in self.wishes.values() for address in addresses)
        self.held -= addresses

    @rule()
    def arrive(self) -> None:
        """A proxy connects."""
        self.numbers += 1
        self.wishes[self.numbers] = set()
        self.holding.arrived(self.numbers)

    @precondition(lambda self: self.wishes)
    @rule(data=st.data(), address=st.sampled_from(ADDRESSES))
    def wish(self, data: st.DataObject, address: Address) -> None:
        """A proxy wants an address, perhaps not for the first time."""
        proxy = data.draw(st.sampled_from(sorted(self.wishes)))
        self.wishes[proxy].add(address)
        self.holding.wished(proxy, address)
        self.held.add(address)

    @precondition(lambda self: self.wishes)
    @rule(data=st.data(), address=st.sampled_from(ADDRESSES))
    def drop(self, data: st.DataObject, address: Address) -> None:
        """A proxy wants one no longer."""
        proxy = data.draw(st.sampled_from(sorted(self.wishes)))
        self.wishes[proxy].discard(address)
        if proxy in self.fresh:
            self.kept.pop(address, None)
        self.let_go(self.holding.dropped(proxy, address))

    @precondition(lambda self: self.wishes)
    @rule(data=st.data(), is_fresh=st.booleans())
    def settle(self, data: st.DataObject, is_fresh: bool) -> None:
        """A proxy has said all that it wants."""
        proxy = data.draw(st.sampled_from(sorted(self.wishes)))
        if is_fresh:
            self.fresh.add(proxy)
            self.kept = {}
        self.let_go(self.holding.settled(proxy, is_fresh=is_fresh))

    @precondition(lambda self: self.wishes)
    @rule(data=st.data())
    def depart(self, data: st.DataObject) -> None:
        """A proxy is gone."""
        proxy = data.draw(st.sampled_from(sorted(self.wishes)))
        for address in self.wishes.pop(proxy):
            self.kept[address] = self.now + KEEP_SECONDS
        self.let_go(self.holding.departed(proxy, self.now))

    @rule(seconds=st.sampled_from([1.0, 30.0, 60.0]))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds
        self.kept = {address: until for address, until in self.kept.items() if until > self.now}
        self.let_go(self.holding.lapsed(self.now))

    @invariant()
    def exactly_what_is_wanted_is_held(self) -> None:
        """Nothing that somebody wants is closed, and nothing stays open for nobody."""
        wanted = {address for wishes in self.wishes.values() for address in wishes} | self.kept.keys()
        assert self.held == wanted
        assert all(self.holding.kept_seconds(address, self.now) is not None for address in self.kept)


TestHolding = Model.TestCase
