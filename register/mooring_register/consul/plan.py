"""Registrations that are wanted against the services that an agent has: what to register and to deregister. Pure.

Ours is what says so in its meta; no id is taken apart. Another's service is never touched, also when it has an id that
we want. What is as it should be costs nothing, above all no new start of its checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from attrs import evolve, frozen

from mooring.consul.agent import Check, CheckState, Service
from mooring.errors import DescriptorError, IdTaken
from mooring_register.consul.services import HOST, REASON, Registration, maintenance_id, others_maintenance


@frozen
class Found:
    """A service that an agent has, with the ids of its checks, and the maintenance that another has put it in."""

    service: Service
    checks: frozenset[str]
    maintenance: Check | None = None


@frozen
class Deregistration:
    """A service of ours that is wanted no more."""

    service: Service


Step: TypeAlias = Registration | Deregistration


@frozen
class ConsulPlan:
    """What is to be done, in order, and which of the wanted cannot be: another holds their ids."""

    steps: tuple[Step, ...]
    conflicts: Mapping[str, DescriptorError]


def read_agent(services: Mapping[str, Service], checks: Mapping[str, CheckState]) -> dict[str, Found]:
    """Return what an agent has, by the services' ids."""
    ids: dict[str, set[str]] = {}
    for state in checks.values():
        ids.setdefault(state.service_id, set()).add(state.id)
    return {
        one: Found(service, frozenset(ids.get(one, ())), others_maintenance(checks.get(maintenance_id(one))))
        for one, service in services.items()
    }


def as_registered(registration: Registration) -> Found:
    """Return what an agent has after a registration."""
    maintenance = maintenance_id(registration.service.id)
    kept = [check for check in registration.checks if check.id == maintenance and not check.notes.startswith(REASON)]
    return Found(registration.service, frozenset(check.id for check in registration.checks), kept[0] if kept else None)


def plan_services(wanted: Mapping[str, Registration], found: Mapping[str, Found], host: str) -> ConsulPlan:
    """Return what leads from what an agent has to what is wanted from this host.

    Names that lose an instance come first, so that what is gone is no longer offered; within each, what comes is there
    before anything goes.
    """
    conflicts = {
        one: _conflict(registration, found[one].service, host)
        for one, registration in wanted.items()
        if one in found and not is_ours(found[one].service, host)
    }
    going = [one.service for one in found.values() if is_ours(one.service, host) and one.service.id not in wanted]
    losing = {service.name for service in going}
    steps: list[Step] = [*_registrations(wanted, found, conflicts), *map(Deregistration, going)]
    steps.sort(key=lambda step: (step.service.name not in losing, step.service.name, isinstance(step, Deregistration)))
    return ConsulPlan(tuple(steps), conflicts)


def is_ours(service: Service, host: str) -> bool:
    """Whether a service was registered for this host."""
    return service.meta.get(HOST) == host


def _registrations(
    wanted: Mapping[str, Registration], found: Mapping[str, Found], conflicts: Mapping[str, DescriptorError]
) -> Iterator[Registration]:
    for one, registration in wanted.items():
        present = found.get(one)
        if one in conflicts or (present is not None and _is_same(registration, present)):
            continue
        yield _with_maintenance(registration, present)


def _is_same(registration: Registration, present: Found) -> bool:
    checks = {check.id for check in registration.checks}
    if present.maintenance is not None:
        checks.add(present.maintenance.id)
    return registration.service == present.service and checks == present.checks


def _with_maintenance(registration: Registration, present: Found | None) -> Registration:
    """Return the registration such that it does not end a maintenance that somebody else has begun."""
    if present is None or present.maintenance is None:
        return registration
    ours = (check for check in registration.checks if check.id != present.maintenance.id)
    return evolve(registration, checks=(*ours, present.maintenance))


def _conflict(registration: Registration, held: Service, host: str) -> DescriptorError:
    instance = registration.instance
    where = (instance.name.removeprefix("/") or str(instance.address)) if instance else registration.service.name
    who = f"host {held.meta[HOST]!r}" if HOST in held.meta else "somebody who does not say who"
    what = f"id {registration.service.id!r}"
    return IdTaken(f"{where}: {what}", f"held by {who} in service {held.name!r}, this is host {host!r}")
