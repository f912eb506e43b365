"""What every `Store` does, held to its twin in memory and to a real etcd; then what only a real one can suffer."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from attrs import frozen

from mooring.errors import LeaseLost, StartOver, Unavailable
from mooring.etcd.client import PAGE_KEYS, connect
from mooring.etcd.memory import MemoryStore
from mooring.etcd.messages import etcd3, rpc
from mooring.etcd.store import (
    LEAST_TTL_SECONDS,
    MOST_OPERATIONS,
    At,
    Change,
    Committed,
    Delete,
    Holds,
    KeyValue,
    Put,
    Refused,
    Removed,
    Store,
    Watch,
)
from mooring.model import Address, parse_address
from tests.servers import EtcdServer, free_port

PASSWORD = "correct horse"  # noqa: S105 -- of a server that lives as long as its test
NOWHERE = 1 << 40  # a revision, or a lease, that no store of a test reaches


@frozen
class Bench:
    """A store, and what can be done to it from outside."""

    store: Store
    compact: Callable[[int], None]
    let_pass: Callable[[float], None]


@frozen
class Breakable:
    """A store that can be taken away, given back and replaced by an empty one."""

    store: Store
    fail: Callable[[], None]
    recover: Callable[[], None]
    replace: Callable[[], None]


def _compact(server: EtcdServer, revision: int) -> None:
    client = etcd3.client(port=server.port, timeout=5)
    client.kvstub.Compact(rpc.CompactionRequest(revision=revision, physical=True), 5)
    client.close()


@pytest.fixture(params=["memory", "etcd"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Run the test twice: on the twin, and on an etcd that it shares with others."""
    if request.param == "memory":
        memory = MemoryStore()
        yield Bench(memory, memory.compact, memory.advance)
        return
    server: EtcdServer = request.getfixturevalue("etcd_server")
    store = connect([parse_address(server.address)])
    # Real time passes by itself: whoever waits for what it brings has a deadline of its own.
    yield Bench(store, lambda revision: _compact(server, revision), lambda _: None)
    store.close()


@pytest.fixture(params=["memory", "etcd"])
def breakable(request: pytest.FixtureRequest) -> Iterator[Breakable]:
    """Run the test twice: on the twin, and on an etcd of its own."""
    if request.param == "memory":
        memory = MemoryStore()
        yield Breakable(memory, memory.fail, memory.recover, memory.replace)
        return
    server: EtcdServer = request.getfixturevalue("own_etcd_server")
    store = connect([parse_address(server.address)])
    yield Breakable(store, server.kill, server.start, lambda: server.restart(keep_data=False))
    store.close()


def put(store: Store, key: str, value: bytes = b"", lease: int = 0) -> int:
    """Write a key whatever it holds and return the revision."""
    outcome = store.commit((), (Put(key, value, lease),))
    assert isinstance(outcome, Committed)
    return outcome.revision


def take(watch: Watch, count: int) -> list[Change]:
    """Return the next changes of a watch, however they come in batches; the test's own time limit is the deadline."""
    changes: list[Change] = []
    for batch in watch:
        changes += batch
        if len(changes) >= count:
            break
    watch.cancel()
    return changes


def collect(batches: Iterator[tuple[Change, ...]], into: list[Change]) -> None:
    """Take what a watch tells until it ends, keeping what came before it ends with an error."""
    for batch in batches:
        into += batch


def until_available(question: Callable[[], object]) -> None:
    """Ask until there is an answer: a channel takes a moment to notice that its server is back."""
    deadline = time.monotonic() + 10
    while True:
        try:
            question()
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


def test_listing_holds_exactly_what_lies_below_the_prefix(bench: Bench, namespace: str) -> None:
    """Keys come sorted, with value, revision and lease, at a revision that is at least theirs; neighbours do not."""
    lease = bench.store.grant(60)
    second = put(bench.store, f"/{namespace}/b", b"2", lease)
    first = put(bench.store, f"/{namespace}/a", b"1")
    put(bench.store, f"/{namespace}0", b"next to it")
    listing = bench.store.list(f"/{namespace}/")
    assert listing.items == (
        KeyValue(f"/{namespace}/a", b"1", first),
        KeyValue(f"/{namespace}/b", b"2", second, lease),
    )
    assert listing.revision >= first
    bench.store.revoke(lease)


def test_listing_of_any_size_is_whole(bench: Bench, namespace: str) -> None:
    """More keys than fit on a page are all there, once, at one revision."""
    keys = [f"/{namespace}/{number:05}" for number in range(2 * PAGE_KEYS + 17)]
    for start in range(0, len(keys), 100):
        bench.store.commit((), tuple(Put(key, b"x") for key in keys[start : start + 100]))
    listing = bench.store.list(f"/{namespace}/")
    assert [item.key for item in listing.items] == keys
    assert listing.revision == bench.store.list(f"/{namespace}/nothing").revision


def test_listing_is_of_one_moment(bench: Bench, namespace: str) -> None:
    """A key that is moved from the last page to the first while a listing is under way is in it once."""
    keys = [f"/{namespace}/{number:05}" for number in range(2 * PAGE_KEYS + 17)]
    for start in range(0, len(keys), 100):
        bench.store.commit((), tuple(Put(key, b"x") for key in keys[start : start + 100]))
    stopping = threading.Event()

    def move() -> None:
        place = keys[-1]
        for number in itertools.count():
            if stopping.is_set():
                return
            moved = f"/{namespace}/{'0' if number % 2 else '9'}"
            bench.store.commit((), (Delete(place), Put(moved, b"x")))
            place = moved

    with ThreadPoolExecutor(1) as pool:
        mover = pool.submit(move)
        sizes = {len(bench.store.list(f"/{namespace}/").items) for _ in range(20)}
        stopping.set()
        mover.result(10)
    assert sizes == {len(keys)}


def test_empty_prefix_means_everything(bench: Bench, namespace: str) -> None:
    """A prefix of nothing is no special case, neither for a listing nor for a watch."""
    before = put(bench.store, f"/{namespace}", b"1")
    assert f"/{namespace}" in [item.key for item in bench.store.list("").items]
    put(bench.store, f"{namespace} without a slash")
    assert take(bench.store.watch("", before), 1)[0].key == f"{namespace} without a slash"


def test_key_and_value_come_back_as_they_were(bench: Bench, namespace: str) -> None:
    """A key of any letters and a value of any bytes are returned unchanged; a key that is not there is None."""
    key, value = f"/{namespace}/größe %2F|🚢", bytes(range(256))
    revision = put(bench.store, key, value)
    assert bench.store.get(key) == KeyValue(key, value, revision)
    assert bench.store.list(key).items == (KeyValue(key, value, revision),)
    assert bench.store.get(f"/{namespace}/nothing") is None


def test_watch_continues_a_listing_without_a_hole(bench: Bench, namespace: str) -> None:
    """What changes between a listing and its watch, and after, is told once and in order; neighbours are not."""
    put(bench.store, f"/{namespace}/a", b"1")
    listing = bench.store.list(f"/{namespace}/")
    changed = put(bench.store, f"/{namespace}/a", b"2")
    put(bench.store, f"/{namespace}0", b"next to it")
    watch = bench.store.watch(f"/{namespace}/", listing.revision)
    batches = iter(watch)
    assert next(batches) == ()
    gone = bench.store.commit((), (Delete(f"/{namespace}/a"), Put(f"/{namespace}/b", b"3")))
    changes: list[Change] = []
    while len(changes) < 3:
        changes += next(batches)
    watch.cancel()
    assert isinstance(gone, Committed)
    assert changes == [
        KeyValue(f"/{namespace}/a", b"2", changed),
        Removed(f"/{namespace}/a", gone.revision),
        KeyValue(f"/{namespace}/b", b"3", gone.revision),
    ]


def test_watch_reaches_back_as_far_as_history_is_kept(bench: Bench, namespace: str) -> None:
    """Every single change after the revision is told, not only what is left of them."""
    start = bench.store.list(f"/{namespace}/").revision
    revisions = [put(bench.store, f"/{namespace}/a", str(number).encode()) for number in range(300)]
    changes = take(bench.store.watch(f"/{namespace}/", start), 300)
    assert [change.revision for change in changes] == revisions


def test_watch_can_begin_with_the_store(breakable: Breakable) -> None:
    """Following from revision 0 tells everything that ever happened."""
    first = put(breakable.store, "/a")
    assert [change.revision for change in take(breakable.store.watch("/", 0), 1)] == [first]


def test_transaction_happens_wholly_or_not_at_all(bench: Bench, namespace: str) -> None:
    """When one condition does not hold nothing is carried out, and what the conditions' keys hold is returned."""
    key, other = f"/{namespace}/a", f"/{namespace}/b"
    created = bench.store.commit((At(key, 0),), (Put(key, b"mine"),))
    assert isinstance(created, Committed)
    refused = bench.store.commit(
        (Holds(key, b"mine"), At(key, created.revision - 1), At(other, 0)), (Put(key, b"x"), Put(other, b"x"))
    )
    assert refused == Refused((KeyValue(key, b"mine", created.revision),))
    assert bench.store.get(other) is None
    changed = bench.store.commit((Holds(key, b"mine"), At(key, created.revision)), (Delete(key), Put(other, b"x")))
    assert isinstance(changed, Committed)
    assert bench.store.list(f"/{namespace}/").items == (KeyValue(other, b"x", changed.revision),)


def test_nothing_holds_at_a_key_that_is_not_there(bench: Bench, namespace: str) -> None:
    """An absent key holds no value, not even an empty one, and is at revision 0."""
    key = f"/{namespace}/a"
    assert bench.store.commit((Holds(key, b""),), ()) == Refused(())
    assert isinstance(bench.store.commit((At(key, 0),), ()), Committed)


def test_removing_what_is_not_there_is_no_change(bench: Bench, namespace: str) -> None:
    """Such a transaction succeeds and is seen by nobody: it has no revision of its own."""
    before = put(bench.store, f"/{namespace}/a")
    assert bench.store.commit((), (Delete(f"/{namespace}/b"),)) == Committed(before)
    assert bench.store.commit((), ()) == Committed(before)


def test_impossible_transaction_is_our_mistake(bench: Bench, namespace: str) -> None:
    """Two operations on one key, or more than a store takes, are refused before anything is asked of the store."""
    with pytest.raises(ValueError, match="named by two operations"):
        bench.store.commit((), (Put(f"/{namespace}/a", b"1"), Delete(f"/{namespace}/a")))
    many = [f"/{namespace}/{number}" for number in range(MOST_OPERATIONS + 1)]
    with pytest.raises(ValueError, match="129 operations"):
        bench.store.commit((), tuple(Put(key, b"") for key in many))
    with pytest.raises(ValueError, match="129 conditions"):
        bench.store.commit(tuple(At(key, 0) for key in many), ())
    most = many[:MOST_OPERATIONS]
    assert isinstance(
        bench.store.commit(tuple(At(key, 0) for key in most), tuple(Put(key, b"") for key in most)), Committed
    )


def test_only_one_of_many_wins_a_key(bench: Bench, namespace: str) -> None:
    """Counting up from several threads, each step conditional on the one before, loses no step."""
    key = f"/{namespace}/counter"
    put(bench.store, key, b"0")

    def count_up(steps: int) -> None:
        while steps:
            present = bench.store.get(key)
            assert present is not None
            step = Put(key, str(int(present.value) + 1).encode())
            steps -= isinstance(bench.store.commit((At(key, present.revision),), (step,)), Committed)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(count_up, 25) for _ in range(4)]:
            done.result()
    present = bench.store.get(key)
    assert present is not None
    assert present.value == b"100"


def test_lease_knows_its_keys(bench: Bench, namespace: str) -> None:
    """One call tells a successor all keys of a lease; a key that is written without it, or with another, leaves it."""
    lease, other = bench.store.grant(60), bench.store.grant(60)
    for name in "dcba":
        put(bench.store, f"/{namespace}/{name}", b"", lease)
    put(bench.store, f"/{namespace}/a", b"without")
    put(bench.store, f"/{namespace}/b", b"with another", other)
    present = bench.store.lease(lease)
    assert present is not None
    assert present.keys == (f"/{namespace}/c", f"/{namespace}/d")
    assert (present.id, present.granted_seconds) == (lease, 60)
    assert 55 <= present.remaining_seconds <= 60
    for each in (lease, other):
        bench.store.revoke(each)
    assert [item.key for item in bench.store.list(f"/{namespace}/").items] == [f"/{namespace}/a"]


def test_lease_is_granted_for_a_least_time(bench: Bench) -> None:
    """Whoever asks for less than a store can grant is given that."""
    lease = bench.store.grant(1)
    assert bench.store.keep_alive(lease) == LEAST_TTL_SECONDS
    bench.store.revoke(lease)


def test_keep_alive_renews(bench: Bench) -> None:
    """Keeping a lease alive returns the seconds that it was granted, and it has them again."""
    lease = bench.store.grant(60)
    bench.let_pass(30)
    assert bench.store.keep_alive(lease) == 60
    present = bench.store.lease(lease)
    assert present is not None
    assert present.remaining_seconds >= 55
    bench.store.revoke(lease)


def test_lease_that_is_gone_is_told(bench: Bench, namespace: str) -> None:
    """Writing under it and renewing it say `LeaseLost` by number and do nothing else; ending it again is harmless."""
    lease = bench.store.grant(60)
    bench.store.revoke(lease)
    for gone in (lease, NOWHERE):
        assert bench.store.lease(gone) is None
        bench.store.revoke(gone)
        with pytest.raises(LeaseLost) as lost:
            bench.store.keep_alive(gone)
        assert lost.value.lease == gone
        with pytest.raises(LeaseLost) as lost:
            bench.store.commit((), (Put(f"/{namespace}/a", b""), Put(f"/{namespace}/b", b"", gone)))
        assert lost.value.lease == gone
    assert bench.store.list(f"/{namespace}/").items == ()


def test_condition_comes_before_the_lease(bench: Bench, namespace: str) -> None:
    """A transaction that is refused anyway does not mind that its lease is gone."""
    key = f"/{namespace}/a"
    assert bench.store.commit((Holds(key, b"x"),), (Put(key, b"", NOWHERE),)) == Refused(())


@pytest.mark.parametrize("way", ["expired", "revoked"])
def test_end_of_a_lease_removes_its_keys_at_once(bench: Bench, namespace: str, way: str) -> None:
    """All keys of a lease go in one revision, seen as removals like any other."""
    lease = bench.store.grant(LEAST_TTL_SECONDS)
    start = [put(bench.store, f"/{namespace}/{name}", b"", lease) for name in "ab"][-1]
    watch = bench.store.watch(f"/{namespace}/", start)
    if way == "revoked":
        bench.store.revoke(lease)
    else:
        bench.let_pass(LEAST_TTL_SECONDS)
    changes = take(watch, 2)
    assert all(isinstance(change, Removed) for change in changes)
    assert sorted(change.key for change in changes) == [f"/{namespace}/a", f"/{namespace}/b"]
    assert len({change.revision for change in changes}) == 1
    assert bench.store.lease(lease) is None


def test_compacted_revision_starts_over(bench: Bench, namespace: str) -> None:
    """Following from before the compacted revision says so before anything else; following from it works."""
    revisions = [put(bench.store, f"/{namespace}/a", b"x") for _ in range(6)]
    bench.compact(revisions[3])
    for start in (0, *revisions[:3]):
        with pytest.raises(StartOver, match="compacted"):
            next(iter(bench.store.watch(f"/{namespace}/", start)))
    for number, start in enumerate(revisions[3:5], 4):
        changes = take(bench.store.watch(f"/{namespace}/", start), 6 - number)
        assert [change.revision for change in changes] == revisions[number:]
    assert next(iter(bench.store.watch(f"/{namespace}/", revisions[5]))) == ()


def test_revision_of_the_future_starts_over(bench: Bench, namespace: str) -> None:
    """A store that has not come to the revision yet is not the store that was listed."""
    with pytest.raises(StartOver, match="replaced"):
        list(bench.store.watch(f"/{namespace}/", NOWHERE))


def test_watch_is_cancelled_from_another_thread(bench: Bench, namespace: str) -> None:
    """Whoever iterates is let go within 200 ms, without an error; a watch cancelled before it began never begins."""
    revision = bench.store.list(f"/{namespace}/").revision
    watch = bench.store.watch(f"/{namespace}/", revision)
    batches = iter(watch)
    assert next(batches) == ()
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list, batches)
        cancelled = time.monotonic()
        watch.cancel()
        assert rest.result(5) == []
    assert time.monotonic() - cancelled < 0.2
    watch.cancel()
    unborn = bench.store.watch(f"/{namespace}/", revision)
    unborn.cancel()
    assert list(unborn) == []


def test_watches_leave_no_threads_behind(bench: Bench, namespace: str) -> None:
    """Watches that came and went cost nothing afterwards."""
    revision = bench.store.list(f"/{namespace}/").revision
    before = threading.active_count()
    for _ in range(20):
        watch = bench.store.watch(f"/{namespace}/", revision)
        assert next(iter(watch)) == ()
        watch.cancel()
    deadline = time.monotonic() + 5
    while threading.active_count() > before + 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before + 1


def test_closing_ends_watches(bench: Bench, namespace: str) -> None:
    """Whoever iterates when the store is closed is let go, without an error."""
    batches = iter(bench.store.watch(f"/{namespace}/", bench.store.list(f"/{namespace}/").revision))
    assert next(batches) == ()
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list, batches)
        bench.store.close()
        assert rest.result(5) == []


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


def test_twin_follows_the_clock_it_is_given() -> None:
    """The twin's leases end when the injected clock says so, and watches in other threads are told by `expire`."""
    moments = [100.0]
    store = MemoryStore(lambda: moments[0])
    lease = store.grant(10)
    watch = store.watch("/", put(store, "/a", b"", lease))
    moments[0] += 9
    assert store.keep_alive(lease) == 10
    moments[0] += 9.5
    present = store.lease(lease)
    assert present is not None
    assert present.remaining_seconds == 0
    with ThreadPoolExecutor(1) as pool:
        changes = pool.submit(take, watch, 1)
        moments[0] += 0.5
        store.expire()
        assert [change.key for change in changes.result(5)] == ["/a"]
    assert store.lease(lease) is None


def test_frozen_etcd_is_noticed(own_etcd_server: EtcdServer, namespace: str) -> None:
    """A server that accepts and never answers makes calls and new watches `Unavailable` within seconds."""
    store = connect([parse_address(own_etcd_server.address)])
    revision = put(store, f"/{namespace}/a")
    own_etcd_server.pause()
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(store.get, f"/{namespace}/a")
        watch = pool.submit(list, store.watch(f"/{namespace}/", revision))
        assert isinstance(call.exception(10), Unavailable)
        assert time.monotonic() - started < 4
        assert isinstance(watch.exception(10), Unavailable)
        assert time.monotonic() - started < 6
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
        started = time.monotonic()
        store.close()
        assert isinstance(hanging.exception(5), Unavailable)
        assert time.monotonic() - started < 1
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
