"""What every `Source` tells: all that it holds, then each change, and nothing twice; on the twin and on a real etcd."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Condition
from typing import TypeVar

import pytest
from attrs import evolve, frozen

from mooring.documents import encode_binding, encode_instance
from mooring.etcd.client import connect
from mooring.etcd.memory import MemoryStore
from mooring.etcd.store import NO_LEASE, Delete, Put, Store
from mooring.keys import BINDINGS_PREFIX, host_key
from mooring.model import Address, Binding, Instance, State, parse_address
from mooring_discover.observations import (
    Answering,
    Gone,
    HostGone,
    HostSeen,
    Listed,
    Observation,
    Seen,
    Silent,
    Withdrawn,
)
from mooring_discover.sources.etcd import EtcdSource
from tests.servers import EtcdServer

DEADLINE_SECONDS = 20.0
NAME = "etcd://under.test/services"
LEASE_SECONDS = 60

T = TypeVar("T", bound=Observation)


class Heard:
    """What a source told, in order; waits for what is still to come."""

    def __init__(self) -> None:
        self.all: list[Observation] = []
        self._told = Condition()

    def tell(self, observation: Observation) -> None:
        """Take an observation, from any thread."""
        with self._told:
            self.all.append(observation)
            self._told.notify_all()

    def wait(self, kind: type[T], count: int = 1) -> list[T]:
        """Wait until so many of a kind were told, and return all of that kind."""
        with self._told:
            assert self._told.wait_for(lambda: len(self._of(kind)) >= count, DEADLINE_SECONDS), self.all
            return self._of(kind)

    def _of(self, kind: type[T]) -> list[T]:
        return [one for one in self.all if isinstance(one, kind)]


@frozen
class Bench:
    """A store, a source that follows it, and what was heard."""

    store: Store
    source: EtcdSource
    heard: Heard
    fail: Callable[[], None]
    recover: Callable[[], None]
    replace: Callable[[], None]

    def put(self, *records: Instance | Binding, lease: int = NO_LEASE) -> None:
        """Write documents, each in a transaction."""
        for record in records:
            document = (
                encode_binding(record) if isinstance(record, Binding) else encode_instance(evolve(record, path=""))
            )
            self.store.commit((), (Put(path_of(record), document.encode(), lease),))

    def delete(self, record: Instance | Binding) -> None:
        """Delete a key."""
        self.store.commit((), (Delete(path_of(record)),))

    def follow(self) -> list[Listed]:
        """Start the source and return its first listings: of instances, and of bindings and hosts."""
        self.source.start(self.heard.tell)
        return sorted(self.heard.wait(Listed, 2), key=lambda one: one.instances is None)


def path_of(record: Instance | Binding) -> str:
    """Return the key that holds a record."""
    return BINDINGS_PREFIX + record.key if isinstance(record, Binding) else record.path


def instance(name: str, service: str = "web") -> Instance:
    """Return an instance as it is read from its key."""
    return Instance(service=service, id=name, address=Address("10.0.0.1", 80), path=f"/services/{service}/{name}")


BINDING = Binding(key="h1/c1/DB", service="db", port=5432, host="h1")


@pytest.fixture(params=["memory", "etcd"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Give a source on the twin, then one on an etcd of its own."""
    heard = Heard()
    if request.param == "memory":
        store = MemoryStore()
        source = EtcdSource(NAME, store, "/services", now=lambda: 1.0)
        yield Bench(store, source, heard, store.fail, store.recover, store.replace)
    else:
        server: EtcdServer = request.getfixturevalue("own_etcd_server")
        hand = connect([parse_address(server.address)])
        source = EtcdSource(NAME, connect([parse_address(server.address)]), "/services", now=lambda: 1.0)
        yield Bench(hand, source, heard, server.stop, server.start, lambda: server.restart(keep_data=False))
        hand.close()
    source.stop(5.0)


def test_what_is_there_is_listed_in_two_parts(bench: Bench) -> None:
    """Instances, those on their way out, and those that cannot be read; bindings and hosts."""
    down = evolve(instance("c"), state=State.DOWN, cause="stopped")
    bench.put(instance("a"), instance("b", "hello/v1"), down, BINDING)
    bench.store.commit((), (Put("/services/web/x", b"{"), Put(host_key("h1"), b"{}")))
    bench.store.commit((), (Put("/servicesother/web/y", b"{"),))
    instances, wishes = bench.follow()
    assert instances.instances is not None
    assert sorted(instances.instances, key=lambda one: one.id) == [instance("a"), instance("b", "hello/v1")]
    assert instances.down == {("web", "c"): "stopped"}
    assert instances.unreadable == {"/services/web/x"}
    assert wishes.bindings == (BINDING,)
    assert wishes.hosts == frozenset({"h1"})
    assert set(bench.source.problems()) == {"/services/web/x"}


def test_nothing_there_is_listed_too(bench: Bench) -> None:
    """An empty registry says that it is empty."""
    instances, wishes = bench.follow()
    assert (instances.instances, wishes.bindings, wishes.hosts) == ((), (), frozenset())


def test_changes_follow_the_listing_in_order(bench: Bench) -> None:
    """Seen, changed, withdrawn with a word: one observation each, whatever else is written meanwhile."""
    bench.follow()
    changed = evolve(instance("a"), weight=5)
    bench.put(instance("a"), changed, evolve(instance("a"), state=State.DOWN, cause="exited 137"))
    bench.delete(instance("a"))
    bench.put(instance("z"))
    bench.heard.wait(Seen, 3)
    told = [one for one in bench.heard.all if isinstance(one, Seen | Withdrawn | Gone)]
    assert [one.record for one in told if isinstance(one, Seen)] == [instance("a"), changed, instance("z")]
    assert [(one.key, one.cause) for one in told if isinstance(one, Withdrawn)] == [(("web", "a"), "exited 137")]
    assert [type(one) for one in told] == [Seen, Seen, Withdrawn, Seen]


def test_expiry_is_told_from_deletion(bench: Bench) -> None:
    """Keys of a lease that is gone expired; a key whose lease lives was deleted by somebody."""
    lease = bench.store.grant(LEASE_SECONDS)
    bench.put(instance("a"), instance("b"), BINDING, lease=lease)
    bench.store.commit((), (Put(host_key("h1"), b"{}", lease),))
    bench.follow()
    bench.delete(instance("b"))
    bench.heard.wait(Gone, 1)
    bench.store.revoke(lease)
    bench.heard.wait(HostGone)
    assert {one.key: one.expired for one in bench.heard.wait(Gone, 3)} == {
        ("web", "a"): True,
        ("web", "b"): False,
        "h1/c1/DB": True,
    }


def test_hosts_and_bindings_are_followed(bench: Bench) -> None:
    """A host that comes, a binding that comes and goes."""
    bench.follow()
    bench.store.commit((), (Put(host_key("h2"), b"{}"),))
    bench.put(BINDING)
    bench.delete(BINDING)
    assert [one.host for one in bench.heard.wait(HostSeen)] == ["h2"]
    assert [one.key for one in bench.heard.wait(Gone)] == [BINDING.key]
    assert [one.record for one in bench.heard.wait(Seen)] == [BINDING]


def test_broken_document_is_no_observation(bench: Bench) -> None:
    """It is a problem while it lasts; the next one that can be read is seen."""
    bench.follow()
    bench.store.commit((), (Put("/services/web/a", b"not json"),))
    bench.put(instance("b"))
    bench.heard.wait(Seen)
    assert set(bench.source.problems()) == {"/services/web/a"}
    bench.put(instance("a"))
    assert [one.record for one in bench.heard.wait(Seen, 2)] == [instance("b"), instance("a")]
    assert not bench.source.problems()


def test_silence_and_its_end_are_told_once_each(bench: Bench) -> None:
    """However many ask the store: one silence, one end of it, and what happened meanwhile follows."""
    bench.put(instance("a"))
    bench.follow()
    bench.fail()
    assert bench.heard.wait(Silent)[0].reason
    bench.recover()
    bench.heard.wait(Answering)
    bench.put(instance("b"))
    assert [one.record for one in bench.heard.wait(Seen)] == [instance("b")]
    assert (len(bench.heard.wait(Silent)), len(bench.heard.wait(Answering))) == (1, 1)
    assert len(bench.heard.wait(Listed)) == 2


def test_replaced_store_is_listed_anew(bench: Bench) -> None:
    """Another store at the same address: both parts are listed again, whatever the revisions say."""
    bench.put(instance("a"))
    bench.follow()
    bench.replace()
    instances, wishes = sorted(bench.heard.wait(Listed, 4)[2:], key=lambda one: one.instances is None)
    assert (instances.instances, wishes.bindings) == ((), ())


def test_stopped_source_tells_nothing_more(bench: Bench) -> None:
    """After stop, what happens in the store is not told."""
    bench.follow()
    bench.source.stop(5.0)
    told = len(bench.heard.all)
    bench.put(instance("a"))
    other = EtcdSource(NAME, bench.store, "/services", now=lambda: 1.0)
    later = Heard()
    other.start(later.tell)
    later.wait(Listed, 2)
    other.stop(5.0)
    assert len(bench.heard.all) == told
