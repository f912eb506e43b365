"""Writing to an etcd by its v2 API: what is written, renewed, left alone and taken over, and by whom."""

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import OwnershipLost, Unavailable, WorldError
from mooring.etcd2.memory import MemoryKeys
from mooring.etcd2.store import ABSENT, Node
from mooring.model import Address, Binding, Instance, State
from mooring_register.deregistration import Failure
from mooring_register.layouts.foreign import Backends, Registrator
from mooring_register.layouts.layout import Layout
from mooring_register.layouts.native import Native
from mooring_register.ownership import Claim
from mooring_register.registrar import Key, Withdrawal
from mooring_register.writers.etcd2 import Etcd2Writer
from mooring_register.writers.writer import Terms
from tests.fates import DEATHS, FAILURES, FINE, LOST, UNANSWERED, Fated, Killed

WEB = Instance(
    service="web", id="a", address=Address("10.0.0.1", 80), port=80, container="c1" * 6, name="/web.1", host="h1"
)
OTHER = evolve(WEB, id="b", address=Address("10.0.0.2", 80), container="c2" * 6, host="h2")
MOVED = evolve(WEB, address=Address("10.0.0.1", 81))
DB = Binding(key="h1/c9/BACKEND_DB", service="db", port=5432, addresses=("10.0.0.9",), host="h1", container="c9")
KEY, PORT_KEY, HOST_KEY = "/services/web/a", "/backends/web/port", "/mooring/hosts/h1"
NATIVE, PLAIN = Native("/services"), Registrator("/services")
TTL_SECONDS = 15


class Hosts:
    """One server and the registers of several hosts, whose time passes together."""

    def __init__(self) -> None:
        self.server = MemoryKeys()
        self.now = 100.0
        self.happen: Callable[[], object] = lambda: None
        self.fates: dict[Etcd2Writer, Fated] = {}
        self._tokens = (f"token{number}" for number in itertools.count())

    def writer(
        self, layout: Layout = NATIVE, host: str = "h1", engine: str = "E1", idle: Callable[[], float] = lambda: 0.0
    ) -> Etcd2Writer:
        """Return a writer that takes its turns when it is told to."""
        terms = Terms(
            claim=Claim(host=host, engine=engine, ttl_seconds=TTL_SECONDS, version="0.1", started="now"),
            resync_seconds=60.0,
            clock=lambda: self.now,
            tokens=lambda: next(self._tokens),
            owner_idle_seconds=idle,
        )
        fated = Fated(self.server, self._let_happen)
        one = Etcd2Writer(fated, "etcd2://memory", layout, terms, connections=1)
        self.fates[one] = fated
        return one

    def _let_happen(self, what: str) -> None:
        del what
        self.happen()

    def written(self) -> dict[str, str]:
        """Return what is written, but for what is ours alone."""
        return {one.key: one.value.decode() for one in self.server.list("/") if not one.key.startswith("/mooring/")}

    def indexes(self) -> dict[str, int]:
        """Return the index of each key."""
        return {one.key: one.index for one in self.server.list("/")}

    def let_pass(self, seconds: int, *living: Etcd2Writer) -> None:
        """Let seconds pass, in which these renew and take their turns."""
        for _ in range(seconds):
            self.now += 1
            self.server.advance(1)
            for one in living:
                try_beat(one)
                try_turn(one)


def turn(one: Etcd2Writer, *instances: Instance, bindings: tuple[Binding, ...] = ()) -> None:
    """Want these and no others, and take a turn."""
    wanted = {instance.key: instance for instance in instances}
    one.mailbox.deliver(wanted, {}, bindings={binding.key: binding for binding in bindings})
    one.turn()


def try_turn(one: Etcd2Writer) -> WorldError | None:
    """Take a turn, and return what kept it from its end."""
    try:
        one.turn()
    except WorldError as error:
        one.failed(error)
        return error
    return None


def try_beat(one: Etcd2Writer) -> None:
    """Renew once, as far as the server answers."""
    with suppress(Unavailable):
        one.keep_alive.beat()


def get(hosts: Hosts, key: str) -> Node:
    """Return a key that is there."""
    found = hosts.server.get(key)
    assert found is not None
    return found


# -- what is written


@pytest.mark.parametrize(("layout", "value"), [(PLAIN, "10.0.0.1:80"), (NATIVE, '"ipaddress":"10.0.0.1"')])
def test_written_with_a_time_to_live(layout: Layout, value: str) -> None:
    """[R-K] A key has a TTL of its own and is renewed while register lives; after that it expires."""
    hosts = Hosts()
    one = hosts.writer(layout)
    turn(one, WEB)
    assert value in hosts.written()[KEY]
    assert get(hosts, KEY).ttl_seconds == TTL_SECONDS
    hosts.let_pass(3 * TTL_SECONDS, one)
    assert get(hosts, KEY).ttl_seconds == TTL_SECONDS
    hosts.let_pass(TTL_SECONDS)
    assert hosts.server.list("/") == ()


def test_what_does_not_change_is_not_written() -> None:
    """A delivery that changes nothing, and a reading of everything, write nothing."""
    hosts = Hosts()
    for layout in (NATIVE, Backends("/backends")):
        one = hosts.writer(layout)
        turn(one, WEB, bindings=(DB,))
        before = hosts.indexes()
        turn(one, evolve(WEB, cause="reconciled", seen_docker=9.0), bindings=(DB,))
        hosts.now += 61
        one.turn()
        assert hosts.indexes() == before


@pytest.mark.parametrize("seconds", [61, -61], ids=["later", "clock set back"])
def test_somebody_deletes_our_key(seconds: int) -> None:
    """A key of ours that somebody deleted is written again, by the next reading of everything."""
    hosts = Hosts()
    one = hosts.writer()
    turn(one, WEB)
    hosts.server.delete(KEY, get(hosts, KEY).index)
    one.turn()
    assert hosts.server.get(KEY) is None
    hosts.now += seconds
    one.turn()
    assert hosts.server.get(KEY) is not None


def test_a_withdrawal_says_why() -> None:
    """A document says `down` with the cause before it goes, and goes by itself if register dies in between."""
    hosts = Hosts()
    one = hosts.writer()
    turn(one, WEB)
    one.mailbox.deliver({}, {WEB.key: Withdrawal("exited 137", 7.0)})
    hosts.fates[one].fates.extend([FINE, LOST])
    assert isinstance(try_turn(one), Unavailable)
    assert '"cause":"exited 137"' in hosts.written()[KEY]
    assert '"state":"down"' in hosts.written()[KEY]
    hosts.let_pass(2)
    one.keep_alive.beat()
    hosts.let_pass(1)
    assert hosts.written() == {}
    assert try_turn(one) is None
    assert one.mailbox.settled == 2
    turn(one, WEB)
    hosts.let_pass(TTL_SECONDS, one)
    assert '"state":"up"' in hosts.written()[KEY]


def test_what_failed_stays_if_that_is_wanted() -> None:
    """A failed container's document says `down` and why as long as it is listed as failed, and is renewed."""
    hosts = Hosts()
    one = hosts.writer()
    turn(one, WEB)
    one.mailbox.deliver({}, {}, failures={WEB.container: Failure("exited 1", 7.0)})
    one.turn()
    hosts.let_pass(2 * TTL_SECONDS, one)
    assert '"cause":"exited 1"' in hosts.written()[KEY]
    assert '"state":"down"' in hosts.written()[KEY]
    turn(one)
    assert hosts.written() == {}


def test_what_failed_goes_where_it_cannot_be_told() -> None:
    """A reader who knows no `down` is not shown what failed."""
    hosts = Hosts()
    one = hosts.writer(PLAIN)
    turn(one, WEB)
    one.mailbox.deliver({}, {}, failures={WEB.container: Failure("exited 1", 7.0)})
    one.turn()
    assert hosts.written() == {}


def test_wanted_again_before_it_is_gone() -> None:
    """An instance that comes back between its end and its deletion is up again, and renewed as ever."""
    hosts = Hosts()
    one = hosts.writer()
    turn(one, WEB)
    hosts.happen = lambda: one.mailbox.deliver({WEB.key: WEB}, {})
    hosts.fates[one].fates.append("the container starts again")
    turn(one)
    assert '"state":"down"' in hosts.written()[KEY]
    one.turn()
    assert '"state":"up"' in hosts.written()[KEY]
    hosts.let_pass(2 * TTL_SECONDS, one)
    assert '"state":"up"' in hosts.written()[KEY]
    assert one.state()["problem"] == ""
    assert get(hosts, KEY).ttl_seconds == TTL_SECONDS


def test_bindings_come_and_go() -> None:
    """A binding is a key of the host's own, renewed like the others, and deleted when it is wanted no more."""
    hosts = Hosts()
    one = hosts.writer(PLAIN)
    turn(one, bindings=(DB,))
    key = f"/mooring/bindings/{DB.key}"
    assert b'"service":"db"' in get(hosts, key).value
    hosts.let_pass(2 * TTL_SECONDS, one)
    turn(one, bindings=(evolve(DB, port=5433),))
    assert b'"port":"5433"' in get(hosts, key).value
    turn(one)
    assert hosts.server.get(key) is None


def test_what_is_in_the_way_is_told() -> None:
    """Where a directory stands in the place of a key that is reported, and the rest is written."""
    hosts = Hosts()
    hosts.server.put(f"{KEY}/stranger", b"x", 60, ABSENT)
    one = hosts.writer(PLAIN)
    turn(one, WEB, OTHER)
    assert hosts.written()["/services/web/b"] == "10.0.0.2:80"
    assert f"{KEY} is in the way" in str(one.state()["conflicts"])


# -- who comes after


@pytest.mark.parametrize("layout", [NATIVE, PLAIN, Backends("/backends")], ids=["native", "registrator", "backends"])
def test_a_successor_writes_nothing(layout: Layout) -> None:
    """[F-1] What a predecessor wrote is renewed and not written again; what has changed is; what is gone goes."""
    hosts = Hosts()
    gone = evolve(WEB, id="c", service="api", container="c3" * 6)
    turn(hosts.writer(layout), WEB, gone, bindings=(DB,))
    before = hosts.indexes()
    successor = hosts.writer(layout)
    turn(successor, WEB, gone, bindings=(DB,))
    after = hosts.indexes()
    assert {key for key in after if after[key] != before[key]} == {HOST_KEY}
    another = hosts.writer(layout)
    turn(another, MOVED)
    assert "81" in " ".join(hosts.written().values())
    assert not any("/api/" in key for key in hosts.written())
    assert not any(key.startswith("/mooring/bindings/") for key in hosts.indexes())


def test_gone_without_an_inventory() -> None:
    """What was written last before a crash is not listed: it is adopted if it is wanted, and else expires."""
    hosts = Hosts()
    first = hosts.writer(PLAIN)
    first.mailbox.deliver({WEB.key: WEB}, {})
    first.turn()
    for one in hosts.server.list("/mooring/keys"):
        hosts.server.delete(one.key, one.index)
    before = get(hosts, KEY)
    successor = hosts.writer(PLAIN)
    turn(successor, WEB)
    assert get(hosts, KEY) == before
    assert len(hosts.server.list("/mooring/keys/h1")) == 1
    for one in hosts.server.list("/mooring/keys"):
        hosts.server.delete(one.key, one.index)
    late = hosts.writer(PLAIN)
    turn(late)
    assert hosts.written() == {KEY: "10.0.0.1:80"}
    hosts.let_pass(TTL_SECONDS, late)
    assert hosts.written() == {}


@pytest.mark.parametrize(
    ("instances", "binding"), [({MOVED.key: MOVED}, DB), ({}, DB), ({WEB.key: WEB}, evolve(DB, port=1))]
)
def test_a_fenced_register_changes_nothing(instances: dict[Key, Instance], binding: Binding) -> None:
    """One that slept while its successor took over can neither write, nor delete, nor renew what is there."""
    hosts = Hosts()
    first = hosts.writer()
    turn(first, WEB, bindings=(DB,))
    second = hosts.writer()
    turn(second, WEB, bindings=(DB,))
    second.keep_alive.beat()
    before = hosts.indexes()
    # It believes for a moment that the host is its own, and its writes fail by their own conditions.
    first.mailbox.deliver(instances, {}, bindings={DB.key: binding})
    assert isinstance(try_turn(first), OwnershipLost)
    assert hosts.indexes() == before
    assert first.state()["keys"] == 0
    assert "another register of this engine writes" in str(try_turn(first))
    hosts.let_pass(TTL_SECONDS, second)
    assert "another register of this engine writes" in str(try_turn(first))
    assert get(hosts, KEY).ttl_seconds == TTL_SECONDS


@pytest.mark.parametrize(("instances", "bindings"), [({WEB.key: WEB}, {}), ({}, {DB.key: DB})])
def test_a_fenced_register_that_slept_writes_nothing_new(
    instances: dict[Key, Instance], bindings: dict[str, Binding]
) -> None:
    """After a moment's sleep it looks at the host's key first, for nothing protects a key that is not there."""
    hosts = Hosts()
    first = hosts.writer()
    turn(first)
    turn(hosts.writer())
    before = hosts.indexes()
    hosts.now += 2
    first.mailbox.deliver(instances, {}, bindings=bindings)
    assert isinstance(try_turn(first), OwnershipLost)
    assert hosts.indexes() == before


def test_standing_by_ends_with_the_holder() -> None:
    """The one that stands by takes over when the holder has let two of its renewals pass, before anything expires."""
    hosts = Hosts()
    first, second = hosts.writer(), hosts.writer()
    turn(first, WEB)
    turn(second, WEB)
    first.keep_alive.beat()
    assert isinstance(try_turn(first), OwnershipLost)
    hosts.let_pass(9)
    assert isinstance(try_turn(first), OwnershipLost)
    hosts.let_pass(1)
    assert try_turn(first) is None
    assert KEY in hosts.written()
    hosts.let_pass(TTL_SECONDS, first)
    assert KEY in hosts.written()


def test_a_host_that_was_taken_without_an_answer() -> None:
    """The one who stood by and took the host, but was not told so, does not take himself for another register."""
    hosts = Hosts()
    first, second = hosts.writer(), hosts.writer()
    turn(first, WEB)
    turn(second, WEB)
    first.keep_alive.beat()
    assert isinstance(try_turn(first), OwnershipLost)
    hosts.let_pass(10)
    hosts.fates[first].fates.extend([FINE, UNANSWERED])
    assert isinstance(try_turn(first), Unavailable)
    assert try_turn(first) is None


def test_another_engine_is_refused() -> None:
    """Another engine under the same name is refused, told both names, and takes over when the first is gone."""
    hosts = Hosts()
    turn(hosts.writer(), WEB)
    stranger = hosts.writer(engine="E2")
    stranger.mailbox.deliver({MOVED.key: MOVED}, {})
    assert "host 'h1' is held by engine E1, ours is E2" in str(try_turn(stranger))
    assert '"host_port":"80"' in hosts.written()[KEY]
    hosts.let_pass(TTL_SECONDS)
    assert try_turn(stranger) is None
    assert '"host_port":"81"' in hosts.written()[KEY]


def test_retiring() -> None:
    """A host that is given up leaves nothing behind, and one that was taken meanwhile is left alone."""
    hosts = Hosts()
    one = hosts.writer(Backends("/backends"))
    turn(one, WEB, bindings=(DB,))
    turn(one)
    one.retire()
    assert hosts.server.list("/") == ()
    one.retire()
    turn(hosts.writer())
    with pytest.raises(OwnershipLost, match="no longer names us"):
        one.retire()


# -- other hosts


@pytest.mark.parametrize("layout", [NATIVE, PLAIN], ids=["native", "registrator"])
def test_another_host_s_key_is_left_alone(layout: Layout) -> None:
    """A key of another host is neither written nor deleted; the conflict names that host, and ends when it does."""
    hosts = Hosts()
    first, second = hosts.writer(layout), hosts.writer(layout, "h2")
    turn(first, WEB)
    before = get(hosts, KEY)
    wanted = evolve(OTHER, id="a")
    turn(second, wanted)
    turn(second)
    assert get(hosts, KEY) == before
    turn(second, wanted)
    assert "held by host 'h1' in service 'web', this is host 'h2'" in str(second.state()["conflicts"])
    turn(first)
    hosts.let_pass(TTL_SECONDS // 3, first, second)
    assert "10.0.0.2" in hosts.written()[KEY]
    assert second.state()["conflicts"] == []


def test_a_stranger_s_key_is_left_alone() -> None:
    """A key that somebody else has changed is not deleted, nor one that says nothing of us."""
    hosts = Hosts()
    hosts.server.put("/services/web/b", b"10.9.9.9:9", 600, ABSENT)
    one = hosts.writer(PLAIN)
    turn(one, WEB, OTHER)
    assert "somebody who does not say who" in str(one.state()["conflicts"])
    hosts.server.put(KEY, b"10.9.9.9:9", 600, get(hosts, KEY).index)
    turn(one)
    turn(hosts.writer(PLAIN))
    assert hosts.written() == {KEY: "10.9.9.9:9", "/services/web/b": "10.9.9.9:9"}


def test_a_stranger_s_value_is_not_renewed() -> None:
    """What somebody has put in the place of our value is not kept alive by us, and is reported."""
    hosts = Hosts()
    one = hosts.writer(PLAIN)
    turn(one, WEB)
    hosts.server.put(KEY, b"10.9.9.9:9", 7, get(hosts, KEY).index)
    hosts.let_pass(1, one)
    assert get(hosts, KEY).ttl_seconds == 6
    assert "somebody who does not say who" in str(one.state()["conflicts"])
    hosts.let_pass(TTL_SECONDS, one)
    assert hosts.written() == {KEY: "10.0.0.1:80"}


def test_a_shared_key_is_renewed_by_all() -> None:
    """[D-2] [D-5] The port of a service is there as long as one host needs it, and goes with the last."""
    hosts = Hosts()
    first, second = hosts.writer(Backends("/backends")), hosts.writer(Backends("/backends"), "h2")
    turn(first, WEB)
    turn(second, OTHER)
    assert second.state()["conflicts"] == []
    for _ in range(2 * TTL_SECONDS):
        hosts.let_pass(1, second)
        assert hosts.written()[PORT_KEY] == "80"
    assert set(hosts.written()) == {"/backends/web/c2c2c2c2c2c2", PORT_KEY}
    again = hosts.writer(Backends("/backends"))
    turn(again, WEB)
    turn(second)
    assert set(hosts.written()) == {"/backends/web/c1c1c1c1c1c1", PORT_KEY}
    turn(again)
    assert hosts.written() == {}


def test_two_ports_for_one_service() -> None:
    """[D-13] The host that was first keeps the port of a service; the other says that it wants another one."""
    hosts = Hosts()
    first, second = hosts.writer(Backends("/backends")), hosts.writer(Backends("/backends"), "h2")
    turn(first, WEB)
    turn(second, evolve(OTHER, publish=8080))
    assert hosts.written()[PORT_KEY] == "80"
    assert "held by host 'h1'" in str(second.state()["conflicts"])
    assert "/backends/web/c2c2c2c2c2c2" in hosts.written()


# -- when things fail


@pytest.mark.parametrize("layout", [NATIVE, PLAIN], ids=["native", "registrator"])
def test_a_key_that_vanished_is_put_again(layout: Layout) -> None:
    """What somebody deleted, or what expired, is found gone by the next renewal and written again."""
    hosts = Hosts()
    one = hosts.writer(layout)
    turn(one, WEB, bindings=(DB,))
    for key in (KEY, f"/mooring/bindings/{DB.key}"):
        hosts.server.delete(key, get(hosts, key).index)
    one.keep_alive.beat()
    one.turn()
    assert KEY in hosts.written()
    assert hosts.server.get(f"/mooring/bindings/{DB.key}") is not None


def test_everything_is_gone() -> None:
    """A server that was replaced, or let all expire, is written anew."""
    hosts = Hosts()
    one = hosts.writer(PLAIN)
    turn(one, WEB, bindings=(DB,))
    before = set(hosts.indexes())
    hosts.let_pass(TTL_SECONDS)
    one.keep_alive.beat()
    assert "is gone" in str(try_turn(one))
    assert try_turn(one) is None
    assert set(hosts.indexes()) == before


@pytest.mark.parametrize("layout", [NATIVE, PLAIN, Backends("/backends")], ids=["native", "registrator", "backends"])
@pytest.mark.parametrize("fate", FAILURES)
def test_whatever_goes_unanswered(layout: Layout, fate: str) -> None:
    """[F-5] One lost request or answer, anywhere: in the end all that is wanted is written, and nothing else."""
    for call in range(calls_of_the_story(layout)):
        hosts = Hosts()
        one = hosts.writer(layout)
        hosts.fates[one].fates.extend([FINE] * call + [fate])
        live_through_changes(one)
        assert one.mailbox.settled == 2
        assert_only_moved(hosts)
        hosts.let_pass(TTL_SECONDS, one)
        assert_only_moved(hosts)


@pytest.mark.parametrize("layout", [NATIVE, PLAIN, Backends("/backends")], ids=["native", "registrator", "backends"])
@pytest.mark.parametrize("fate", DEATHS)
def test_wherever_it_dies(layout: Layout, fate: str) -> None:
    """[F-1] Killed before or after any request: the successor writes what is wanted, the rest is gone within a TTL."""
    for call in range(calls_of_the_story(layout)):
        hosts = Hosts()
        one = hosts.writer(layout)
        hosts.fates[one].fates.extend([FINE] * call + [fate])
        with pytest.raises(Killed):
            live_through_changes(one)
        successor = hosts.writer(layout)
        turn(successor, MOVED)
        assert "81" in " ".join(hosts.written().values())
        hosts.let_pass(TTL_SECONDS, successor)
        assert_only_moved(hosts)


def calls_of_the_story(layout: Layout) -> int:
    """Return how often the server is asked when nothing goes wrong."""
    hosts = Hosts()
    one = hosts.writer(layout)
    fates = hosts.fates[one].fates
    fates.extend([FINE] * 500)
    live_through_changes(one)
    assert 20 < 500 - len(fates) < 500
    return 500 - len(fates)


def live_through_changes(one: Etcd2Writer) -> None:
    """Want two instances and a binding, then one of them with another address, and take turns."""
    both = {instance.key: evolve(instance, host="h1") for instance in (WEB, OTHER)}
    one.mailbox.deliver(both, {}, bindings={DB.key: DB})
    for _ in range(3):
        try_turn(one)
        try_beat(one)
    one.mailbox.deliver({MOVED.key: MOVED}, {})
    for _ in range(3):
        try_turn(one)
        try_beat(one)


def assert_only_moved(hosts: Hosts) -> None:
    """See that one instance is written, with its new address, and no binding."""
    values = [value for key, value in hosts.written().items() if not key.endswith("/port")]
    assert len(values) == 1
    assert "10.0.0.1:81" in values[0] or '"host_port":"81"' in values[0]
    assert not [key for key in hosts.indexes() if key.startswith("/mooring/bindings/")]


def test_a_write_that_came_through_is_withdrawn_though_nobody_said_so() -> None:
    """A value whose writing was never confirmed is ours all the same, and goes when it is wanted no more."""
    hosts = Hosts()
    one = hosts.writer(PLAIN)
    turn(one)
    one.mailbox.deliver({WEB.key: WEB}, {})
    hosts.fates[one].fates.extend([FINE, UNANSWERED])
    assert isinstance(try_turn(one), Unavailable)
    assert KEY in hosts.written()
    turn(one)
    assert hosts.written() == {}


def test_an_owner_that_stands_still() -> None:
    """Two TTLs after the owner's last turn nothing is renewed any more: nobody knows what is true."""
    hosts = Hosts()
    idle_seconds = [0.0]
    one = hosts.writer(PLAIN, idle=lambda: idle_seconds[0])
    turn(one, WEB)
    hosts.let_pass(5, one)
    idle_seconds[0] = 2 * TTL_SECONDS + 1
    hosts.let_pass(TTL_SECONDS, one)
    assert hosts.written() == {}


def test_a_server_that_is_away() -> None:
    """While nobody answers the latest is kept, and written when somebody does; the reason is told meanwhile."""
    hosts = Hosts()
    one = hosts.writer(PLAIN)
    turn(one, WEB)
    hosts.server.fail()
    one.mailbox.deliver({MOVED.key: MOVED}, {})
    hosts.now += 5
    assert isinstance(try_turn(one), Unavailable)
    with pytest.raises(Unavailable):
        one.keep_alive.beat()
    assert "etcd2://memory: memory: connection refused" in str(one.ready())
    hosts.server.recover()
    assert try_turn(one) is None
    assert hosts.written() == {KEY: "10.0.0.1:81"}
    assert one.ready() is None


def test_states() -> None:
    """A draining instance is not shown to readers who know no draining; other instances are."""
    hosts = Hosts()
    one = hosts.writer(PLAIN)
    turn(one, WEB, OTHER)
    turn(one, evolve(WEB, state=State.DRAINING), OTHER)
    assert set(hosts.written()) == {"/services/web/b"}


# -- whatever happens

POOL = tuple(
    evolve(WEB, id=f"i{number}", address=Address("10.0.0.1", port), container=f"c{number}" * 6)
    for number in range(3)
    for port in (80, 81)
)
STRANGER = "/services/web/stranger"
wishes = st.lists(st.sampled_from(POOL), max_size=3, unique_by=lambda instance: instance.id)
fates = st.just(list[str]()) | st.lists(st.sampled_from([FINE, FINE, FINE, *FAILURES]), max_size=12)
happenings = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["deliver", "deliver and turn"]), wishes),
        st.tuples(st.sampled_from(["turn", "beat", "sleeper turns", "sleeper beats"]), fates),
        st.tuples(st.just("pass"), st.integers(1, 8)),
        st.tuples(st.sampled_from(["killed", "put to sleep"]), wishes),
        st.tuples(st.just("somebody deletes"), st.integers(0, 5)),
    ),
    min_size=12,
    max_size=40,
)


class Story:
    """A register that lives, an earlier one that may only sleep, and what happens to them."""

    def __init__(self, layout: Layout) -> None:
        self.hosts = Hosts()
        self.hosts.server.put(STRANGER, b"10.9.9.9:9", 10_000, ABSENT)
        self._layout = layout
        self.living = self._sleeper = self.hosts.writer(layout)
        self.living.mailbox.deliver({}, {})

    def happen(self, what: str, how: Any) -> None:  # noqa: ANN401 -- as `happenings` has it
        """Let one thing happen."""
        if what.startswith("deliver"):
            self.living.mailbox.deliver({instance.key: instance for instance in how}, {})
            if what.endswith("turn"):
                try_turn(self.living)
        elif what == "pass":
            self.hosts.let_pass(how)
        elif what == "somebody deletes":
            ours = [node for node in self.hosts.server.list("/") if node.key != STRANGER]
            for node in ours[how : how + 1]:
                self.hosts.server.delete(node.key, node.index)
        elif what in {"killed", "put to sleep"}:
            self._sleeper = self.living if what == "put to sleep" else self._sleeper
            self.living = self.hosts.writer(self._layout)
            self.living.mailbox.deliver({instance.key: instance for instance in how}, {})
        else:
            self._act(what, how)

    def _act(self, what: str, fates: list[str]) -> None:
        one = self._sleeper if what.startswith("sleeper") else self.living
        self.hosts.fates[one].fates.extend(fates)
        (try_turn if "turn" in what else try_beat)(one)
        self.hosts.fates[one].fates.clear()

    def ports(self) -> dict[str, int]:
        """Return the port that each key of ours speaks of."""
        values = {key: value for key, value in self.hosts.written().items() if key != STRANGER}
        return {
            key: int(json.loads(value)["host_port"] if value.startswith("{") else value.rpartition(":")[2])
            for key, value in values.items()
        }


@pytest.mark.parametrize("layout", [NATIVE, PLAIN], ids=["native", "registrator"])
@given(happenings=happenings)
def test_in_the_end_what_is_wanted_is_written(layout: Layout, happenings: list[tuple[str, Any]]) -> None:
    """Lost answers, deaths, time, vandals, and registers that sleep and wake: in the end the last one's word stands."""
    story = Story(layout)
    for what, how in happenings:
        story.happen(what, how)
        assert get(story.hosts, STRANGER).value == b"10.9.9.9:9"
    story.hosts.let_pass(3 * TTL_SECONDS, story.living)
    delivery = story.living.mailbox.latest()
    assert delivery is not None
    wanted = {f"/services/web/{one.id}": one.address.port for one in delivery.instances.values()}
    assert story.ports() == wanted
    assert story.living.mailbox.settled == delivery.number
