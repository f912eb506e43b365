"""What all containers of a host claim together: instances, bindings, and what is wrong with them. Pure.

The container that was there first keeps an id that two of them claim. Who that is may change with any of them: then
everything is worked out anew. Else only those that something happened to are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from attrs import evolve, field, frozen

from mooring.errors import IdTaken, InvalidInput
from mooring.model import Binding, Instance
from mooring_register.known_containers import Known


@frozen(kw_only=True)
class Claims:
    """What is claimed. `faulty` are the containers with problems; `is_contested` says that an id is claimed twice."""

    instances: Mapping[tuple[str, str], Instance] = field(factory=dict)
    bindings: Mapping[str, Binding] = field(factory=dict)
    problems: tuple[InvalidInput, ...] = ()
    faulty: frozenset[str] = frozenset()
    is_contested: bool = False


def claims_of(containers: Mapping[str, Known], declared: Iterable[Instance] = ()) -> Claims:
    """Return what these containers claim, and after them a static file."""
    instances: dict[tuple[str, str], Instance] = {}
    problems: list[InvalidInput] = []
    contested: list[InvalidInput] = []
    for known in sorted(containers.values(), key=_age):
        refused = [problem for instance in known.shown for problem in _put_first(instances, instance)]
        problems += [*known.problems, *refused]
        contested += refused
    refused = [problem for instance in declared for problem in _put_first(instances, instance)]
    return Claims(
        instances=instances,
        bindings={binding.key: binding for known in containers.values() for binding in known.bound},
        problems=(*problems, *refused),
        faulty=frozenset(one for one, known in containers.items() if known.problems),
        is_contested=bool(contested or refused),
    )


def claims_after(
    claims: Claims, before: Mapping[str, Known], after: Mapping[str, Known], changed: AbstractSet[str]
) -> Claims:
    """Return what the containers `after` claim, when those `before` had these claims and only these have changed."""
    if not changed:
        return claims
    instances = None if claims.is_contested else _instances_after(claims, before, after, changed)
    if instances is None:
        return claims_of(after)
    faulty = (claims.faulty - changed) | {one for one in changed & after.keys() if after[one].problems}
    claims = evolve(claims, instances=instances, bindings=_bindings_after(claims, before, after, changed))
    if not (faulty | claims.faulty) & changed:
        return claims
    of_whom = sorted((after[one] for one in faulty), key=_age)
    return evolve(claims, faulty=faulty, problems=tuple(problem for known in of_whom for problem in known.problems))


def _instances_after(
    claims: Claims, before: Mapping[str, Known], after: Mapping[str, Known], changed: AbstractSet[str]
) -> Mapping[tuple[str, str], Instance] | None:
    """Return the instances now; None when an id is claimed twice, and it matters who was first."""
    shown = [(_shown(before, one), _shown(after, one)) for one in changed]
    if all(old is new for old, new in shown):
        return claims.instances
    instances = dict(claims.instances)
    for old, _ in shown:
        for instance in old:
            del instances[instance.key]
    for _, new in shown:
        if any(_put_first(instances, instance) for instance in new):
            return None
    return instances


def _bindings_after(
    claims: Claims, before: Mapping[str, Known], after: Mapping[str, Known], changed: AbstractSet[str]
) -> Mapping[str, Binding]:
    bound = [(_bound(before, one), _bound(after, one)) for one in changed]
    if all(old is new for old, new in bound):
        return claims.bindings
    bindings = dict(claims.bindings)
    for old, _ in bound:
        for binding in old:
            del bindings[binding.key]
    bindings |= {binding.key: binding for _, new in bound for binding in new}
    return bindings


def _shown(containers: Mapping[str, Known], container_id: str) -> tuple[Instance, ...]:
    return containers[container_id].shown if container_id in containers else ()


def _bound(containers: Mapping[str, Known], container_id: str) -> tuple[Binding, ...]:
    return containers[container_id].bound if container_id in containers else ()


def _age(known: Known) -> tuple[float, str]:
    return known.container.started_at, known.container.id


def _put_first(taken: dict[tuple[str, str], Instance], instance: Instance) -> list[IdTaken]:
    """Add an instance unless its id is taken within its service."""
    held = taken.setdefault(instance.key, instance)
    if held is instance:
        return []
    reason = f"id {instance.id!r} of service {instance.service!r} is held by {held.name or held.address}"
    return [IdTaken(instance.name.removeprefix("/") or str(instance.address), reason)]
