"""Register, struck before and after each of its calls to etcd: it ends as if nothing had happened."""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from attrs import evolve

from mooring.etcd.address import parse_etcd_address
from mooring.etcd.client import connect_to
from mooring.etcd.store import Removed, Store
from mooring.keys import host_key
from mooring.model import Address
from mooring_register.containers import Container, Network
from mooring_register.engine.address import DockerAddress
from mooring_register.observations import Died, Gone, Signalled
from mooring_register.settings import Settings
from tests.chaos.crashing import (
    Call,
    Crash,
    Fate,
    Moment,
    Story,
    Trap,
    killed_at_every,
    tried_at_every_call,
    tried_twice,
)
from tests.chaos.hosts import NOW, Ending, Host, container, history
from tests.chaos.killed import Mortal, run_register, withdraw_register
from tests.chaos.seams import STORE
from tests.integration.registers import Site
from tests.servers import HOST, EtcdServer

IN_PROCESS = (Fate.OUTAGE, Fate.DEATH)
PAIRS = 12
NAMES = ("containers", "rename", "bindings", "restarts", "lease_lost", "takeover", "retirement")
KINDS_OF_WRITES = {
    "grant",
    "keep_alive",
    "revoke",
    "put host",
    "delete host",
    "put starting, put up",
    "put up",
    "put starting",
    "put draining",
    "put down",
    "put down, put up",
    "delete instance",
    "put binding",
    "delete binding",
    "put binding, put up",
}
STEADY, OTHER, THIRD = (container(name, number=number) for number, name in enumerate(("steady", "other", "third")))
BOUND, *MOVING = (
    evolve(
        container(name, number=number),
        wishes={"BACKEND_DB": "db[master];5432;K=V", "BACKEND_DNS": "dns;53/udp"},
        networks=(Network("bridge", f"172.17.0.{number}"),),
    )
    for number, name in enumerate(("bound", "moving", "ending"), start=3)
)
# What the whole register writes in the life below; its third process retires the host.
KILLED_AT = [
    Moment(1, "grant"),
    Moment(1, "put host"),
    Moment(1, "put up"),
    Moment(1, "keep_alive"),
    Moment(1, "put down, put up"),
    Moment(1, "delete instance"),
    Moment(2, "put host"),
    Moment(2, "put up"),
    Moment(2, "revoke"),
    Moment(3, "put down"),
    Moment(3, "delete host"),
    Moment(3, "revoke"),
]


class Stories:
    """What may happen to a host, each on a host of its own at one etcd."""

    def __init__(self, store: Store, namespace: str) -> None:
        self.store = store
        self._namespace = namespace
        self._numbers = itertools.count(1)

    def story(self, name: str) -> Story:
        """Return the story of this name."""
        return Story(name, getattr(self, name))

    def calls(self, name: str) -> Sequence[Call]:
        """Return the calls of a story that nothing disturbs."""
        trap = Trap()
        self.story(name).play(trap)
        return trap.calls

    def _host(self, trap: Trap) -> Host:
        return Host(self.store, f"{self._namespace}-{next(self._numbers)}", trap)

    def containers(self, trap: Trap) -> Ending:
        """Containers start, change, drain and end, while one of them just runs."""
        host = self._host(trap)
        host.run(STEADY, OTHER, THIRD)
        host.run(evolve(OTHER, labels={**OTHER.labels, "SERVICE_WEIGHT": "50"}), cause="updated")
        host.tell(Signalled(THIRD.id, "15", NOW))
        host.end(THIRD, Died(THIRD.id, 0, NOW))
        return self._ended(host)

    def rename(self, trap: Trap) -> Ending:
        """A container gets another name, and another is removed."""
        host = self._host(trap)
        host.run(STEADY, OTHER, THIRD)
        host.run(evolve(OTHER, name="/renamed"), cause="renamed")
        host.end(THIRD, Gone(THIRD.id, NOW))
        return self._ended(host)

    def bindings(self, trap: Trap) -> Ending:
        """Consumers come, move to another address and end, and register is restarted, while one of them just runs."""
        host = self._host(trap)
        host.run(BOUND, *MOVING)
        host.run(evolve(MOVING[0], networks=(Network("bridge", "172.17.0.9"),)), cause="network connected")
        host.ttl_seconds = 90
        host.restart()
        host.end(MOVING[1], Died(MOVING[1].id, 0, NOW))
        host.always_bound(BOUND)
        return self._ended(host, steady=BOUND)

    def restarts(self, trap: Trap) -> Ending:
        """Register is restarted twice, the second time with another TTL, which moves the keys to another lease."""
        host = self._host(trap)
        host.run(STEADY, OTHER)
        host.restart()
        host.ttl_seconds = 90
        host.restart()
        host.run(THIRD)
        return self._ended(host)

    def lease_lost(self, trap: Trap) -> Ending:
        """The lease ends while register lives, and everything with it."""
        host = self._host(trap)
        host.run(OTHER, THIRD)
        host.lose_lease()
        host.run(evolve(THIRD, health="starting"), cause="updated")
        host.settle()
        ending = host.ending()
        host.close()
        return ending

    def takeover(self, trap: Trap) -> Ending:
        """A second register of the same engine takes the host; when it retired, the first one has it again."""
        host = self._host(trap)
        host.run(OTHER)
        first = host.register
        host.restart()
        for _ in range(3):
            first.stands_by()
        host.run(THIRD)
        host.retire()
        host.register = host.started() if first.life.is_over else first
        host.run(THIRD)
        ending = host.ending()
        host.withdrawn_with_a_word()
        host.close()
        return ending

    def retirement(self, trap: Trap) -> Ending:
        """The host is taken out of the registry."""
        host = self._host(trap)
        host.run(STEADY, OTHER)
        host.retire()
        ending = host.ending()
        host.withdrawn_with_a_word()
        host.close()
        return ending

    def _ended(self, host: Host, *, steady: Container = STEADY) -> Ending:
        host.never_gone(steady)
        host.withdrawn_with_a_word()
        ending = host.ending()
        host.close()
        return ending


@pytest.fixture
def stories(etcd_server: EtcdServer, namespace: str) -> Iterator[Stories]:
    """Give the stories at a real etcd."""
    store = connect_to(parse_etcd_address(f"etcd://{etcd_server.address}/{namespace}"))
    yield Stories(store, namespace)
    store.close()


@pytest.mark.parametrize("name", NAMES)
def test_struck_once(stories: Stories, name: str, measured: Callable[[str], None]) -> None:
    """Whether etcd fails or register dies, at whichever call: the registry ends up the same, and what ran stayed."""
    tried = tried_at_every_call(stories.story(name), *IN_PROCESS)
    measured(f"register, {name}: {len(tried.calls)} calls to etcd, {tried.runs} runs with one crash")


@pytest.mark.parametrize("name", NAMES)
def test_struck_again_while_it_recovers(stories: Stories, name: str, measured: Callable[[str], None]) -> None:
    """A second failure soon after the first changes nothing."""
    both = tried_twice(stories.story(name), IN_PROCESS, PAIRS, random.Random(name))
    measured(f"register, {name}: {both} runs with two crashes")
    assert both > PAIRS / 2


def test_every_kind_of_write_is_struck(stories: Stories) -> None:
    """The stories use all that a register may ask of a store, so that nothing new escapes the crashes."""
    calls = [call for name in NAMES for call in stories.calls(name)]
    assert {call.method for call in calls} == STORE.methods - {"watch", "list"}  # discover does, and other layouts
    assert {call.purpose for call in calls if call.writes} == KINDS_OF_WRITES


def test_killed(etcd_server: EtcdServer, namespace: str, tmp_path: Path, measured: Callable[[str], None]) -> None:
    """The whole register, killed at each kind of write: the next one goes on with the lease, and what ran stays."""
    numbers = itertools.count(1)

    def play(crash: Crash, process: int) -> int:
        name = f"{namespace}-{next(numbers)}"
        directory = tmp_path / name
        directory.mkdir()
        site = Site(etcd_server, directory, name)
        register = Mortal(directory / "log", crash, process)
        try:
            _live(site, register)
        finally:
            register.kill()
            site.close()
        return register.deaths

    measured(f"register: {killed_at_every(KILLED_AT, play)} runs with a real kill -9")


def _live(site: Site, register: Mortal) -> None:
    """Let a host's instances come, change and go, register be restarted with another TTL, and the host retire."""
    began = site.store.list(site.prefix).revision
    site.declare(7001, 7002)
    register.start(run_register, _settings(site, ttl_seconds=30))
    register.until(lambda: site.ports() == {7001, 7002}, "the first instances to be written")
    site.declare(7001, 7003)
    register.until(lambda: site.ports() == {7001, 7003}, "one instance to be replaced")
    register.end()
    site.declare(7001, 7003, 7004)
    register.start(run_register, _settings(site, ttl_seconds=60))
    register.until(lambda: _hang_on_one_lease(site) and site.ports() == {7001, 7003, 7004}, "a lease of another TTL")
    register.end()
    steady = f"{site.prefix}/web/127.0.0.1:web:7001"
    told = [change for change in history(site.store, f"{site.prefix}/", began) if change.key == steady]
    assert told
    assert not any(isinstance(change, Removed) for change in told), f"{steady} was removed"
    register.start(withdraw_register, _settings(site, ttl_seconds=60))
    while not register.ended():
        register.start(withdraw_register, _settings(site, ttl_seconds=60))
    assert not site.keys()
    assert site.store.get(host_key(site.host)) is None


def _hang_on_one_lease(site: Site) -> bool:
    leases = {found.lease for found in site.keys().values()}
    granted = [site.store.lease(lease) for lease in leases]
    return [lease.granted_seconds for lease in granted if lease is not None] == [60]


def _settings(site: Site, *, ttl_seconds: int) -> Settings:
    return Settings(
        registries=(parse_etcd_address(site.address),),
        docker=DockerAddress(),
        static=site.file,
        host=site.host,
        ip="",
        interface="",
        internal=False,
        explicit=False,
        ttl_seconds=ttl_seconds,
        resync_seconds=60.0,
        admin=Address(HOST, 0),
        admin_file=None,
        withdraw_on_exit=False,
    )
