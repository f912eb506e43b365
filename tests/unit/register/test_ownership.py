"""Who writes for a host."""

import contextlib

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import DocumentError, OwnershipLost
from mooring.etcd.memory import MemoryStore
from mooring.etcd.store import Committed, Put, Refused
from mooring_register.ownership import Claim, HostRecord, attached, decode_record, encode_record, retire, take

CLAIM = Claim(host="h1", engine="E1", ttl_seconds=15, version="0.1", started="2026-11-20T00:00:00Z")
KEY = "/mooring/hosts/h1"
WEB = "/services/web/a"


def test_a_new_host() -> None:
    """A host that nobody holds is taken with a new lease, and its key is attached to that."""
    store = MemoryStore()
    held = take(store, CLAIM, "t1", stands_by=False)
    found = store.get(KEY)
    assert found is not None
    assert (found.value, found.lease) == (held.value, held.lease)
    assert decode_record(found.key, found.value) == HostRecord(
        engine="E1",
        lease=held.lease,
        token="t1",  # noqa: S106 -- no secret
        ttl_seconds=15,
        version="0.1",
        started="2026-11-20T00:00:00Z",
    )


def test_adoption() -> None:
    """A register of the same engine goes on with the lease and its keys, and the earlier one can write no more."""
    store = MemoryStore()
    first = take(store, CLAIM, "t1", stands_by=False)
    store.commit((first.condition,), (Put(WEB, b"x", first.lease),))
    second = take(store, CLAIM, "t2", stands_by=False)
    assert second.lease == first.lease
    assert {key: found.value for key, found in attached(store, second).items()} == {WEB: b"x"}
    assert isinstance(store.commit((first.condition,), (Put(WEB, b"y"),)), Refused)
    assert isinstance(store.commit((second.condition,), (Put(WEB, b"z"),)), Committed)


def test_another_engine() -> None:
    """Another engine under the same host name is refused by name; nothing is written."""
    store = MemoryStore()
    take(store, CLAIM, "t1", stands_by=False)
    revision = store.list("/").revision
    with pytest.raises(OwnershipLost, match="host 'h1' is held by engine E1, ours is E2"):
        take(store, evolve(CLAIM, engine="E2"), "t2", stands_by=False)
    assert store.list("/").revision == revision


def test_another_engine_after_the_lease() -> None:
    """When the holder's lease has expired the host is free for whoever asks."""
    store = MemoryStore()
    take(store, CLAIM, "t1", stands_by=False)
    store.advance(16)
    assert take(store, evolve(CLAIM, engine="E2"), "t2", stands_by=False).record.engine == "E2"


def test_standing_by() -> None:
    """The one fenced out leaves a holder that renews alone, and takes over from one that died in time."""
    store = MemoryStore()
    take(store, CLAIM, "t1", stands_by=False)
    held = take(store, CLAIM, "t2", stands_by=False)
    store.advance(9)
    with pytest.raises(OwnershipLost, match="another register of this engine writes for host 'h1'"):
        take(store, CLAIM, "t3", stands_by=True)
    store.advance(1.5)
    assert take(store, CLAIM, "t3", stands_by=True).lease == held.lease


def test_another_ttl() -> None:
    """With another TTL the keys move to a new lease, unchanged, and the old lease is gone."""
    store = MemoryStore()
    first = take(store, CLAIM, "t1", stands_by=False)
    keys = [f"/services/web/{number}" for number in range(250)]
    for key in keys:
        store.commit((first.condition,), (Put(key, key.encode(), first.lease),))
    second = take(store, evolve(CLAIM, ttl_seconds=30), "t2", stands_by=False)
    lease = store.lease(second.lease)
    assert lease is not None
    assert (lease.granted_seconds, set(lease.keys)) == (30, {KEY, *keys})
    assert all(found.value == key.encode() for key, found in attached(store, second).items())
    assert store.lease(first.lease) is None


def test_a_record_without_its_lease() -> None:
    """A host's key whose lease is gone (somebody wrote it by hand) is taken with a new lease."""
    store = MemoryStore()
    record = HostRecord(engine="E1", lease=99, token="t", ttl_seconds=15)  # noqa: S106 -- no secret
    store.commit((), (Put(KEY, encode_record(record)),))
    held = take(store, CLAIM, "t1", stands_by=False)
    assert store.lease(held.lease) is not None


def test_a_record_that_cannot_be_read() -> None:
    """A host's key that says nothing is never overwritten."""
    store = MemoryStore()
    store.commit((), (Put(KEY, b"hello"),))
    with pytest.raises(OwnershipLost, match="/mooring/hosts/h1: does not say who writes for the host"):
        take(store, CLAIM, "t1", stands_by=False)


def test_keys_elsewhere_are_known_too() -> None:
    """Keys of the lease below another prefix, from an earlier --registry, are found as well."""
    store = MemoryStore()
    held = take(store, CLAIM, "t1", stands_by=False)
    store.commit((), (Put("/old/web/a", b"x", held.lease), Put("/services/web/foreign", b"y")))
    assert list(attached(store, held)) == ["/old/web/a"]


def test_retiring() -> None:
    """A host is given up with its lease; never one whose keys are still there, never another's."""
    store = MemoryStore()
    held = take(store, CLAIM, "t1", stands_by=False)
    store.commit((), (Put(WEB, b"x", held.lease),))
    retire(store, held)
    assert store.get(WEB) is not None
    store.commit((), (Put(WEB, b"x"),))
    other = take(store, CLAIM, "t2", stands_by=False)
    with pytest.raises(OwnershipLost):
        retire(store, held)
    retire(store, other)
    assert store.get(KEY) is None
    assert store.lease(held.lease) is None


@given(
    st.builds(
        HostRecord,
        engine=st.text(),
        lease=st.integers(0, 2**63),
        token=st.text(),
        ttl_seconds=st.integers(1, 10**6),
        version=st.text(),
        started=st.text(),
    )
)
def test_records_survive(record: HostRecord) -> None:
    """Any record is read as it was written."""
    assert decode_record(KEY, encode_record(record)) == record


@given(st.binary())
def test_no_bytes_do_harm(value: bytes) -> None:
    """Whatever stands in the key, the answer is a record or an error about a document."""
    with contextlib.suppress(DocumentError):
        decode_record(KEY, value)
