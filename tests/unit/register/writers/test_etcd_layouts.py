"""Writing in the layouts of other systems: whose a key is, and keys that several hosts need alike."""

import itertools

from attrs import evolve

from mooring.etcd.memory import MemoryStore
from mooring.etcd.store import Put
from mooring.model import Address, Instance, State
from mooring_register.deregistration import Failure
from mooring_register.layouts.foreign import Backends, Registrator
from mooring_register.layouts.layout import Layout
from mooring_register.layouts.native import Native
from mooring_register.ownership import Claim
from mooring_register.writers.etcd import EtcdWriter
from mooring_register.writers.writer import Terms

WEB = Instance(service="web", id="a", address=Address("10.0.0.1", 80), port=80, container="c1" * 6, name="/web.1")
OTHER = evolve(WEB, id="b", address=Address("10.0.0.2", 80), container="c2" * 6)
KEY, PORT_KEY = "/services/web/a", "/backends/web/port"
TTL_SECONDS = 15
tokens = (f"token{number}" for number in itertools.count())


class Hosts:
    """One store and the registers of several hosts, whose time passes together."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.now = 100.0

    def writer(self, layout: Layout, host: str = "h1") -> EtcdWriter:
        """Return a writer that takes its turns when it is told to."""
        terms = Terms(
            claim=Claim(host=host, engine=f"E-{host}", ttl_seconds=TTL_SECONDS, version="0.1", started="now"),
            resync_seconds=60.0,
            clock=lambda: self.now,
            tokens=lambda: next(tokens),
            owner_idle_seconds=lambda: 0.0,
        )
        return EtcdWriter(self.store, "etcd://memory", layout, terms)

    def written(self) -> dict[str, str]:
        """Return what is written, but for the hosts' own keys."""
        found = self.store.list("/").items
        return {one.key: one.value.decode() for one in found if not one.key.startswith("/mooring/")}

    def let_pass(self, seconds: int, *living: EtcdWriter) -> None:
        """Let seconds pass, in which these renew their leases and take their turns."""
        for _ in range(seconds):
            self.now += 1
            self.store.advance(1)
            for one in living:
                one.keep_alive.beat()
                one.turn()

    def lease_of(self, key: str) -> int:
        """Return what a key hangs on."""
        found = self.store.get(key)
        assert found is not None
        return found.lease


def turn(one: EtcdWriter, *instances: Instance) -> None:
    """Want these instances and no others, and take a turn."""
    one.mailbox.deliver({instance.key: instance for instance in instances}, {})
    one.turn()


def test_written_under_the_lease() -> None:
    """[R-K] A plain value hangs on the host's lease as every other, and goes at once when it is not wanted."""
    hosts = Hosts()
    one = hosts.writer(Registrator("/services"))
    turn(one, WEB)
    assert hosts.written() == {KEY: "10.0.0.1:80"}
    assert hosts.lease_of(KEY) == hosts.lease_of("/mooring/hosts/h1") != 0
    before = hosts.store.list("/").revision
    turn(one)
    assert hosts.written() == {}
    assert hosts.store.list("/").revision == before + 1


def test_draining_is_gone() -> None:
    """A reader who knows no draining is not shown what drains, and is shown it again when it is up again."""
    hosts = Hosts()
    one = hosts.writer(Registrator("/services"))
    turn(one, WEB)
    turn(one, evolve(WEB, state=State.DRAINING))
    assert hosts.written() == {}
    turn(one, WEB)
    assert hosts.written() == {KEY: "10.0.0.1:80"}


def test_what_failed_is_gone() -> None:
    """A reader who knows no `down` is not shown what failed, though it was asked for to stay."""
    hosts = Hosts()
    one = hosts.writer(Registrator("/services"))
    turn(one, WEB)
    one.mailbox.deliver({}, {}, failures={WEB.container: Failure("exited 1", 7.0)})
    one.turn()
    assert hosts.written() == {}


def test_what_has_no_place_is_told() -> None:
    """What a layout has no place for is shown with the reason, as long as it is wanted; the rest is written."""
    hosts = Hosts()
    one = hosts.writer(Backends("/backends"))
    turn(one, WEB, evolve(OTHER, address=Address("10.0.0.2", 53, "udp")))
    assert set(hosts.written()) == {"/backends/web/c1c1c1c1c1c1", PORT_KEY}
    assert "instance 'b' of service 'web' is left out: this layout knows TCP only" in str(one.state()["left out"])
    turn(one, WEB)
    assert one.state()["left out"] == []


def test_a_successor_writes_nothing() -> None:
    """What a predecessor wrote is adopted by its bytes, without a write; what has changed is written."""
    hosts = Hosts()
    turn(hosts.writer(Backends("/backends")), WEB)
    before = {key: hosts.store.get(key) for key in hosts.written()}
    successor = hosts.writer(Backends("/backends"))
    turn(successor, evolve(WEB, cause="reconciled", seen_docker=9.0))
    assert {key: hosts.store.get(key) for key in hosts.written()} == before
    turn(successor, evolve(WEB, address=Address("10.0.0.1", 81)))
    assert hosts.written()["/backends/web/c1c1c1c1c1c1"] == "10.0.0.1:81"


def test_another_host_s_key_is_left_alone() -> None:
    """A key on another host's lease is not touched, and the conflict names that host."""
    hosts = Hosts()
    first, second = hosts.writer(Registrator("/services")), hosts.writer(Registrator("/services"), "h2")
    turn(first, WEB)
    turn(second, evolve(WEB, address=Address("10.0.0.2", 80)))
    turn(second)
    assert hosts.written() == {KEY: "10.0.0.1:80"}
    turn(second, evolve(WEB, address=Address("10.0.0.2", 80)))
    assert "held by /mooring/hosts/h1 in service 'web', this is host 'h2'" in str(second.state()["conflicts"])


def test_a_stranger_s_key_is_left_alone() -> None:
    """A key without a lease was written by somebody else, even if it says the same."""
    hosts = Hosts()
    hosts.store.commit((), (Put(KEY, b"10.0.0.1:80"),))
    one = hosts.writer(Registrator("/services"))
    turn(one, WEB)
    turn(one)
    assert hosts.written() == {KEY: "10.0.0.1:80"}


def test_another_layout() -> None:
    """Started with another layout, a register takes out what it wrote in the one before."""
    hosts = Hosts()
    for layout in (Native("/services"), Backends("/backends"), Registrator("/services"), Native("/services")):
        one = hosts.writer(layout)
        turn(one, WEB)
        assert all(key.startswith(layout.root) for key in hosts.written())
    assert hosts.written()[KEY].startswith("{")


def test_a_shared_key_outlives_the_host_that_wrote_it() -> None:
    """[D-5] The port of a service is there as long as one host needs it: the other takes it over before it expires."""
    hosts = Hosts()
    first, second = hosts.writer(Backends("/backends")), hosts.writer(Backends("/backends"), "h2")
    turn(first, WEB)
    turn(second, OTHER)
    assert hosts.lease_of(PORT_KEY) == hosts.lease_of("/mooring/hosts/h1")
    assert second.state()["conflicts"] == []
    hosts.let_pass(TTL_SECONDS, first, second)
    assert hosts.lease_of(PORT_KEY) == hosts.lease_of("/mooring/hosts/h1")
    for _ in range(2 * TTL_SECONDS):
        hosts.let_pass(1, second)
        assert hosts.written()[PORT_KEY] == "80"
    assert set(hosts.written()) == {"/backends/web/c2c2c2c2c2c2", PORT_KEY}


def test_a_shared_key_stays_for_the_others() -> None:
    """A host that needs the port of a service no more leaves it while others do, and takes it out after the last."""
    hosts = Hosts()
    first, second = hosts.writer(Backends("/backends")), hosts.writer(Backends("/backends"), "h2")
    turn(first, WEB)
    turn(second, OTHER)
    turn(first)
    assert set(hosts.written()) == {"/backends/web/c2c2c2c2c2c2", PORT_KEY}
    turn(second)
    hosts.let_pass(61, first, second)
    assert hosts.written() == {}


def test_two_ports_for_one_service() -> None:
    """[D-13] The host that was first keeps the port of a service; the other says that it wants another one."""
    hosts = Hosts()
    first, second = hosts.writer(Backends("/backends")), hosts.writer(Backends("/backends"), "h2")
    turn(first, WEB)
    turn(second, evolve(OTHER, publish=8080))
    assert hosts.written()[PORT_KEY] == "80"
    assert "held by /mooring/hosts/h1" in str(second.state()["conflicts"])
    assert "/backends/web/c2c2c2c2c2c2" in hosts.written()
