"""From what an etcd holds to what is wanted, on the twin of a store."""

import itertools
from collections.abc import Callable, Collection

import pytest
from attrs import evolve

from mooring.documents import decode_instance, encode_instance
from mooring.errors import LeaseLost, OwnershipLost, Unavailable, WorldError
from mooring.etcd.memory import MemoryStore
from mooring.etcd.store import Committed, Condition, Delete, KeyValue, Operation, Put, Refused, Removed
from mooring.model import Address, Instance, State
from mooring_register.layouts.native import Native
from mooring_register.ownership import Claim
from mooring_register.registrar import Key, Withdrawal
from mooring_register.writers.etcd import EtcdWriter
from mooring_register.writers.writer import Terms

CLAIM = Claim(host="h1", engine="E1", ttl_seconds=15, version="0.1", started="now")
WEB = Instance(service="web", id="a", address=Address("10.0.0.1", 80), host="h1", container="c1", name="/web.1")
KEY = "/services/web/a"
tokens = (f"token{number}" for number in itertools.count())


def writer(
    store: MemoryStore,
    claim: Claim = CLAIM,
    clock: Callable[[], float] = lambda: 100.0,
) -> EtcdWriter:
    """Return a writer that takes its turns when it is told to."""
    terms = Terms(
        claim=claim,
        resync_seconds=60.0,
        clock=clock,
        tokens=lambda: next(tokens),
        owner_idle_seconds=lambda: 0.0,
    )
    return EtcdWriter(store, "etcd://memory", Native("/services"), terms)


def turn(one: EtcdWriter, *instances: Instance, why: dict[Key, Withdrawal] | None = None) -> None:
    """Want these instances and no others, and take a turn."""
    one.mailbox.deliver({instance.key: instance for instance in instances}, why or {})
    one.turn()


def fails(one: EtcdWriter, *errors: type[WorldError]) -> str:
    """Take a turn that must fail like this; draw the conclusions and return the reason."""
    with pytest.raises(errors) as caught:
        one.turn()
    one.failed(caught.value)
    return str(caught.value)


def present(store: MemoryStore) -> dict[str, Instance]:
    """Return what the store holds below the prefix."""
    return {found.key: decode_instance(found.value, where=found.key) for found in store.list("/services").items}


def test_published_under_the_lease() -> None:
    """What is wanted is written, attached to the host's lease."""
    store = MemoryStore()
    one = writer(store)
    turn(one, WEB)
    found = store.get(KEY)
    assert found is not None
    assert present(store)[KEY].same_as(WEB)
    lease = store.lease(found.lease)
    assert lease is not None
    assert set(lease.keys) == {KEY, "/mooring/hosts/h1"}
    assert one.ready() is None


def test_withdrawn_in_two_steps() -> None:
    """A withdrawal is seen as down, with its cause, before the key is gone."""
    store = MemoryStore()
    one = writer(store)
    turn(one, WEB)
    watch = iter(store.watch(KEY, store.list("/").revision))
    next(watch)
    turn(one, why={WEB.key: Withdrawal("exited 137", 50.0)})
    (down,), (gone,) = next(watch), next(watch)
    assert not isinstance(down, Removed)
    instance = decode_instance(down.value, where=KEY)
    assert (instance.state, instance.cause) == (State.DOWN, "exited 137")
    assert isinstance(gone, Removed)


def test_a_successor_writes_nothing() -> None:
    """A successor adopts what is there: an unchanged instance costs no write at all."""
    store = MemoryStore()
    turn(writer(store), WEB)
    revision = store.list("/services").items[0].revision
    turn(writer(store), evolve(WEB, cause="reconciled", seen_docker=9.0))
    assert store.list("/services").items[0].revision == revision


def test_a_successor_finishes() -> None:
    """What went away while no register ran, or was marked down by one that crashed, is deleted by the successor."""
    store = MemoryStore()
    first = writer(store)
    other = evolve(WEB, id="b")
    turn(first, WEB, other)
    found = store.get(KEY)
    assert found is not None
    # The first one crashed after it had marked this one, and before it deleted it.
    store.commit((), (Put(KEY, encode_instance(evolve(WEB, state=State.DOWN)).encode(), found.lease),))
    turn(writer(store))
    assert present(store) == {}


def test_nothing_is_withdrawn_before_the_first_delivery() -> None:
    """A successor that does not know yet what runs leaves everything as it is."""
    store = MemoryStore()
    turn(writer(store), WEB)
    successor = writer(store)
    successor.turn()
    assert list(present(store)) == [KEY]
    assert successor.ready() == "etcd://memory: not everything is written yet"


def test_fenced_out() -> None:
    """The one whose token was replaced writes nothing, stands by, and takes over when the other is gone."""
    store = MemoryStore()
    first, second = writer(store), writer(store)
    turn(first, WEB)
    turn(second, WEB)
    first.mailbox.deliver({}, {})
    assert "another register took /mooring/hosts/h1" in fails(first, OwnershipLost)
    assert "another register of this engine" in fails(first, OwnershipLost)
    assert list(present(store)) == [KEY]
    store.advance(11)
    first.turn()
    assert present(store) == {}


def test_an_idle_one_learns_that_it_was_fenced_out() -> None:
    """The keep-alive finds out that the token was replaced, and renews a lease that is not ours no more."""
    store = MemoryStore()
    first, second = writer(store), writer(store)
    turn(first, WEB)
    turn(second, WEB)
    first.keep_alive.beat()
    assert "another register took" in fails(first, OwnershipLost)


class BusyStore(MemoryStore):
    """A store in which something happens while somebody reads what hangs on a lease."""

    meanwhile: Callable[[], None] | None = None

    def read(self, keys: Collection[str]) -> tuple[KeyValue, ...]:
        """See `Store.read`."""
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().read(keys)


def test_fenced_out_while_reading() -> None:
    """One that is fenced out before it has read what it adopted is told so once it has."""
    store = BusyStore()
    turn(writer(store), WEB)
    one, faster = writer(store), writer(store)

    def overtake() -> None:
        faster.turn()
        one.keep_alive.beat()

    store.meanwhile = overtake
    one.turn()
    one.keep_alive.beat()
    assert "another register took" in fails(one, OwnershipLost)


def test_lease_lost() -> None:
    """With the lease everything is gone; it is granted anew and everything is written again."""
    store = MemoryStore()
    one = writer(store)
    turn(one, WEB)
    store.advance(16)
    assert present(store) == {}
    one.mailbox.deliver({WEB.key: evolve(WEB, weight=1)}, {})
    fails(one, LeaseLost)
    one.turn()
    assert present(store)[KEY].weight == 1


def test_another_engine_is_refused() -> None:
    """Another engine under the same host name writes nothing, and says who holds the name."""
    store = MemoryStore()
    turn(writer(store), WEB)
    other = writer(store, evolve(CLAIM, engine="E2"))
    other.mailbox.deliver({}, {})
    assert "held by engine E1, ours is E2" in fails(other, OwnershipLost)
    assert list(present(store)) == [KEY]
    assert "held by engine E1" in (other.ready() or "")


def test_an_id_held_by_another_host() -> None:
    """An id that another host holds is left to it and reported with both names; the rest is written."""
    store = MemoryStore()
    theirs = encode_instance(evolve(WEB, host="h2")).encode()
    store.commit((), (Put(KEY, theirs),))
    one = writer(store)
    turn(one, WEB, evolve(WEB, id="b"))
    assert set(present(store)) == {KEY, "/services/web/b"}
    assert present(store)[KEY].host == "h2"
    assert one.state()["conflicts"] == ["web.1: id 'a': held by host 'h2' in service 'web', this is host 'h1'"]


def test_an_id_that_becomes_free() -> None:
    """An id that another host held is taken when that host let go of it, one TTL later at the latest."""
    store, time = MemoryStore(), iter(range(0, 10_000, 20))
    store.commit((), (Put(KEY, encode_instance(evolve(WEB, host="h2")).encode()),))
    one = writer(store, clock=lambda: float(next(time)))
    turn(one, WEB)
    store.commit((), (Delete(KEY),))
    one.turn()
    assert present(store)[KEY].host == "h1"


def test_a_foreign_key_is_not_deleted() -> None:
    """When a key became another host's behind our back, withdrawing ours leaves theirs alone."""
    store = MemoryStore()
    one = writer(store)
    turn(one, WEB)
    store.commit((), (Put(KEY, encode_instance(evolve(WEB, host="h2")).encode()),))
    turn(one)
    assert present(store)[KEY].host == "h2"


@pytest.mark.parametrize("seconds", [61, -61], ids=["later", "clock set back"])
def test_somebody_deletes_our_key(seconds: int) -> None:
    """A key of ours that somebody deleted is written again, by the next comparison of everything."""
    store, now = MemoryStore(), [100.0]
    one = writer(store, clock=lambda: now[0])
    turn(one, WEB)
    store.commit((), (Delete(KEY),))
    one.turn()
    assert present(store) == {}
    now[0] += seconds
    one.turn()
    assert list(present(store)) == [KEY]


class ForgetfulStore(MemoryStore):
    """A store that carries out a transaction and then loses its answer, when told to."""

    loses = False

    def commit(self, conditions: tuple[Condition, ...], operations: tuple[Operation, ...]) -> Committed | Refused:
        """See `Store.commit`."""
        answer = super().commit(conditions, operations)
        if self.loses:
            self.loses = False
            raise Unavailable("the answer was lost")
        return answer


def test_a_lost_answer() -> None:
    """A transaction whose answer was lost is found to have been carried out, and costs no second write."""
    store = ForgetfulStore()
    one = writer(store)
    one.turn()
    store.loses = True
    one.mailbox.deliver({WEB.key: WEB}, {})
    fails(one, Unavailable)
    revision = store.list("/services").items[0].revision
    one.turn()
    assert store.list("/services").items[0].revision == revision
    assert one.ready() is None


def test_a_lost_answer_when_taking_over() -> None:
    """One that stood by and takes the host, without hearing that it has it, does not stand by for itself."""
    store = ForgetfulStore()
    first, second = writer(store), writer(store)
    turn(first, WEB)
    turn(second)
    first.keep_alive.beat()
    fails(first, OwnershipLost)
    second.retire()
    store.loses = True
    fails(first, Unavailable)
    turn(first, WEB)
    assert list(present(store)) == [KEY]


def test_registry_away() -> None:
    """A registry that does not answer costs nothing but time: only the latest is written when it is back."""
    store = MemoryStore()
    one = writer(store)
    turn(one, WEB)
    store.fail("gone fishing")
    for weight in (1, 2, 3):
        one.mailbox.deliver({WEB.key: evolve(WEB, weight=weight)}, {})
        assert fails(one, Unavailable) == "gone fishing"
    assert one.ready() == "etcd://memory: gone fishing"
    store.recover()
    before = store.list("/").revision
    one.turn()
    assert (store.list("/").revision, present(store)[KEY].weight) == (before + 1, 3)


def test_retire() -> None:
    """A host that retires leaves nothing behind."""
    store = MemoryStore()
    one = writer(store)
    turn(one, WEB)
    turn(one)
    one.stop()
    one.retire()
    assert store.list("/").items == ()


def test_retire_again() -> None:
    """A host whose retirement was carried out, but not heard of, can be retired again, and leaves nothing behind."""
    store = ForgetfulStore()
    one = writer(store)
    turn(one)
    lease = int(str(one.state()["lease"]), 16)
    store.loses = True
    with pytest.raises(Unavailable):
        one.retire()
    one.retire()
    assert store.list("/").items == ()
    assert store.lease(lease) is None
