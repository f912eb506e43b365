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

from mooring.errors import InvalidInput
from mooring.model import Binding, Instance
from mooring_register.addresses.network_sharing import shares_network
from mooring_register.addresses.reach import Policy
from mooring_register.claims import Claims, claims_after, claims_of
from mooring_register.deregistration import Failure, failures_after
from mooring_register.desired import NotRegistered, read
from mooring_register.differences import differing
from mooring_register.draining import Drain, after_announcement, after_signal, announces_end
from mooring_register.known_containers import Known, bound, cause_against, joined, shown
from mooring_register.observations import (
    RECONCILED,
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

STOPPING: Final = "stopping"
# Docker's exit code of what SIGKILL ended, which is what the kernel sends where there is no memory.
_KILLED: Final = 137


@frozen
class Withdrawal:
    """Why an instance is no longer wanted, and when its source said so (epoch seconds)."""

    cause: str
    seen: float


@frozen(kw_only=True)
class Registrar:
    """Everything known of one host.

    `changed` are the containers that are otherwise since the last `apply`, or gone; `departed` those that ended in it,
    with the reason. `sharing` are those that have another one's network: what they come to changes with that one.
    `draining` holds the announced ends of containers, by container. `failures` are the containers that failed, if
    `keeps_failed`: what they offered is down, and stays written.
    """

    policy: Policy
    containers: Mapping[str, Known] = field(factory=dict)
    draining: Mapping[str, Drain] = field(factory=dict)
    departed: Mapping[str, Withdrawal] = field(factory=dict)
    keeps_failed: bool = False
    failures: Mapping[str, Failure] = field(factory=dict)
    changed: frozenset[str] = field(default=frozenset(), eq=False)
    sharing: frozenset[str] = frozenset()
    declared: tuple[Instance, ...] = ()
    declared_problems: tuple[InvalidInput, ...] = ()
    listed_at: float | None = None
    lost_since: float | None = None
    lost_reason: str = ""
    claims: Claims = field(factory=Claims)
    problems: tuple[InvalidInput, ...] = ()

    @property
    def instances(self) -> Mapping[Key, Instance]:
        """The instances that should be published."""
        return self.claims.instances

    @property
    def bindings(self) -> Mapping[str, Binding]:
        """The bindings that should be published."""
        return self.claims.bindings

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
    before, state = state, evolve(state, departed={})
    for observation in observations:
        state = _after(state, observation)
    return _wanted(before, state, now)


def _after(state: Registrar, observation: Observation) -> Registrar:
    if state.keeps_failed and not _is_over(state, observation):
        state = evolve(state, failures=failures_after(state.failures, observation))
    match observation:
        case Listed():
            return _listed(state, observation)
        case Inspected():
            return _inspected(state, observation)
        case Died():
            return _died(state, observation)
        case Gone(container_id, at):
            return _without(state, {container_id: Withdrawal("removed", at)})
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
    gone = before.instances.keys() - after.instances.keys()
    return {key: _reason(after, before.instances[key], now) for key in gone}


def _reason(state: Registrar, instance: Instance, now: float) -> Withdrawal:
    if (known := state.containers.get(instance.container)) is not None:
        return Withdrawal(cause_against(known.container) or known.cause, known.seen)
    return state.departed.get(instance.container, Withdrawal("removed", now))


def _in_contact(state: Registrar, at: float) -> Registrar:
    return evolve(state, listed_at=at, lost_since=None, lost_reason="")


def _listed(state: Registrar, listed: Listed) -> Registrar:
    seen = [Inspected(container, RECONCILED, listed.at) for container in listed.inspected]
    living = {one.container.id: _known(state, one) for one in seen if one.container.running}
    state = evolve(state, containers={**state.containers, **living})
    ended = {one.container.id: _end(state, one) for one in seen if not one.container.running}
    absent = state.containers.keys() - listed.ids - ended.keys()
    gone = ended | dict.fromkeys(absent, Withdrawal("removed", listed.at))
    state = _without(state, gone)
    for signalled in listed.signals:
        state = _signalled(state, signalled)
    # A stop may have been announced, before anything was known, of a container that is not here.
    draining = {one: drain for one, drain in state.draining.items() if one in state.containers}
    return _in_contact(evolve(state, draining=draining), listed.at)


def _inspected(state: Registrar, seen: Inspected) -> Registrar:
    container = seen.container
    if not container.running:
        return _without(state, {container.id: _end(state, seen)})
    known = _known(state, seen)
    if known is state.containers.get(container.id):
        return state
    return evolve(state, containers={**state.containers, container.id: known})


def _end(state: Registrar, seen: Inspected) -> Withdrawal:
    container = seen.container
    return Withdrawal(_cause_of_end(state, container.id, container.exit_code, container.out_of_memory), seen.at)


def _known(state: Registrar, seen: Inspected) -> Known:
    """Return what is known of a running container now; the very same value when it is as it was."""
    container, before = seen.container, state.containers.get(seen.container.id)
    if before is not None and before.container == container:
        return before
    # Docker connects networks before it says `start`; whichever event came first, the container has started.
    cause = "started" if before is None and seen.cause != RECONCILED else seen.cause
    if before is None and container.id in state.draining:
        cause = STOPPING
    return Known(container, read(container, state.policy), cause, seen.at)


def _without(state: Registrar, departed: Mapping[str, Withdrawal]) -> Registrar:
    departed = {one: why for one, why in departed.items() if one in state.containers}
    if not departed:
        return state
    # Copied whole and then cut: ten thousand that end together cost ten thousand of these.
    containers, draining = dict(state.containers), dict(state.draining)
    for one in departed:
        del containers[one]
        draining.pop(one, None)
    return evolve(state, containers=containers, draining=draining, departed={**state.departed, **departed})


def _died(state: Registrar, died: Died) -> Registrar:
    if died.container_id not in state.containers or _is_over(state, died):
        return state
    ran_out = died.ran_out_of_memory and died.exit_code == _KILLED
    cause = _cause_of_end(state, died.container_id, died.exit_code, ran_out)
    return _without(state, {died.container_id: Withdrawal(cause, died.at)})


def _is_over(state: Registrar, observation: Observation) -> bool:
    """Whether a replayed death or signal is older than the container's present life."""
    if not isinstance(observation, Died | Signalled):
        return False
    known = state.containers.get(observation.container_id)
    return known is not None and observation.at < known.container.started_at


def _cause_of_end(state: Registrar, container_id: str, exit_code: int, ran_out_of_memory: bool) -> str:  # noqa: FBT001
    if ran_out_of_memory:
        return "out of memory"
    return "stopped" if container_id in state.draining else f"exited {exit_code}"


def _signalled(state: Registrar, signalled: Signalled) -> Registrar:
    known = state.containers.get(signalled.container_id)
    if known is None or _is_over(state, signalled):
        return state
    if not announces_end(signalled.signal, known.container.stop_signal):
        return state
    earlier = state.draining.get(signalled.container_id)
    drain = after_signal(earlier, signalled.at, known.container.stop_timeout_seconds)
    return _draining(state, known, drain, signalled.at)


def _stop_announced(state: Registrar, announced: StopAnnounced) -> Registrar:
    known = state.containers.get(announced.container_id)
    drain = after_announcement(state.draining.get(announced.container_id), announced.until)
    if known is None and state.listed_at is None:
        # A register that starts is told before it has listed, and must not say meanwhile that the container is up.
        return evolve(state, draining={**state.draining, announced.container_id: drain})
    if known is None:
        return state
    # Said again and again, it began when it was said first.
    return _draining(state, known, drain, known.seen if known.cause == STOPPING else announced.at)


def _draining(state: Registrar, known: Known, drain: Drain, seen: float) -> Registrar:
    container_id = known.container.id
    return evolve(
        state,
        draining={**state.draining, container_id: drain},
        containers={**state.containers, container_id: evolve(known, cause=STOPPING, seen=seen)},
    )


def _wanted(before: Registrar, state: Registrar, now: float) -> Registrar:
    """Work out what is wanted now, where something changed since `before`."""
    draining = {one: drain for one, drain in state.draining.items() if drain.until > now}
    containers = dict(state.containers)
    for one in (state.draining.keys() - draining.keys()) & containers.keys():
        containers[one] = evolve(containers[one], cause=state.draining[one].otherwise, seen=now)
    changed = differing(before.containers, containers)
    sharing = frozenset(one for one in before.sharing | changed if one in containers and _shares(containers[one]))
    if changed:
        running = {one: known.container for one, known in containers.items()} if sharing else {}
        for one in sharing | (changed & containers.keys()):
            known = joined(containers[one], running, state.policy, now)
            containers[one] = bound(shown(known, is_draining=one in draining), running, state.policy)
            changed.add(one)
    state = evolve(state, draining=draining, containers=containers, sharing=sharing, changed=frozenset(changed))
    if state.declared or before.declared:
        claims = claims_of(containers, state.declared)
    else:
        claims = claims_after(before.claims, before.containers, containers, changed)
    return _claiming(before, evolve(state, claims=claims))


def _shares(known: Known) -> bool:
    return shares_network(known.container)


def _claiming(before: Registrar, state: Registrar) -> Registrar:
    """Return a state whose problems are the very same value if they are the same ones."""
    said = (state.declared_problems, state.claims.problems)
    if said == (before.declared_problems, before.claims.problems):
        return state
    return evolve(state, problems=(*state.declared_problems, *state.claims.problems))
