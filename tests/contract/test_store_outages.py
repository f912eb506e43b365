"""What every `Store` does when it is out of reach or another one, then what only a real etcd can suffer."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.errors import StartOver, Unavailable
from mooring.etcd.client import connect
from mooring.etcd.messages import etcd3, rpc
from mooring.etcd.store import Change, KeyValue, Put
from mooring.model import Address, parse_address
from tests.contract.stores import STORES, Breakable, collect, opened_breakable, put, take, until_available
from tests.servers import EtcdServer, free_port

PASSWORD = "correct horse"  # noqa: S105 -- of a server that lives as long as its test


@pytest.fixture(params=STORES)
def breakable(request: pytest.FixtureRequest) -> Iterator[Breakable]:
    """Run the test twice: on the twin, and on an etcd of its own."""
    yield from opened_breakable(request)


def test_store_out_of_reach_is_unavailable(breakable: Breakable, namespace: str) -> None:
    """Every call and every watch says `Unavailable` while the store is away; back, it has what it had."""
    store, key = breakable.store, f"/{namespace}/a"
    lease = store.grant(60)
    revision = put(store, key, b"1", lease)
    batches = iter(store.watch(f"/{namespace}/", revision))
    assert next(batches) == ()
    breakable.fail()
    calls: list[Callable[[], object]] = [
        lambda: list(batches),
        lambda: store.list(f"/{namespace}/"),
        lambda: store.get(key),
        lambda: store.commit((), (Put(key, b"2"),)),
        lambda: store.grant(60),
        lambda: store.keep_alive(lease),
        lambda: store.lease(lease),
        lambda: store.revoke(lease),
        lambda: list(store.watch(f"/{namespace}/", revision)),
    ]
    for call in calls:
        with pytest.raises(Unavailable):
            call()
    breakable.recover()
    until_available(lambda: store.get(key))
    assert store.keep_alive(lease) == 60
    changed = put(store, key, b"2")
    assert take(store.watch(f"/{namespace}/", revision), 1) == [KeyValue(key, b"2", changed)]


def test_replaced_store_starts_over(breakable: Breakable, namespace: str) -> None:
    """An empty store in the place of a full one ends the watch, and does not take up what the other one told."""
    store = breakable.store
    revisions = [put(store, f"/{namespace}/a") for _ in range(9)]
    watch = store.watch(f"/{namespace}/", revisions[-1])
    batches = iter(watch)
    assert next(batches) == ()
    breakable.replace()
    with pytest.raises(Unavailable):
        list(batches)
    until_available(lambda: store.get("/"))
    with pytest.raises(StartOver):
        list(store.watch(f"/{namespace}/", revisions[-1]))
    assert store.list("").items == ()


def test_frozen_etcd_is_noticed(own_etcd_server: EtcdServer, namespace: str) -> None:
    """A server that accepts and never answers makes calls and new watches `Unavailable` within seconds."""
    store = connect([parse_address(own_etcd_server.address)])
    revision = put(store, f"/{namespace}/a")
    own_etcd_server.pause()
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(store.get, f"/{namespace}/a")
        watch = pool.submit(list, store.watch(f"/{namespace}/", revision))
        assert isinstance(call.exception(10), Unavailable)
        assert isinstance(watch.exception(10), Unavailable)
    own_etcd_server.resume()
    until_available(lambda: put(store, f"/{namespace}/b"))
    changes = take(store.watch(f"/{namespace}/", revision), 1)
    assert [change.key for change in changes] == [f"/{namespace}/b"]
    store.close()


def test_killed_etcd_keeps_every_change(own_etcd_server: EtcdServer, namespace: str) -> None:
    """A watch that is taken up again after a crash tells each acknowledged change once, in order."""
    store = connect([parse_address(own_etcd_server.address)])
    cursor = store.list(f"/{namespace}/").revision
    written: list[int] = []
    seen: list[Change] = []
    for _ in range(3):
        watch = store.watch(f"/{namespace}/", cursor)
        batches = iter(watch)
        assert next(batches) == ()
        written += [put(store, f"/{namespace}/a", str(number).encode()) for number in range(50)]
        while len(seen) < len(written):
            seen += next(batches)
        written += [put(store, f"/{namespace}/b") for _ in range(3)]
        own_etcd_server.kill()
        with pytest.raises(Unavailable):
            collect(batches, seen)
        cursor = seen[-1].revision
        own_etcd_server.start()
        until_available(lambda: store.get("/"))
    seen += take(store.watch(f"/{namespace}/", cursor), len(written) - len(seen)) if len(seen) < len(written) else []
    assert [change.revision for change in seen] == written
    store.close()


def test_next_endpoint_is_asked_when_one_fails(own_etcd_server: EtcdServer, namespace: str) -> None:
    """With a dead endpoint and one that is alive, questions are answered, and transactions at the second attempt."""
    dead, alive = Address("127.0.0.1", free_port()), parse_address(own_etcd_server.address)
    store = connect([dead, alive])
    with pytest.raises(Unavailable, match=str(dead)):
        put(store, f"/{namespace}/a")
    revision = put(store, f"/{namespace}/a")
    store.close()
    store = connect([dead, alive])
    assert store.keep_alive(store.grant(60)) == 60
    assert next(iter(store.watch(f"/{namespace}/", revision))) == ()
    store.close()
    store = connect([dead, alive])
    with pytest.raises(Unavailable):
        next(iter(store.watch(f"/{namespace}/", revision)))
    assert next(iter(store.watch(f"/{namespace}/", revision))) == ()
    store.close()


def test_closed_store_is_unavailable(own_etcd_server: EtcdServer) -> None:
    """A call after `close`, and one that hangs while it happens, end at once and say why."""
    store = connect([parse_address(own_etcd_server.address)])
    own_etcd_server.pause()
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(store.list, "/")
        store.close()
        assert isinstance(hanging.exception(5), Unavailable)
    own_etcd_server.resume()
    with pytest.raises(Unavailable, match="closed"):
        store.get("/")
    with pytest.raises(Unavailable, match="closed"):
        list(store.watch("/", 1))


def test_password_is_renewed(own_etcd_server: EtcdServer, namespace: str) -> None:
    """A token that etcd forgot in a restart is replaced without anybody noticing; a wrong password is told."""
    admin = etcd3.client(port=own_etcd_server.port)
    auth = rpc.AuthStub(admin.channel)
    auth.UserAdd(rpc.AuthUserAddRequest(name="root", password=PASSWORD), 5)
    auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"), 5)
    auth.AuthEnable(rpc.AuthEnableRequest(), 5)
    admin.close()
    endpoints = [parse_address(own_etcd_server.address)]
    store = connect(endpoints, user="root", password=PASSWORD)
    revision = put(store, f"/{namespace}/a")
    own_etcd_server.restart()
    until_available(lambda: store.get(f"/{namespace}/a"))
    lease = store.grant(60)
    assert store.keep_alive(lease) == 60
    own_etcd_server.restart()
    until_available(lambda: take(store.watch(f"/{namespace}/", revision - 1), 1))
    store.close()
    for user, password in (("root", "wrong"), ("", "")):
        intruder = connect(endpoints, user=user, password=password)
        with pytest.raises(Unavailable, match=r"authentication failed|user name is empty"):
            intruder.get("/")
        assert password == "" or password not in repr(intruder.__dict__)
        intruder.close()
