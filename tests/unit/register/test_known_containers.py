"""What is wanted of containers that share the network of another one, as that one changes."""

from attrs import evolve

from mooring.model import State
from mooring_register.addresses.reach import Policy
from mooring_register.containers import Container, PortMapping
from mooring_register.observations import Died, Inspected, Listed
from mooring_register.registrar import Registrar, Withdrawal, apply, withdrawals

WEB = Container(id="web", name="/web", image="web", started_at=100.0, ports=(PortMapping(80, "tcp", "0.0.0.0", 32768),))
SIDECAR = Container(
    id="side",
    name="/side",
    image="side",
    started_at=101.0,
    network_mode="container:web",
    ports=(PortMapping(80, "tcp"),),
)
KEY = ("side", "h:side:80")
# The one that shares comes before the other, as it may in a listing.
BOTH = apply(
    Registrar(policy=Policy(host="h", ip="10.0.0.1")),
    [Listed(frozenset({"web", "side"}), (SIDECAR, WEB), 900.0)],
    900.0,
)


def where(state: Registrar) -> list[tuple[str, str, State]]:
    """Return where the instance of the one that shares is, with its cause and state; empty if it is not wanted."""
    return [(str(one.address), one.cause, one.state) for key, one in state.instances.items() if key == KEY]


def test_it_is_where_the_other_is() -> None:
    """A container is published where the other one, whose network it shares, publishes its port."""
    assert where(BOTH) == [("10.0.0.1:32768", "reconciled", State.UP)]


def test_the_other_changes() -> None:
    """What changes about the other one changes it too; what does not concern it leaves the very same value."""
    unhealthy = apply(BOTH, [Inspected(evolve(WEB, health="unhealthy"), "updated", 950.0)], 951.0)
    assert unhealthy.instances[KEY] is BOTH.instances[KEY]
    moved = evolve(WEB, ports=(PortMapping(80, "tcp", "0.0.0.0", 40000),))
    after = apply(unhealthy, [Inspected(moved, "updated", 960.0)], 961.0)
    assert where(after) == [("10.0.0.1:40000", "updated", State.UP)]
    assert after.instances[KEY].seen_docker == 961.0


def test_the_other_ends() -> None:
    """When the other one ends the container is withdrawn, although it runs, and the reason is told."""
    gone = apply(BOTH, [Died("web", 1, 950.0)], 951.0)
    assert where(gone) == []
    assert withdrawals(BOTH, gone, 951.0)[KEY] == Withdrawal("network disconnected", 951.0)
    assert [one.reason for one in gone.not_registered] == ["it shares the network of web, which does not run"]


def test_the_other_is_restarted() -> None:
    """After a restart of the other one it is reached again only when it was restarted too."""
    gone = apply(BOTH, [Died("web", 1, 950.0)], 950.0)
    again = apply(gone, [Inspected(evolve(WEB, started_at=955.0), "started", 955.0)], 955.0)
    assert where(again) == []
    restarted = apply(again, [Inspected(evolve(SIDECAR, started_at=960.0), "started", 960.0)], 960.0)
    assert where(restarted) == [("10.0.0.1:32768", "started", State.UP)]


def test_the_other_comes_later() -> None:
    """A container that was seen before the other one is published when that is seen."""
    alone = apply(Registrar(policy=BOTH.policy), [Inspected(SIDECAR, "started", 900.0)], 900.0)
    assert where(alone) == []
    assert where(apply(alone, [Inspected(WEB, "started", 901.0)], 901.0)) == [
        ("10.0.0.1:32768", "network connected", State.UP)
    ]


def test_a_loop_is_told() -> None:
    """E-C4: containers that share each other's network are mistakes, told once each; the others are published."""
    one, other = (
        evolve(SIDECAR, network_mode="container:b", id="a"),
        evolve(SIDECAR, network_mode="container:a", id="b"),
    )
    state = apply(BOTH, [Inspected(evolve(one, name="/a"), "", 1.0), Inspected(evolve(other, name="/b"), "", 1.0)], 1.0)
    assert [str(problem) for problem in state.problems] == [
        "a: it shares a network in a loop: a → b → a",
        "b: it shares a network in a loop: b → a → b",
    ]
    assert where(state) == where(BOTH)
