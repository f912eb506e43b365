"""Drives the services of one Consul agent from what it has to what is wanted. The form behind `consul://`.

A service that the agent refuses does not keep the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mooring.consul.agent import Agent
from mooring.consul.keys import Keys
from mooring.errors import DocumentError, WorldError
from mooring.model import Address
from mooring.telemetry import get_logger
from mooring_register import metrics
from mooring_register.consul.failed_services import register_failed
from mooring_register.consul.owned_keys import BATCH
from mooring_register.consul.ownership import HeldHost, check
from mooring_register.consul.plan import Deregistration, Found, Step, as_registered, plan_services, read_agent
from mooring_register.consul.services import STATE, Registration, Site, liveness, register_all
from mooring_register.ownership import Claim
from mooring_register.writers.consul_liveness import ConsulLiveness
from mooring_register.writers.consul_problems import ConsulProblems
from mooring_register.writers.mailbox import Delivery

log = get_logger()


class ConsulServices:
    """See `consul.Form`. Knows the agent's services from reading them and from its own writes."""

    root = ""

    def __init__(self, agent: Agent, keys: Keys, registry: str, claim: Claim, *, is_alone: bool = False) -> None:
        """Prepare to write; `is_alone` says that nobody else has services at that agent."""
        alive = liveness(claim.host, claim.engine, claim.ttl_seconds, is_alone=is_alone)
        self._alive = alive.registration
        self._liveness = ConsulLiveness(agent, keys, alive, self._doubt)
        self._agent = agent
        self._keys = keys
        self._registry = registry
        self._host = claim.host
        self._site = Site(claim.engine, is_alone)
        self._found: dict[str, Found] = {}
        self._wanted: Mapping[str, Registration] = {}
        self._problems = ConsulProblems()
        self._is_in_doubt = False

    def read(self, held: HeldHost) -> None:
        """See `Form.read`."""
        del held
        self._is_in_doubt = False
        checks = self._agent.checks()
        self._found = read_agent(self._agent.services(), checks)
        self._liveness.place(self._host, checks)
        self._problems.try_again()
        # Ahead of all that follow it, and also while nobody says yet what is wanted.
        own_id = self._alive.service.id
        found = {own_id: self._found[own_id]} if own_id in self._found else {}
        for step in plan_services({own_id: self._alive}, found, self._host).steps:
            self._carry_out(step, "")

    def forget(self) -> None:
        """See `Form.forget`: the agent's services are not the session's."""

    def drive(self, held: HeldHost, delivery: Delivery, is_interrupted: Callable[[], bool]) -> bool:
        """See `Form.drive`."""
        while steps := self._steps(delivery):
            for start in range(0, len(steps), BATCH):
                if is_interrupted():
                    return False
                check(self._keys, held)
                for step in steps[start : start + BATCH]:
                    self._carry_out(step, _cause(step, delivery))
        return True

    def may_improve(self) -> bool:
        """See `Form.may_improve`."""
        return self._problems.may_pass()

    def renew(self, held: HeldHost) -> WorldError | None:
        """See `Form.renew`."""
        return self._liveness.renew(held)

    def is_in_doubt(self) -> bool:
        """See `Form.is_in_doubt`."""
        return self._is_in_doubt

    def keys_written(self) -> int:
        """See `Form.keys_written`."""
        return 0

    def remove(self) -> None:
        """See `Form.remove`."""
        self._liveness.remove()

    def state(self) -> Mapping[str, object]:
        """See `Form.state`."""
        return {
            "services": len(self._wanted),
            "conflicts": self._problems.conflicts,
            "left out": self._problems.left_out,
        }

    def _doubt(self) -> None:
        """Note, from the keep-alive's thread, that the agent may have lost services."""
        self._is_in_doubt = True

    def _steps(self, delivery: Delivery) -> list[Step]:
        registrations = register_all(delivery.instances, self._site, self._wanted)
        self._wanted = registrations.wanted
        failed = register_failed(self._found, delivery.failures, self._site, self._host)
        wanted = {**failed, **registrations.wanted, self._alive.service.id: self._alive}
        plan = plan_services(wanted, self._found, self._host)
        self._problems.planned(registrations.problems, plan.conflicts)
        return [step for step in plan.steps if not self._problems.was_refused(step)]

    def _carry_out(self, step: Step, cause: str) -> None:
        try:
            self._tell_agent(step)
        except DocumentError as problem:
            self._problems.refused(step, problem)
            return
        if isinstance(step, Deregistration):
            del self._found[step.service.id]
            metrics.deletes.labels(self._registry).inc()
            _tell("instance withdrawn", step, cause)
        else:
            self._found[step.service.id] = as_registered(step)
            metrics.puts.labels(self._registry).inc()
            _tell("instance withdrawn" if step.failure else "instance published", step, cause)

    def _tell_agent(self, step: Step) -> None:
        if isinstance(step, Deregistration):
            self._agent.deregister(step.service.id)
        else:
            self._agent.register(step.service, step.checks)


def _cause(step: Step, delivery: Delivery) -> str:
    if isinstance(step, Registration):
        return step.instance.cause if step.instance else step.failure
    why = delivery.withdrawals.get((_service(step), step.service.id))
    return why.cause if why else delivery.otherwise


def _service(step: Step) -> str:
    return step.service.meta.get("mooring-service", step.service.name)


def _tell(said: str, step: Step, cause: str) -> None:
    if isinstance(step, Registration) and step.instance is None and not step.failure:
        return
    service = step.service
    address, state = str(Address(service.address, service.port)), service.meta.get(STATE, "")
    log.info(said, service=_service(step), instance=service.id, address=address, state=state, cause=cause)
