"""Keys that one thread writes and another renews."""

import random
from threading import Event, Thread

from mooring.etcd2.memory import MemoryKeys
from mooring.etcd2.store import ABSENT, Mismatch, Node
from mooring_register.writers.etcd2_keys import OwnKeys
from tests.waiting import holds_for

TTL_SECONDS = 15
NAMES = [f"/{letter}" for letter in "abcdefgh"]


class Slow(MemoryKeys):
    """A server that has renewed a key, and answers only when the gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.has_renewed, self.gate = Event(), Event()

    def refresh(self, key: str, ttl_seconds: int, at: int) -> Node | Mismatch:
        """See `Keys.refresh`."""
        answer = super().refresh(key, ttl_seconds, at)
        self.has_renewed.set()
        assert self.gate.wait(10)
        return answer


class Contended(MemoryKeys):
    """A server at which somebody else is always faster to renew a key."""

    def refresh(self, key: str, ttl_seconds: int, at: int) -> Node | Mismatch:
        """See `Keys.refresh`."""
        found = self.get(key)
        assert found is not None
        super().refresh(key, ttl_seconds, found.index)
        return super().refresh(key, ttl_seconds, at)


def test_a_write_waits_for_the_renewal_of_its_key() -> None:
    """A key that is just being renewed is written when that is answered, at its new index; other keys do not wait."""
    server, outcomes = Slow(), list[bool]()
    own = OwnKeys(server, TTL_SECONDS, connections=1)
    assert own.put("/a", b"1")
    renewing = Thread(target=own.renew)
    renewing.start()
    assert server.has_renewed.wait(10)
    writing = Thread(target=lambda: outcomes.append(own.put("/a", b"2")))
    writing.start()
    assert own.put("/b", b"1")
    holds_for(0.2, writing.is_alive, "the write waits")
    server.gate.set()
    writing.join()
    renewing.join()
    assert outcomes == [True]
    assert own.values("/") == {"/a": b"2", "/b": b"1"}


def test_written_and_renewed_at_the_same_time() -> None:
    """No write and no renewal fails because of the other, and in the end what is known is what is there."""
    server, ended = MemoryKeys(), Event()
    own = OwnKeys(server, TTL_SECONDS, connections=4)

    def renew() -> None:
        while not ended.is_set():
            own.renew()

    thread = Thread(target=renew)
    thread.start()
    chance, refused = random.Random(4), 0
    for number in range(3000):
        key = chance.choice(NAMES)
        is_there = key in own.values("/")
        is_done = own.delete(key) if is_there and chance.random() < 0.3 else own.put(key, str(number).encode())
        refused += not is_done
    ended.set()
    thread.join()
    assert refused == 0
    assert own.lost() == frozenset()
    assert own.values("/") == {node.key: node.value for node in server.list("/")}
    own.renew()
    assert {node.ttl_seconds for node in server.list("/")} == {TTL_SECONDS}


def test_what_another_renewed_too() -> None:
    """A key that somebody else renews with our value stays ours: its new index is learned, and it is not lost."""
    server = MemoryKeys()
    own = OwnKeys(server, TTL_SECONDS, connections=1)
    assert own.put("/a", b"80")
    for _ in range(3):
        found = server.get("/a")
        assert found is not None
        server.advance(1)
        assert server.refresh("/a", 60, found.index) != Mismatch()
        own.renew()
        assert [node.ttl_seconds for node in server.list("/")] == [TTL_SECONDS]
    assert not own.has_lost
    assert own.delete("/a")


def test_another_is_always_faster() -> None:
    """Where somebody else renews a key whenever we look, it is renewed: that is enough, and it is not lost."""
    own = OwnKeys(Contended(), TTL_SECONDS, connections=1)
    assert own.put("/a", b"80")
    own.renew()
    assert not own.has_lost
    assert own.values("/") == {"/a": b"80"}


def test_what_is_gone_is_told_once() -> None:
    """A key that vanished, or that holds another value now, is ours no more; that is told, once."""
    server = MemoryKeys()
    own = OwnKeys(server, TTL_SECONDS, connections=1)
    for name in NAMES[:3]:
        assert own.put(name, b"80")
    (gone, changed, _) = server.list("/")
    server.delete(gone.key, gone.index)
    server.put(changed.key, b"81", 60, changed.index)
    own.renew()
    assert own.has_lost
    assert own.lost() == {gone.key, changed.key}
    assert (own.lost(), set(own.values("/"))) == (frozenset(), {NAMES[2]})
    assert not own.put(changed.key, b"82")
    assert not own.delete(changed.key)
    server.put("/new", b"x", 60, ABSENT)
    assert not own.put("/new", b"y")
