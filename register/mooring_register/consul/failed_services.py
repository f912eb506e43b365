"""What an agent shows of containers that failed, where `--deregister on-success` wants them seen. Pure.

The service stays as it was registered, critical by one check that says why, and is handed out to nobody. Checks that
were asked for are gone: they would ask an address that may be somebody else's by now. It still follows the register's
life, so that it is forgotten with the others when that does not come back.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from mooring.consul.agent import Check, Service
from mooring.model import State
from mooring_register.consul.plan import Found, is_ours
from mooring_register.consul.services import CHECKS, CONTAINER, STATE, Registration, Site, alive, digest, kept_critical
from mooring_register.deregistration import Failure


def register_failed(
    found: Mapping[str, Found], failures: Mapping[str, Failure], site: Site, host: str
) -> dict[str, Registration]:
    """Return, by id, what the services of this host come to whose containers failed; `failures` are by container."""
    return {
        one: _as_failed(known.service, failures[known.service.meta[CONTAINER]].cause, site, host)
        for one, known in found.items()
        if is_ours(known.service, host) and known.service.meta.get(CONTAINER) in failures
    }


def failed_id(service_id: str) -> str:
    """Return the id of the check that says why a service is down."""
    # Not that of a check that was there before: it would keep its status, passing perhaps.
    return f"mooring-failed:{service_id}"


def _as_failed(service: Service, cause: str, site: Site, host: str) -> Registration:
    failed = kept_critical(failed_id(service.id), "The container failed", cause)
    checks: tuple[Check, ...] = (failed,) if site.is_alone else (alive(service.id, host), failed)
    meta = {**service.meta, STATE: State.DOWN.value, CHECKS: digest(checks)}
    return Registration(evolve(service, meta=meta), checks, failure=cause)
