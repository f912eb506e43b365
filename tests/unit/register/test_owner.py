"""The loop that holds the state."""

import subprocess
import sys
from collections.abc import Mapping

from attrs import evolve

from mooring.model import Binding, Instance, State
from mooring_register import metrics
from mooring_register.addresses.reach import Policy
from mooring_register.containers import Container, Network, PortMapping
from mooring_register.deregistration import Failure
from mooring_register.observations import Died, Inspected, Listed, Lost, Observation, Signalled
from mooring_register.owner import Owner
from mooring_register.registrar import Key, Registrar, Withdrawal

WEB = Container(
    id="c1", name="/web.1", image="web", started_at=100.0, ports=(PortMapping(80, "tcp", "0.0.0.0", 32768),)
)
KEY = ("web", "h:web.1:80")
LISTED = Listed(frozenset({"c1"}), (WEB,), 900.0)


class Recorder:
    """A writer that notes what it is told."""

    def __init__(self) -> None:
        self.wanted: list[Mapping[Key, Instance]] = []
        self.withdrawals: list[Mapping[Key, Withdrawal]] = []
        self.bindings: list[Mapping[str, Binding]] = []
        self.failures: list[Mapping[str, Failure]] = []

    def deliver(
        self,
        instances: Mapping[Key, Instance],
        withdrawals: Mapping[Key, Withdrawal],
        *,
        bindings: Mapping[str, Binding],
        failures: Mapping[str, Failure],
    ) -> int:
        """See `Writer.deliver`."""
        self.wanted.append(instances)
        self.bindings.append(bindings)
        self.failures.append(failures)
        self.withdrawals.append(withdrawals)
        return len(self.wanted)


class Loop:
    """An owner with two writers, and a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.writers = (Recorder(), Recorder())
        self.owner = Owner(Registrar(policy=Policy(host="")), lambda: self.now, lambda: self.now)
        self.owner.begin(Policy(host="h", ip="10.0.0.1"), self.writers)

    def observe(self, *observations: Observation) -> Recorder:
        """Take a turn with these observations; return what a writer was told so far."""
        for observation in observations:
            self.owner.observe(observation)
        self.owner.end()
        self.owner.run()
        assert self.writers[0].wanted == self.writers[1].wanted
        return self.writers[0]


def test_nothing_before_the_listing() -> None:
    """No writer hears anything before the source was listed: it would withdraw what is merely not known yet."""
    loop = Loop()
    assert loop.observe(Inspected(WEB, "started", 900.0)).wanted == []
    assert [list(wanted) for wanted in loop.observe(LISTED).wanted] == [[KEY]]


def test_an_empty_host() -> None:
    """A host on which nothing runs is told as that: what an earlier register left there has to go."""
    assert Loop().observe(Listed(frozenset(), (), 900.0)).wanted == [{}]


def test_only_what_changed_is_told() -> None:
    """Looking again at what did not change tells the writers nothing."""
    loop = Loop()
    loop.observe(LISTED)
    assert len(loop.observe(Inspected(WEB, "updated", 901.0), Lost("away", 902.0), LISTED).wanted) == 1


def test_one_turn_for_many_observations() -> None:
    """What came together is told together, with the reasons."""
    loop = Loop()
    loop.observe(LISTED)
    told = loop.observe(Signalled("c1", "15", 999.0), Died("c1", 0, 999.5))
    assert told.wanted[1:] == [{}]
    assert told.withdrawals[1:] == [{KEY: Withdrawal("stopped", 999.5)}]


def test_time_alone() -> None:
    """A container that survived its stop signal is up again without any further observation."""
    loop = Loop()
    loop.observe(LISTED)
    loop.observe(Signalled("c1", "15", 999.0))
    loop.now = 1014.5
    states = [[one.state for one in wanted.values()] for wanted in loop.observe().wanted]
    assert states == [[State.UP], [State.DRAINING], [State.UP]]


def test_a_problem_is_counted_once() -> None:
    """A problem counts when it is first seen, and again only when it had gone."""
    broken = Container(id="c2", name="/b", image="b", ports=WEB.ports, labels={"SERVICE_WEIGHT": "heavy"})
    before = metrics.problems._value.get()  # noqa: SLF001 -- the library has no other way to ask
    loop = Loop()
    listed = Listed(frozenset({"c2"}), (broken,), 900.0)
    loop.observe(listed)
    loop.observe(listed, LISTED)
    assert metrics.problems._value.get() == before + 1  # noqa: SLF001 -- the same


def test_what_is_skipped_is_counted_by_its_rule() -> None:
    """Each rule and each kind of mistake counts by itself, once when it is first seen."""
    container = Container(
        id="c2",
        name="/b",
        image="b",
        ports=(*WEB.ports, PortMapping(81, "tcp")),
        labels={"SERVICE_WEIGHT": "heavy", "SERVICE_80_IGNORE": "1", "SERVICE_90_NAME": "x"},
        wishes={"BACKEND_DB": "nonsense"},
    )
    reasons = ("label", "binding", "ignored", "unreachable", "no such port", "filter")
    before = {one: skipped(one) for one in reasons}
    loop = Loop()
    listed = Listed(frozenset({"c2"}), (container,), 900.0)
    loop.observe(listed)
    loop.observe(listed)
    assert {one: skipped(one) - before[one] for one in reasons} == dict.fromkeys(reasons, 1.0) | {"filter": 0.0}


def skipped(reason: str) -> float:
    """Return how much was skipped for this reason so far."""
    return float(metrics.skipped.labels(reason)._value.get())  # noqa: SLF001 -- the library has no other way to ask


STANDS_STILL = """
from mooring_register.addresses.reach import Policy
from mooring_register.observations import Declared
from mooring_register.owner import Owner
from mooring_register.registrar import Registrar
import threading, time

class Stuck:
    def deliver(self, instances, withdrawals, *, bindings, failures):
        threading.Event().wait(30)

owner = Owner(Registrar(policy=Policy(host="h")), time.time, time.monotonic, standstill_seconds=3.0)
owner.begin(Policy(host="h"), (Stuck(),))
owner.observe(Declared((), (), 1.0))
owner.run()
"""


def test_an_owner_that_stands_still_ends_the_process_with_its_stacks() -> None:
    """Docker restarts what exits: a loop that hangs ends, and says on stderr in which call."""
    ended = subprocess.run(
        [sys.executable, "-c", STANDS_STILL], capture_output=True, text=True, timeout=50, check=False
    )
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert "in deliver" in ended.stderr


def test_idle() -> None:
    """How long ago the last turn was is known to the keep-alive."""
    loop = Loop()
    loop.now += 40.0
    assert loop.owner.idle_seconds() == 40.0


def test_a_binding_alone() -> None:
    """A binding that comes or goes is delivered, although no instance changed with it."""
    loop = Loop()
    consumer = evolve(WEB, ports=(), wishes={"BACKEND_DB": "db;5432"}, networks=(Network("bridge", "172.17.0.9"),))
    loop.observe(Listed(frozenset({"c1"}), (evolve(consumer, wishes={}),), 900.0))
    loop.observe(Inspected(consumer, "updated", 950.0))
    said = loop.observe(Inspected(evolve(consumer, labels={"SERVICE_X": "y"}), "updated", 951.0), Died("c1", 0, 952.0))
    assert [list(bindings) for bindings in said.bindings] == [[], ["h/c1/BACKEND_DB"], []]
