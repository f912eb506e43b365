"""How instances stand in a Consul agent: as its services, with meta and checks. Pure.

A service's name is made such that Consul's DNS and consul-template take it; its true name stands in the meta, as does
whose it is. Every service follows, by an alias, the one check that this host's register keeps passing: when the
register is dead, all of them are critical at once, and one call every few seconds keeps them alive. Each alias looks at
all checks of its agent once a minute; where there are thousands, that check is the node's instead, and nobody's alias.

What must not be given new connections is in maintenance, for a stated reason: it starts, it drains, or its weight is 0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs
from attrs import field, frozen

from mooring.consul.agent import Alias, Check, CheckState, Service, Ttl
from mooring.documents import canonical
from mooring.errors import DescriptorError
from mooring.model import Instance, Json, State
from mooring_register.consul.checks import check_of
from mooring_register.registrar import Key

LIVENESS_NAME: Final = "mooring-register"
HOST: Final = "mooring-host"
CONTAINER: Final = "mooring-container"
STATE: Final = "mooring-state"
# A digest of the definitions of checks, which an agent does not show.
CHECKS: Final = "mooring-checks"
# What maintenance of ours is told by: an operator's is left alone.
REASON: Final = "mooring: "

# By then nobody waits for the register of a host any more. Until then its services can be looked at, and cost nothing.
FORGOTTEN_AFTER_SECONDS: Final = 3600.0

_OURS: Final = "mooring-"
_RESERVED: Final = (_OURS, "consul-")
_META_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_META_VALUE_MOST_BYTES: Final = 512
_META_MOST: Final = 64
_MOST_WEIGHT: Final = 65535
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
# It never hears a word, and so stays as it began.
_NEVER_SECONDS: Final = 10 * 365 * 86400.0


@frozen
class Registration:
    """A service with all of its checks, and what of its instance is left out.

    `instance` is None for the one by which the register says that it lives, and for one whose container failed: then
    `failure` says how.
    """

    service: Service
    checks: tuple[Check, ...]
    instance: Instance | None = None
    problems: tuple[DescriptorError, ...] = field(default=(), eq=False)
    failure: str = ""


@frozen
class Site:
    """Whose instances are registered: the Docker engine, and whether its agent has nobody else's services."""

    engine: str
    is_alone: bool = False


@frozen
class Registrations:
    """What is to be registered, by the service's id, and what is left out of it, with the reasons."""

    wanted: Mapping[str, Registration]
    problems: tuple[DescriptorError, ...] = ()


@frozen
class Liveness:
    """By what an agent knows that a host's register lives: a service, and a check of it, or of the node.

    A node's check holds for all services of the agent, whosever they are.
    """

    registration: Registration
    node_check: Check | None = None

    @property
    def check_id(self) -> str:
        """The id of the check that is to be kept passing."""
        return self.registration.service.id if self.node_check is None else self.node_check.id


def liveness_id(host: str) -> str:
    """Return the id of the service that says that a host's register lives; one agent may serve several hosts."""
    return f"{LIVENESS_NAME}:{host}"


def node_check_id(host: str) -> str:
    """Return the id of the check by which a node says that a host's register lives."""
    return f"{LIVENESS_NAME}-node:{host}"


def maintenance_id(service_id: str) -> str:
    """Return the id that Consul gives to the check that puts a service in maintenance."""
    return f"_service_maintenance:{service_id}"


def liveness(host: str, engine: str, ttl_seconds: int, *, is_alone: bool = False) -> Liveness:
    """Return what is kept passing as long as the register lives, and what all services of the host follow.

    `is_alone` says that nobody else has services at that agent.
    """
    own_id = liveness_id(host)
    check = Check(
        id=node_check_id(host) if is_alone else own_id,
        name="mooring-register is alive",
        probe=Ttl(ttl_seconds),
        initial="passing",
    )
    meta = {HOST: host, "mooring-engine": engine, CHECKS: digest((check,))}
    service = Service(id=own_id, name=LIVENESS_NAME, meta=meta)
    return Liveness(Registration(service, ()), check) if is_alone else Liveness(Registration(service, (check,)))


def register_all(
    instances: Mapping[Key, Instance], site: Site, before: Mapping[str, Registration] | None = None
) -> Registrations:
    """Return what instances come to. Of two with one id, or two services with one name there, the lower key has it.

    What is down has no place there, as nobody is to be led to it. What was made `before` of the very same instances is
    taken over.
    """
    made = before or {}
    wanted: dict[str, Registration] = {}
    problems: list[DescriptorError] = []
    named: dict[str, str] = {}
    for _, instance in sorted(instances.items()):
        if instance.state is State.DOWN:
            continue
        held = wanted.get(instance.id)
        name = consul_name(instance.service)
        if held is not None and held.instance is not None:
            problems.append(_left_out(instance, f"its id is taken by service {held.instance.service!r}"))
        elif named.setdefault(name, instance.service) != instance.service:
            problems.append(_left_out(instance, f"name {name!r} is taken by service {named[name]!r}"))
        else:
            wanted[instance.id] = _made(instance, made) or register_one(instance, site)
            problems += wanted[instance.id].problems
    return Registrations(wanted, tuple(problems))


def register_one(instance: Instance, site: Site) -> Registration:
    """Return what one instance comes to."""
    problems: list[DescriptorError] = []
    checks = [*([] if site.is_alone else [alive(instance.id, instance.host)]), *_maintenance(instance)]
    try:
        checks += filter(None, [check_of(instance)])
    except DescriptorError as problem:
        problems.append(problem)
    service = Service(
        id=instance.id,
        name=consul_name(instance.service),
        address=instance.address.host,
        port=instance.address.port,
        tags=instance.tags,
        meta=_meta(instance, site.engine, digest(checks), problems),
        passing_weight=min(max(instance.weight, 1), _MOST_WEIGHT),
    )
    return Registration(service, tuple(checks), instance, tuple(problems))


def consul_name(service: str) -> str:
    """Return the name of a service in Consul: what would break a name in DNS, or in consul-template, becomes a `-`."""
    return _NOT_IN_NAMES.sub("-", service)


def others_maintenance(state: CheckState | None) -> Check | None:
    """Return the check of a maintenance that is not ours such that it can be registered again, None if it is ours."""
    if state is None or state.notes.startswith(REASON):
        return None
    return _maintained(state.service_id, state.notes)


def alive(service_id: str, host: str) -> Check:
    """Return the check by which a service follows the life of the host's register."""
    return Check(
        id=f"mooring-alive:{service_id}",
        name="The host's mooring-register is alive",
        probe=Alias(liveness_id(host)),
        deregister_after_seconds=FORGOTTEN_AFTER_SECONDS,
    )


def kept_critical(check_id: str, name: str, reason: str) -> Check:
    """Return a check that is critical for a reason as long as it is there."""
    # As part of the registration, so that no moment lies between it and the check.
    return Check(id=check_id, name=name, probe=Ttl(_NEVER_SECONDS), notes=reason)


def digest(checks: Iterable[Check]) -> str:
    """Return what tells definitions of checks apart: an agent does not show them."""
    definitions: list[Json] = [f"{type(check.probe).__name__} {attrs.asdict(check)}" for check in checks]
    return hashlib.sha256(canonical({"": definitions}).encode()).hexdigest()[:12]


def _made(instance: Instance, made: Mapping[str, Registration]) -> Registration | None:
    known = made.get(instance.id)
    return known if known is not None and known.instance is instance else None


def _left_out(instance: Instance, reason: str) -> DescriptorError:
    where = instance.name.removeprefix("/") or str(instance.address)
    return DescriptorError(where, f"instance {instance.id!r} of service {instance.service!r} is left out: {reason}")


def _maintenance(instance: Instance) -> Iterator[Check]:
    if instance.state is not State.UP:
        yield _maintained(instance.id, f"{REASON}{instance.state.value}")
    elif instance.weight == 0:
        yield _maintained(instance.id, f"{REASON}weight 0")


def _maintained(service_id: str, reason: str) -> Check:
    return kept_critical(maintenance_id(service_id), "Service Maintenance Mode", reason)


def _meta(instance: Instance, engine: str, checks: str, problems: list[DescriptorError]) -> dict[str, str]:
    meta: dict[str, str] = {}
    ours = {word: value for word, value in _our_words(instance, engine, checks).items() if value}
    for word, value in ours.items():
        if reason := _reason_against_value(value):
            problems.append(_left_out_of_meta(instance, word, reason))
        else:
            meta[_OURS + word] = value
    # After ours: of so many that they do not fit, the last are left out.
    for name, value in instance.attributes.items():
        if reason := _reason_against_name(name) or _reason_against_value(value) or _reason_against_more(meta):
            problems.append(_left_out_of_meta(instance, f"attribute {name!r}", reason))
        else:
            meta[name] = value
    return meta


def _our_words(instance: Instance, engine: str, checks: str) -> dict[str, str]:
    return {
        "host": instance.host,
        "engine": engine,
        "checks": checks,
        "service": instance.service,
        "state": instance.state.value,
        "proto": instance.address.proto,
        "weight": str(instance.weight),
        "zone": instance.zone,
        "kind": instance.kind,
        "port": str(instance.port or ""),
        "publish": str(instance.publish or ""),
        "http": canonical(dict(instance.http)) if instance.http else "",
        "container": instance.container,
        "container-address": instance.container_address,
        "name": instance.name,
        "image": instance.image,
        "started": instance.started,
    }


def _reason_against_name(name: str) -> str:
    if _META_KEY.fullmatch(name) is None:
        return "such a name is none in Consul's meta (up to 128 of A-Z, a-z, 0-9, _ and -)"
    return "such a name has a meaning of its own in Consul's meta" if name.startswith(_RESERVED) else ""


def _reason_against_value(value: str) -> str:
    is_long = len(value.encode()) > _META_VALUE_MOST_BYTES
    return f"it is over {_META_VALUE_MOST_BYTES} bytes long, the most in Consul's meta" if is_long else ""


def _reason_against_more(meta: Mapping[str, str]) -> str:
    return f"Consul's meta holds {_META_MOST} of them at most" if len(meta) >= _META_MOST else ""


def _left_out_of_meta(instance: Instance, what: str, reason: str) -> DescriptorError:
    where = instance.name.removeprefix("/") or str(instance.address)
    return DescriptorError(where, f"{what} of instance {instance.id!r} is left out: {reason}")
