"""When a lease is renewed, and when no more."""

from functools import partial

from attrs import evolve

from mooring.errors import LeaseLost, OwnershipLost, WorldError
from mooring.etcd.memory import MemoryStore
from mooring.threads import start
from mooring_register.keepalive import KeepAlive, renew_lease
from mooring_register.ownership import Claim, Held, take
from tests.waiting import wait_until

CLAIM = Claim(host="h1", engine="E1", ttl_seconds=15, version="0.1", started="now")


def kept(store: MemoryStore, told: list[WorldError], idle_seconds: float = 0.0) -> tuple[KeepAlive[Held], Held]:
    """Return a keep-alive and the host that it keeps."""
    held = take(store, CLAIM, "t1", stands_by=False)
    one = KeepAlive[Held](
        partial(renew_lease, store),
        "etcd://memory",
        15,
        owner_idle_seconds=lambda: idle_seconds,
        lost=lambda _, error: told.append(error),
    )
    one.hold(held)
    return one, held


def test_renewed() -> None:
    """A renewal gives the lease its whole TTL again."""
    store, told = MemoryStore(), list[WorldError]()
    one, held = kept(store, told)
    store.advance(10)
    one.beat()
    lease = store.lease(held.lease)
    assert lease is not None
    assert (lease.remaining_seconds, told) == (15, [])


def test_what_remains_is_told() -> None:
    """People see how long ago it was renewed, and what remains of the TTL; nothing before the first renewal."""
    one, _ = kept(MemoryStore(), [])
    assert one.state() == {
        "keep-alive problem": "",
        "kept alive seconds ago": None,
        "lease remaining seconds": None,
    }
    one.beat()
    told = one.state()
    ago, remaining = told["kept alive seconds ago"], told["lease remaining seconds"]
    assert isinstance(ago, float)
    assert isinstance(remaining, float)
    assert ago >= 0.0
    assert 14.8 <= ago + remaining <= 15.2


def test_an_owner_that_stands_still() -> None:
    """Two TTLs after the owner's last turn the lease is left to expire: nobody knows any more what is true."""
    store, told = MemoryStore(), list[WorldError]()
    one, held = kept(store, told, idle_seconds=30.1)
    store.advance(10)
    one.beat()
    lease = store.lease(held.lease)
    assert lease is not None
    assert lease.remaining_seconds == 5


def test_lost() -> None:
    """A lease that expired is told once."""
    store, told = MemoryStore(), list[WorldError]()
    one, _ = kept(store, told)
    store.advance(16)
    one.beat()
    one.beat()
    assert [type(error) for error in told] == [LeaseLost]


def test_fenced_out() -> None:
    """A token that was replaced is told, and the lease is not renewed after that."""
    store, told = MemoryStore(), list[WorldError]()
    one, held = kept(store, told)
    take(store, CLAIM, "t2", stands_by=False)
    one.beat()
    store.advance(10)
    one.beat()
    lease = store.lease(held.lease)
    assert lease is not None
    assert lease.remaining_seconds == 5
    assert [type(error) for error in told] == [OwnershipLost]


def test_what_is_lost_is_no_problem_of_the_past() -> None:
    """What could not be renewed once is no longer told when there was an answer, even if that was the last one."""
    store, told = MemoryStore(), list[WorldError]()
    one, _ = kept(store, told)
    one.failing = "connection refused"
    take(store, CLAIM, "t2", stands_by=False)
    one.beat()
    assert one.state()["keep-alive problem"] == ""


def test_fenced_out_by_one_with_another_ttl() -> None:
    """The successor has ended our lease: that is being fenced out as well, and no reason to take the host again."""
    store, told = MemoryStore(), list[WorldError]()
    one, held = kept(store, told)
    take(store, evolve(CLAIM, ttl_seconds=20), "t2", stands_by=False)
    assert store.lease(held.lease) is None
    one.beat()
    assert [type(error) for error in told] == [OwnershipLost]


def test_what_was_made_with_a_shorter_ttl() -> None:
    """What may have been made by a register with a shorter TTL is renewed in time for that one."""
    renewals: list[str] = []

    def renew(held: str) -> None:
        renewals.append(held)

    one = KeepAlive[str](
        renew,
        "consul://memory",
        3600,
        least_ttl_seconds=1,
        owner_idle_seconds=lambda: 0.0,
        lost=lambda _, __: None,
    )
    one.hold("host")
    start("keep-alive", one.run)
    wait_until(lambda: len(renewals) > 2, "several renewals long before an hour's third")
    one.stop()
