"""One running container: what it comes to, as what it is published, and where what it consumes is known from. Pure.

Each function returns the very same value when nothing changed: a thousand containers that nothing happened to must not
cost a comparison each, here or in a writer.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from mooring.errors import DescriptorError
from mooring.model import Binding, Instance, State
from mooring_register.addresses.network_sharing import NoNetwork, network_owner, shares_network
from mooring_register.addresses.reach import Policy
from mooring_register.bindings.wishes import Origin, bind, origin, unbound
from mooring_register.containers import Container
from mooring_register.desired import Reading, read


@frozen
class Known:
    """One running container, what it comes to, and what last happened to it.

    `shown` are the instances that it is published as, in the state `shown_as`, `bound` its bindings, with the addresses
    of `bound_at`; each None before that was worked out. `owner` is whose network it has, when it shares another one's.
    """

    container: Container
    reading: Reading
    cause: str
    seen: float
    owner: Container | NoNetwork | None = None
    shown_as: State | None = None
    shown: tuple[Instance, ...] = ()
    bound_at: Origin | None = None
    bound: tuple[Binding, ...] = ()

    @property
    def problems(self) -> tuple[DescriptorError, ...]:
        """What is wrong with what it says, and with where it is."""
        return (*self.reading.problems, *unbound(self.container, self.reading.wishes, self.bound_at))


def cause_against(container: Container) -> str:
    """Return why a running container is not to be published, or nothing."""
    if container.paused:
        return "paused"
    if container.restarting:
        return f"exited {container.exit_code}"
    return "unhealthy" if container.health == "unhealthy" else ""


def joined(known: Known, running: Mapping[str, Container], policy: Policy, now: float) -> Known:
    """Return a container read anew when it shares the network of another one, and that has changed."""
    if not shares_network(known.container):
        return known
    owner = network_owner(known.container, running)
    if owner == known.owner:
        return known
    reading = read(known.container, policy, owner)
    if known.owner is None or reading == known.reading:
        return evolve(known, owner=owner, reading=reading)
    cause = "network connected" if isinstance(known.owner, NoNetwork) else "updated"
    if isinstance(owner, NoNetwork):
        cause = "network disconnected"
    return evolve(known, owner=owner, reading=reading, cause=cause, seen=now, shown_as=None, shown=())


def shown(known: Known, *, is_draining: bool) -> Known:
    """Return a container with the instances that it is published as now."""
    ready = State.STARTING if known.container.health == "starting" else State.UP
    state = State.DRAINING if is_draining else ready
    if known.shown_as is state:
        return known
    if cause_against(known.container):
        return evolve(known, shown_as=state, shown=())
    cause, seen = known.cause, known.seen
    instances = tuple(evolve(one, state=state, cause=cause, seen_docker=seen) for one in known.reading.instances)
    return evolve(known, shown_as=state, shown=instances)


def bound(known: Known, running: Mapping[str, Container], policy: Policy) -> Known:
    """Return a container with its bindings now; they change only with an address."""
    if not known.reading.wishes:
        return known
    at = origin(known.container, running, policy)
    if known.bound_at == at:
        return known
    return evolve(known, bound_at=at, bound=bind(known.container, known.reading.wishes, at, policy))
