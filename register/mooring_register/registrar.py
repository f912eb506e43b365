"""The owner's state: what is known of this host's containers, and which instances should be published. Pure.

`apply` takes observations and the present time and returns a new state, whose `instances` and `bindings` are what is
wanted now. Which instances vanished between two states is told by `withdrawals`, each with its cause. Nothing is wanted
at all until the source was listed once: before that, withdrawing what a predecessor wrote would be guessing.

A container is published while it runs, is not paused and not unhealthy; with a HEALTHCHECK it is `starting` until it
is healthy. Announced to end (its stop signal was sent, or somebody says that he will stop it) it is `draining`, until
the announcement has proved wrong. Its bindings stand as long as it runs: also an unhealthy one needs what it asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, assert_never

from attrs import evolve, field, frozen

from mooring.errors import DescriptorError, IdTaken, InvalidInput
from mooring.model import Binding, Instance
from mooring_register.addresses import Policy
from mooring_register.desired import NotRegistered, read
from mooring_register.draining import Drain, after_announcement, after_signal, announces_end
from mooring_register.known_containers import Known, bound, cause_against, joined, shown
from mooring_register.observations import (
    Declared,
    Died,
    Gone,
    Inspected,
    Listed,
    Lost,
    Observation,
    Signalled,
    StopAnnounced,
    Unreadable,
)

Key: TypeAlias = tuple[str, str]

RECONCILED: Final = "reconciled"
STOPPING: Final = "stopping"


@frozen
class Withdrawal:
    """Why an instance is no longer wanted, and when its source said so (epoch seconds)."""

    cause: str
    seen: float


@frozen(kw_only=True)
class Registrar:
    """Everything known of one host. `departed` are the containers that ended in the last `apply`, with the reason.

    `draining` holds the announced ends of containers, by container.
    """

    policy: Policy
    containers: Mapping[str, Known] = field(factory=dict)
    draining: Mapping[str, Drain] = field(factory=dict)
    departed: Mapping[str, Withdrawal] = field(factory=dict)
    declared: tuple[Instance, ...] = ()
    declared_problems: tuple[InvalidInput, ...] = ()
    listed_at: float | None = None
    lost_since: float | None = None
    lost_reason: str = ""
    instances: Mapping[Key, Instance] = field(factory=dict)
    bindings: Mapping[str, Binding] = field(factory=dict)
    problems: tuple[InvalidInput, ...] = ()

    @property
    def not_registered(self) -> tuple[NotRegistered, ...]:
        """The ports that are not registered, with the reasons."""
        return tuple(one for known in self.containers.values() for one in known.reading.not_registered)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is no mistake of a container, and yet may not be what its people expect."""
        return tuple(note for known in self.containers.values() for note in known.reading.notes)


def apply(state: Registrar, observations: Iterable[Observation], now: float) -> Registrar:
    """Return the state after these observations, in their order, at the time `now`.

    Several at once cost little more than one. Without any, time alone has passed: a container that still runs after
    its announced end is up again.
    """
    state = evolve(state, departed={})
    for observation in observations:
        state = _after(state, observation)
    return _wanted(state, now)


def _after(state: Registrar, observation: Observation) -> Registrar:
    match observation:
        case Listed():
            return _listed(state, observation)
        case Inspected():
            return _inspected(state, observation)
        case Died():
            return _died(state, observation)
        case Gone(container_id, at):
            return _without(state, container_id, Withdrawal("removed", at))
        case Signalled():
            return _signalled(state, observation)
        case StopAnnounced():
            return _stop_announced(state, observation)
        case Lost(reason, at):
            since = at if state.lost_since is None else state.lost_since
            return evolve(state, lost_since=since, lost_reason=reason)
        case Declared(instances, problems, at):
            return _in_contact(evolve(state, declared=instances, declared_problems=problems), at)
        case Unreadable(problem):
            return evolve(state, declared_problems=(problem,))
        case _:
            assert_never(observation)


def withdrawals(before: Registrar, after: Registrar, now: float) -> dict[Key, Withdrawal]:
    """Return why each instance that was wanted before is wanted no longer; `after` is `before` after one `apply`."""
    return {
        key: _reason(after, instance, now) for key, instance in before.instances.items() if key not in after.instances
    }


def _reason(state: Registrar, instance: Instance, now: float) -> Withdrawal:
    if (known := state.containers.get(instance.container)) is not None:
        return Withdrawal(cause_against(known.container) or known.cause, known.seen)
    return state.departed.get(instance.container, Withdrawal("removed", now))


def _in_contact(state: Registrar, at: float) -> Registrar:
    return evolve(state, listed_at=at, lost_since=None, lost_reason="")


def _listed(state: Registrar, listed: Listed) -> Registrar:
    for container in listed.inspected:
        state = _inspected(state, Inspected(container, RECONCILED, listed.at))
    for container_id in state.containers.keys() - listed.ids:
        state = _without(state, container_id, Withdrawal("removed", listed.at))
    return _in_contact(state, listed.at)


def _inspected(state: Registrar, seen: Inspected) -> Registrar:
    container = seen.container
    if not container.running:
        cause = "out of memory" if container.out_of_memory else _cause_of_end(state, container.id, container.exit_code)
        return _without(state, container.id, Withdrawal(cause, seen.at))
    before = state.containers.get(container.id)
    if before is not None and before.container == container:
        return state
    # Docker connects networks before it says `start`; whichever event came first, the container has started.
    cause = "started" if before is None and seen.cause != RECONCILED else seen.cause
    known = Known(container, read(container, state.policy), cause, seen.at)
    return evolve(state, containers={**state.containers, container.id: known})


def _without(state: Registrar, container_id: str, why: Withdrawal) -> Registrar:
    if container_id not in state.containers:
        return state
    return evolve(
        state,
        containers={known_id: known for known_id, known in state.containers.items() if known_id != container_id},
        draining={known_id: drain for known_id, drain in state.draining.items() if known_id != container_id},
        departed={**state.departed, container_id: why},
    )


def _died(state: Registrar, died: Died) -> Registrar:
    known = state.containers.get(died.container_id)
    # A replayed death may be older than the container's present life.
    if known is None or died.at < known.container.started_at:
        return state
    cause = _cause_of_end(state, died.container_id, died.exit_code)
    return _without(state, died.container_id, Withdrawal(cause, died.at))


def _cause_of_end(state: Registrar, container_id: str, exit_code: int) -> str:
    return "stopped" if container_id in state.draining else f"exited {exit_code}"


def _signalled(state: Registrar, signalled: Signalled) -> Registrar:
    known = state.containers.get(signalled.container_id)
    # A replayed signal may be older than the container's present life.
    if known is None or signalled.at < known.container.started_at:
        return state
    if not announces_end(signalled.signal, known.container.stop_signal):
        return state
    earlier = state.draining.get(signalled.container_id)
    drain = after_signal(earlier, signalled.at, known.container.stop_timeout_seconds)
    return _draining(state, known, drain, signalled.at)


def _stop_announced(state: Registrar, announced: StopAnnounced) -> Registrar:
    known = state.containers.get(announced.container_id)
    if known is None:
        return state
    drain = after_announcement(state.draining.get(announced.container_id), announced.until)
    # Said again and again, it began when it was said first.
    return _draining(state, known, drain, known.seen if known.cause == STOPPING else announced.at)


def _draining(state: Registrar, known: Known, drain: Drain, seen: float) -> Registrar:
    container_id = known.container.id
    return evolve(
        state,
        draining={**state.draining, container_id: drain},
        containers={**state.containers, container_id: evolve(known, cause=STOPPING, seen=seen)},
    )


def _wanted(state: Registrar, now: float) -> Registrar:
    """Work out anew what is wanted, after something changed."""
    draining = {one: drain for one, drain in state.draining.items() if drain.until > now}
    containers = dict(state.containers)
    for one in state.draining.keys() - draining.keys():
        containers[one] = evolve(containers[one], cause=state.draining[one].otherwise, seen=now)
    running = {one: known.container for one, known in containers.items()}
    containers = {
        one: bound(shown(joined(known, running, state.policy, now), is_draining=one in draining), running, state.policy)
        for one, known in containers.items()
    }
    state = evolve(state, draining=draining, containers=containers)
    wanted: dict[Key, Instance] = {}
    bindings = {binding.key: binding for known in containers.values() for binding in known.bound}
    problems: list[InvalidInput] = list(state.declared_problems)
    # The container that was there first keeps an id that two of them claim.
    for known in sorted(state.containers.values(), key=lambda known: (known.container.started_at, known.container.id)):
        problems.extend(known.problems)
        for instance in known.shown:
            problems.extend(_put_first(wanted, instance))
    for instance in state.declared:
        problems.extend(_put_first(wanted, instance))
    return evolve(state, instances=wanted, bindings=bindings, problems=tuple(problems))


def _put_first(wanted: dict[Key, Instance], instance: Instance) -> list[DescriptorError]:
    """Add an instance unless its id is taken within its service."""
    held = wanted.setdefault(instance.key, instance)
    if held is instance:
        return []
    taken = f"id {instance.id!r} of service {instance.service!r} is held by {held.name or held.address}"
    return [IdTaken(instance.name.removeprefix("/") or str(instance.address), taken)]
