"""From the bindings that an etcd holds to those that are wanted, on the twin of a store."""

import itertools

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.documents import decode_binding, encode_binding
from mooring.errors import OwnershipLost
from mooring.etcd.memory import MemoryStore
from mooring.etcd.store import Delete, Put
from mooring.keys import BINDINGS_PREFIX
from mooring.model import Address, Binding, Instance
from mooring_register.bindings.plan import WrittenBinding, bindings_carried_out, plan_bindings
from mooring_register.layouts.native import Native
from mooring_register.ownership import Claim
from mooring_register.transactions import MOST_OPERATIONS
from mooring_register.writers.etcd import EtcdWriter
from mooring_register.writers.writer import Terms

DB = Binding(key="h1/c1/BACKEND_DB", service="db", port=5432, addresses=("172.17.0.9",), host="h1", container="c1")
CACHE = evolve(DB, key="h1/c1/BACKEND_CACHE", service="cache", port=6379)
WEB = Instance(service="web", id="a", address=Address("10.0.0.1", 80), host="h1", container="c1")
KEY = BINDINGS_PREFIX + DB.key
LEASE = 7
tokens = (f"token{number}" for number in itertools.count())


def writer(store: MemoryStore) -> EtcdWriter:
    """Return a writer that takes its turns when it is told to."""
    terms = Terms(
        claim=Claim(host="h1", engine="E1", ttl_seconds=15, version="0.1", started="now"),
        resync_seconds=60.0,
        clock=lambda: 100.0,
        tokens=lambda: next(tokens),
        owner_idle_seconds=lambda: 0.0,
    )
    return EtcdWriter(store, "etcd://memory", Native("/services"), terms)


def turn(one: EtcdWriter, *bindings: Binding) -> None:
    """Want these bindings and no others, beside one instance, and take a turn."""
    one.mailbox.deliver({WEB.key: WEB}, {}, bindings={binding.key: binding for binding in bindings})
    one.turn()
    assert one.ready() is None


def present(store: MemoryStore) -> dict[str, Binding]:
    """Return the bindings that the store holds."""
    listed = store.list(BINDINGS_PREFIX).items
    keys = [found.key.removeprefix(BINDINGS_PREFIX) for found in listed]
    return {key: decode_binding(found.value, key=key) for key, found in zip(keys, listed, strict=True)}


def test_published_under_the_lease() -> None:
    """A binding is written below its host, attached to the host's lease like the instances."""
    store = MemoryStore()
    turn(writer(store), DB)
    found = store.get(KEY)
    assert found is not None
    assert present(store) == {DB.key: DB}
    lease = store.lease(found.lease)
    assert lease is not None
    assert set(lease.keys) == {KEY, "/services/web/a", "/mooring/hosts/h1"}


def test_changed_and_withdrawn() -> None:
    """A binding that changed is written anew, one that is wanted no more is deleted, the others stay untouched."""
    store = MemoryStore()
    one = writer(store)
    turn(one, DB, CACHE)
    untouched = store.get(BINDINGS_PREFIX + CACHE.key)
    moved = evolve(DB, addresses=("172.17.0.12",))
    turn(one, moved, CACHE)
    assert present(store) == {DB.key: moved, CACHE.key: CACHE}
    turn(one, CACHE)
    assert present(store) == {CACHE.key: CACHE}
    assert store.get(BINDINGS_PREFIX + CACHE.key) == untouched


def test_a_successor_writes_nothing() -> None:
    """A successor adopts the bindings: what did not change costs no write, what is gone meanwhile is deleted."""
    store = MemoryStore()
    turn(writer(store), DB, CACHE)
    written = store.list(BINDINGS_PREFIX).items
    turn(writer(store), DB, CACHE)
    assert store.list(BINDINGS_PREFIX).items == written
    turn(writer(store), CACHE)
    assert present(store) == {CACHE.key: CACHE}


def test_nothing_is_withdrawn_before_the_first_delivery() -> None:
    """A successor that does not know yet what runs leaves the bindings as they are."""
    store = MemoryStore()
    turn(writer(store), DB)
    writer(store).turn()
    assert present(store) == {DB.key: DB}


def test_fenced_out() -> None:
    """The one whose token was replaced can write and delete no binding, and counts none as its own."""
    store = MemoryStore()
    first = writer(store)
    turn(first, DB)
    turn(writer(store), DB)
    first.mailbox.deliver({WEB.key: WEB}, {}, bindings={CACHE.key: CACHE})
    assert first.state()["keys"] == 2
    with pytest.raises(OwnershipLost, match="another register took") as caught:
        first.turn()
    first.failed(caught.value)
    assert first.state()["keys"] == 0
    assert present(store) == {DB.key: DB}


def test_a_lost_lease() -> None:
    """When the lease is gone the bindings are written again, under the new one."""
    store = MemoryStore()
    one = writer(store)
    turn(one, DB)
    found = store.get(KEY)
    assert found is not None
    store.revoke(found.lease)
    assert present(store) == {}
    turn(writer(store), DB)
    assert present(store) == {DB.key: DB}


def test_retired() -> None:
    """A host that is retired takes its bindings out before it gives its lease up."""
    store = MemoryStore()
    one = writer(store)
    turn(one, DB, CACHE)
    one.mailbox.deliver({}, {}, "withdrawn")
    one.turn()
    one.retire()
    assert store.list("/").items == ()


@pytest.mark.parametrize("value", [encode_binding(evolve(DB, service="other")).encode(), b"{"])
def test_a_strangers_value(value: bytes) -> None:
    """What somebody else wrote below our host is replaced where it is wanted, and left alone where it is not."""
    store = MemoryStore()
    store.commit((), (Put(KEY, value), Put(BINDINGS_PREFIX + CACHE.key, value)))
    one = writer(store)
    turn(one, DB)
    beside = store.get(BINDINGS_PREFIX + CACHE.key)
    assert beside is not None
    assert beside.value == value
    found = store.get(KEY)
    assert found is not None
    assert (found.value, found.lease > 0) == (encode_binding(DB).encode(), True)


def test_a_stranger_in_our_place() -> None:
    """What somebody else put over a binding of ours is not deleted with it."""
    store = MemoryStore()
    one = writer(store)
    turn(one, DB)
    store.commit((), (Put(KEY, b"theirs"),))
    turn(one)
    found = store.get(KEY)
    assert found is not None
    assert found.value == b"theirs"


def test_deleted_before_written() -> None:
    """A binding that goes makes room, in one transaction, for another consumer at its address."""
    other = evolve(CACHE, key="h1/c2/BACKEND_X", container="c2", port=DB.port)
    (changes,) = plan_bindings({other.key: other}, {KEY: WrittenBinding(5, LEASE, DB)}, LEASE)
    assert [change.operation for change in changes] == [
        Delete(KEY),
        Put(BINDINGS_PREFIX + other.key, encode_binding(other).encode(), LEASE),
    ]


NAMES = st.sampled_from([f"h1/c1/{number}" for number in range(6)])
BINDINGS = st.builds(evolve, st.just(DB), port=st.integers(1, 3), container=st.sampled_from(["c1", "c2"]))


@given(
    st.dictionaries(NAMES, BINDINGS),
    st.dictionaries(
        NAMES.map(lambda name: BINDINGS_PREFIX + name),
        st.builds(WrittenBinding, st.integers(1, 9), st.sampled_from([LEASE, 8]), st.none() | BINDINGS),
    ),
)
def test_following_the_plan_reaches_what_is_wanted(
    wanted: dict[str, Binding], written: dict[str, WrittenBinding]
) -> None:
    """From anything written, one round reaches what is wanted and nothing else, and a second one has nothing to do."""
    for changes in plan_bindings(wanted, written, LEASE):
        assert len({change.key for change in changes}) == len(changes) <= MOST_OPERATIONS
        written = bindings_carried_out(written, changes, 10)
    assert plan_bindings(wanted, written, LEASE) == ()
    assert {key.removeprefix(BINDINGS_PREFIX): one.binding for key, one in written.items()} == wanted
    assert all(one.lease == LEASE for one in written.values())


def test_transactions_are_small_enough() -> None:
    """However many bindings there are, no transaction has more operations than etcd takes."""
    wanted = {f"h1/c1/{number}": evolve(DB, port=1 + number) for number in range(250)}
    batches = plan_bindings(wanted, {}, LEASE)
    assert [len(batch) for batch in batches] == [MOST_OPERATIONS, MOST_OPERATIONS, 50]
