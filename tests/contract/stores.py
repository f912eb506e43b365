"""The benches on which a `Store` is tested: the twin in memory and a real etcd, in the tests' own words."""

from collections.abc import Callable, Iterator

import pytest
from attrs import frozen

from mooring.errors import Unavailable
from mooring.etcd.client import connect
from mooring.etcd.memory import MemoryStore
from mooring.etcd.messages import etcd3, rpc
from mooring.etcd.store import Change, Committed, Put, Store, Watch
from mooring.model import parse_address
from tests.servers import EtcdServer
from tests.waiting import wait_until

STORES = ["memory", "etcd"]
NOWHERE = 1 << 40  # a revision, or a lease, that no store of a test reaches
AVAILABLE_SECONDS = 10.0


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


def compact(server: EtcdServer, revision: int) -> None:
    """Let an etcd forget what was before a revision."""
    client = etcd3.client(port=server.port, timeout=5)
    client.kvstub.Compact(rpc.CompactionRequest(revision=revision, physical=True), 5)
    client.close()


def opened_bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Open the twin for the parameter "memory", else an etcd that is shared with other tests."""
    if request.param == "memory":
        memory = MemoryStore()
        yield Bench(memory, memory.compact, memory.advance)
        return
    server: EtcdServer = request.getfixturevalue("etcd_server")
    store = connect([parse_address(server.address)])
    # Real time passes by itself: whoever waits for what it brings has a deadline of its own.
    yield Bench(store, lambda revision: compact(server, revision), lambda _: None)
    store.close()


def opened_breakable(request: pytest.FixtureRequest) -> Iterator[Breakable]:
    """Open the twin for the parameter "memory", else an etcd that the test has for itself."""
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

    def is_answered() -> bool:
        try:
            question()
        except Unavailable:
            return False
        return True

    wait_until(is_answered, "the store to answer", AVAILABLE_SECONDS)
