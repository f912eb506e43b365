"""Whatever happens to containers, registers and the store: when it is quiet, what is published is what runs."""

import contextlib
import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mooring.documents import decode_instance
from mooring.errors import Unavailable, WorldError
from mooring.etcd.memory import MemoryStore
from mooring.model import State
from mooring_register.addresses import Policy
from mooring_register.containers import read_container
from mooring_register.docker_feed import list_once
from mooring_register.memory_engine import MemoryEngine
from mooring_register.observations import Died, Inspected, Signalled
from mooring_register.ownership import Claim
from mooring_register.registrar import Registrar, apply, withdrawals
from mooring_register.writers.etcd import EtcdWriter, Terms

TTL_SECONDS = 15


class Register(RuleBasedStateMachine):
    """One host: an engine, a register that may be killed and started anew at any moment, and a store that may fail.

    Events reach the register, are lost, or come late; a turn of the writer may end anywhere.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.engine = MemoryEngine(lambda: self.now)
        self.store = MemoryStore(lambda: self.now)
        self.numbers = itertools.count()
        self.tokens = (f"t{number}" for number in itertools.count())
        self.containers: list[str] = []
        self.seen_nano = 0
        self.restart()

    # The register

    @rule()
    def restart(self) -> None:
        """Kill the register, whatever it was doing, and start it anew."""
        terms = Terms(
            claim=Claim(host="h", engine="E", ttl_seconds=TTL_SECONDS, version="1", started=""),
            resync_seconds=60.0,
            clock=lambda: self.now,
            tokens=lambda: next(self.tokens),
            owner_idle_seconds=lambda: 0.0,
        )
        self.writer = EtcdWriter(self.store, "etcd://memory", "/services", terms)
        self.state = Registrar(policy=Policy(host="h", ip="10.0.0.1"))
        self.reconcile()

    @rule()
    def reconcile(self) -> None:
        """List everything; events from before are old news then."""
        self.seen_nano = int(self.now * 1e9) + 10**6 * len(self.containers)
        self._observe(list_once(self.engine, self.now))

    @rule()
    def turn(self) -> None:
        """Let the writer take a turn, and the keep-alive beat."""
        try:
            self.writer.turn()
            self.writer.keep_alive.beat()
        except WorldError as error:
            self.writer.failed(error)

    def _observe(self, *observations: object) -> None:
        before = self.state
        self.state = apply(before, observations, self.now)  # type: ignore[arg-type] # a union, by construction
        if self.state.listed_at is not None:
            self.writer.mailbox.deliver(self.state.instances, withdrawals(before, self.state, self.now))

    # What happens to containers; `told` says whether the register hears of it

    @rule(name=st.sampled_from(["a", "b", "c"]), told=st.booleans())
    def start(self, name: str, told: bool) -> None:
        """Run a container."""
        container = self.engine.run(f"{name}{len(self.containers)}", name, ports=("80/tcp", "443/tcp"))
        self.containers.append(container)
        if told:
            self._inspect(container)

    @precondition(lambda self: self.containers)
    @rule(data=st.data(), told=st.booleans(), signal=st.sampled_from(["9", "15"]))
    def die(self, data: st.DataObject, told: bool, signal: str) -> None:
        """Kill a container."""
        container = data.draw(st.sampled_from(self.containers))
        self.containers.remove(container)
        self.engine.kill(container, signal)
        if told:
            self._observe(Signalled(container, signal, self.now), Died(container, 128 + int(signal), self.now))

    @precondition(lambda self: self.containers)
    @rule(data=st.data(), told=st.booleans())
    def rename(self, data: st.DataObject, told: bool) -> None:
        """Rename a container."""
        container = data.draw(st.sampled_from(self.containers))
        self.engine.rename(container, f"renamed{next(self.numbers)}")
        if told:
            self._inspect(container)

    @precondition(lambda self: self.containers)
    @rule(data=st.data(), signal=st.sampled_from(["1", "15"]))
    def signal(self, data: st.DataObject, signal: str) -> None:
        """Send a signal that the container survives."""
        container = data.draw(st.sampled_from(self.containers))
        self.engine.kill(container, signal, survives=True)
        self._observe(Signalled(container, signal, self.now))

    def _inspect(self, container: str) -> None:
        document = self.engine.inspect(container)
        assert document is not None
        self._observe(Inspected(read_container(document), "updated", self.now))

    # What happens to the store, and time

    @rule(seconds=st.sampled_from([0.5, 4.0, 20.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass; a lease that was not renewed expires."""
        self.now += seconds
        self.store.expire()
        self._observe()

    @rule()
    def fail(self) -> None:
        """Let the store be out of reach."""
        self.store.fail()

    @rule()
    def recover(self) -> None:
        """Let the store be within reach."""
        self.store.recover()

    @rule()
    def replace(self) -> None:
        """Let the store be another, empty one."""
        self.store.replace()

    # What must hold

    @invariant()
    def everything_hangs_on_a_lease(self) -> None:
        """No key is ever written that would outlive its host."""
        with contextlib.suppress(Unavailable):
            assert all(found.lease for found in self.store.list("/").items)

    @rule()
    def quiet(self) -> None:
        """When it is quiet for a moment, what is published is what runs."""
        self.store.recover()
        self.now += 31.0
        self.reconcile()
        for _ in range(4):
            self.turn()
        found = {item.key: decode_instance(item.value, where=item.key) for item in self.store.list("/services").items}
        running = {one.id for one in self.engine.running()}
        assert {one.container for one in found.values()} == running
        assert len(found) == 2 * len(running)
        assert all(one.state is State.UP for one in found.values())
        before = self.store.list("/services").revision
        self.turn()
        self.restart()
        self.turn()
        writes = [item.key for item in self.store.list("/").items if item.revision > before]
        assert writes == ["/mooring/hosts/h"], "an unchanged container cost a write"


Register.TestCase.settings = settings(stateful_step_count=30, deadline=None)
TestRegister = Register.TestCase
