"""The contract of Consul's keys, values and sessions, on the twin in memory and on a real Consul."""

from collections.abc import Callable, Iterator

import pytest
from attrs import frozen

from mooring.consul.address import parse_consul_address
from mooring.consul.client import connect_to
from mooring.consul.keys import ABSENT, MIN_SESSION_SECONDS, Keys, KeyValue, Mismatch
from mooring.consul.memory_keys import MAX_VALUE_BYTES, MemoryKeys
from mooring.errors import DocumentError, SessionLost, Unavailable
from tests.consul import ConsulServer
from tests.waiting import holds_for, wait_until

# Consul waits twice as long as it was told, to be sure.
EXPIRY_SECONDS = 2.0 * MIN_SESSION_SECONDS


@frozen
class Bench:
    """The keys, a prefix of the test's own, and how to let time pass while something is done again and again."""

    keys: Keys
    root: str
    let_pass: Callable[[float, Callable[[], object]], None]

    def put(self, key: str, value: bytes = b"x") -> KeyValue:
        """Write a new key and return it."""
        assert self.keys.put(self.root + key, value, ABSENT) is None
        return self.read(key)

    def read(self, key: str) -> KeyValue:
        """Return a key that is there."""
        item = self.keys.get(self.root + key)
        assert item is not None
        return item

    def session(self) -> str:
        """Begin a session."""
        return self.keys.create_session(self.root, MIN_SESSION_SECONDS)


@pytest.fixture(params=["memory", pytest.param("consul", marks=pytest.mark.consul)])
def bench(request: pytest.FixtureRequest, namespace: str) -> Iterator[Bench]:
    """Give the twin, or a real Consul."""
    if request.param == "memory":
        memory = MemoryKeys()

        def let_pass(seconds: float, meanwhile: Callable[[], object]) -> None:
            for _ in range(4):
                memory.advance(seconds / 4)
                meanwhile()

        yield Bench(memory, namespace, let_pass)
        return
    server: ConsulServer = request.getfixturevalue("consul_server")
    consul = connect_to(parse_consul_address(f"consul://{server.address}"))
    yield Bench(consul.keys, namespace, lambda seconds, meanwhile: holds_for(seconds, lambda: meanwhile() is None, ""))
    consul.close()


def test_put_and_get(bench: Bench) -> None:
    """[R-K] A key holds what was written, byte for byte."""
    values = (b"10.0.0.1:80", b"[2001:db8::1]:80", '{"a":"größe & = +"}'.encode(), b"\x00\xff", b"")
    for number, value in enumerate(values):
        item = bench.put(f"/{number}", value)
        assert (item.key, item.value, item.session) == (f"{bench.root}/{number}", value, "")


def test_nothing_there(bench: Bench) -> None:
    """What does not exist is None, and an empty listing."""
    assert bench.keys.get(f"{bench.root}/none") is None
    assert bench.keys.list(f"{bench.root}/none") == ()


def test_list_is_by_prefix(bench: Bench) -> None:
    """A listing has every key that begins with the prefix, in order, at any depth."""
    wanted = [bench.put(key) for key in ("/a/1", "/a/b/c/d", "/a/h1:web.1:80")]
    more = bench.put("/ab/1")
    assert bench.keys.list(f"{bench.root}/a/") == tuple(wanted)
    assert bench.keys.list(f"{bench.root}/a") == (*wanted, more)


def test_names_with_odd_characters(bench: Bench) -> None:
    """A key may hold percent signs, blanks, question marks, letters of any language."""
    item = bench.put("/a%2Fb/c d?e#f/größe")
    assert item.key == f"{bench.root}/a%2Fb/c d?e#f/größe"
    assert bench.keys.list(bench.root + "/") == (item,)
    assert bench.keys.delete(item.key, item.index) is None
    assert bench.keys.get(item.key) is None


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/../b", "a/./b", "a/"])
def test_names_that_consul_would_not_find(bench: Bench, key: str) -> None:
    """A key that would be cleaned into another one is refused by name."""
    calls: tuple[Callable[[], object], ...] = (
        lambda: bench.keys.put(key, b"x", ABSENT),
        lambda: bench.keys.acquire(key, b"x", "session"),
        lambda: bench.keys.get(key),
        lambda: bench.keys.delete(key, 1),
    )
    for call in calls:
        with pytest.raises(DocumentError, match="would not find it again"):
            call()


def test_put_only_at_its_index(bench: Bench) -> None:
    """A key is written by one who knows its last change, or that there is none, and by nobody else."""
    first = bench.put("/a", b"first")
    assert bench.keys.put(first.key, b"second", ABSENT) == Mismatch()
    assert bench.keys.put(first.key, b"second", first.index) is None
    second = bench.read("/a")
    assert (second.value, second.index > first.index) == (b"second", True)
    assert bench.keys.put(first.key, b"third", first.index) == Mismatch()
    assert bench.keys.put(f"{bench.root}/none", b"x", first.index) == Mismatch()
    assert bench.read("/a") == second


def test_a_late_delete_spares_the_successor(bench: Bench) -> None:
    """A delete that knows only what was there before removes nothing; one that knows the last change does."""
    first = bench.put("/a", b"old container")
    assert bench.keys.put(first.key, b"new container", first.index) is None
    successor = bench.read("/a")
    assert bench.keys.delete(first.key, first.index) == Mismatch()
    assert bench.keys.delete(first.key, ABSENT) == Mismatch()
    assert bench.read("/a") == successor
    for _ in range(2):
        assert bench.keys.delete(first.key, successor.index) is None
        assert bench.keys.get(first.key) is None
    assert bench.keys.delete(first.key, ABSENT) is None


def test_a_value_that_is_too_large(bench: Bench) -> None:
    """A value larger than Consul takes is bad input, which names the key, and no outage."""
    item = bench.put("/a", b"x" * MAX_VALUE_BYTES)
    for write in (bench.keys.put, lambda key, value, _: bench.keys.acquire(key, value, bench.session())):
        with pytest.raises(DocumentError, match=f"{item.key}: .*too large"):
            write(item.key, item.value + b"x", item.index)
    assert bench.read("/a") == item


def test_a_key_of_a_session(bench: Bench) -> None:
    """A session owns what it acquired; it writes there again, and another session does not until that one ended."""
    ours, theirs = bench.session(), bench.session()
    key = f"{bench.root}/a"
    assert bench.keys.acquire(key, b"1", ours) is None
    assert bench.keys.acquire(key, b"2", ours) is None
    assert bench.keys.acquire(key, b"3", theirs) == Mismatch()
    assert (bench.read("/a").value, bench.read("/a").session) == (b"2", ours)
    bench.keys.destroy_session(ours)
    assert bench.keys.acquire(key, b"3", theirs) is None
    assert (bench.read("/a").value, bench.read("/a").session) == (b"3", theirs)


def test_a_key_that_was_nobodys(bench: Bench) -> None:
    """A session takes over a key without an owner; who writes it otherwise leaves the owner as it is."""
    session = bench.session()
    item = bench.put("/a")
    assert bench.keys.acquire(item.key, b"1", session) is None
    assert bench.keys.put(item.key, b"2", bench.read("/a").index) is None
    assert (bench.read("/a").value, bench.read("/a").session) == (b"2", session)


def test_the_end_of_a_session(bench: Bench) -> None:
    """A session that is destroyed takes its keys along and no others; that may be repeated."""
    session = bench.session()
    other = bench.put("/other")
    assert bench.keys.acquire(f"{bench.root}/a", b"1", session) is None
    for _ in range(2):
        bench.keys.destroy_session(session)
        assert bench.keys.list(bench.root + "/") == (other,)


def test_a_session_that_is_gone(bench: Bench) -> None:
    """Who names a session that is gone is told so: it must be begun anew, and its keys written again."""
    session = bench.session()
    bench.keys.renew_session(session)
    bench.keys.destroy_session(session)
    with pytest.raises(SessionLost, match=session):
        bench.keys.renew_session(session)
    with pytest.raises(SessionLost, match=session):
        bench.keys.acquire(f"{bench.root}/a", b"1", session)
    assert bench.keys.get(f"{bench.root}/a") is None


def test_a_session_runs_out(bench: Bench) -> None:
    """A session that nobody renews goes with its keys; one that is renewed stays."""
    expires, stays = bench.session(), bench.session()
    for session in (expires, stays):
        assert bench.keys.acquire(f"{bench.root}/{session}", b"1", session) is None
    bench.let_pass(EXPIRY_SECONDS, lambda: bench.keys.renew_session(stays))
    wait_until(lambda: bench.keys.get(f"{bench.root}/{expires}") is None, "a session to run out")
    with pytest.raises(SessionLost):
        bench.keys.renew_session(expires)
    assert bench.keys.get(f"{bench.root}/{stays}") is not None


def test_a_twin_that_is_away() -> None:
    """The twin can be away too, and is as it was when it comes back."""
    keys = MemoryKeys()
    assert keys.put("a", b"x", ABSENT) is None
    keys.fail()
    with pytest.raises(Unavailable):
        keys.get("a")
    keys.recover()
    assert keys.get("a") is not None
