"""Drives one Consul agent from what it has to what is wanted, and the host's bindings in Consul's keys. One thread.

What it knows of the agent (`found`) comes from reading it and from its own writes. It is read anew after each failure,
when the agent may have lost our services, every `resync_seconds`, and every TTL while there is something of which the
agent, or another in it, may think better. A service that the agent refuses does not keep the others.

An agent knows no conditions, so the host's key is looked at before each batch of writes (`consul.ownership`). Two that
start at the same moment may write in turns for as long as one batch takes; then the later one has the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Final

from mooring.backoff import Backoff
from mooring.consul.agent import Agent
from mooring.consul.keys import MIN_SESSION_SECONDS, Keys
from mooring.errors import DocumentError, OwnershipLost, SessionLost, WorldError
from mooring.model import Address
from mooring.telemetry import get_logger
from mooring.threads import keep_trying
from mooring_register import metrics
from mooring_register.consul.ownership import HeldHost, check, take
from mooring_register.consul.plan import Deregistration, Found, Step, as_registered, plan_services, read_agent
from mooring_register.consul.services import Registration, Site, liveness, register_all
from mooring_register.keepalive import KeepAlive
from mooring_register.writers.consul_bindings import ConsulBindings
from mooring_register.writers.consul_liveness import ConsulLiveness
from mooring_register.writers.consul_problems import ConsulProblems
from mooring_register.writers.mailbox import Delivery, Mailbox
from mooring_register.writers.writer import Terms

log = get_logger()

# While nothing is wanted from it a writer looks up this often, to notice what its other thread was told.
_IDLE_SECONDS = 0.5
# After so many writes it looks whether the host is still ours, and whether something newer is wanted.
_BATCH: Final = 100


class ConsulWriter:
    """Writes what is delivered to it. `run` and `keep_alive.run` each belong into a thread."""

    def __init__(self, agent: Agent, keys: Keys, registry: str, terms: Terms, *, is_alone: bool = False) -> None:
        """Prepare to write; `is_alone` says that nobody else has services at that agent."""
        self.registry = registry
        self.mailbox = Mailbox()
        alive = liveness(terms.claim.host, terms.claim.engine, terms.claim.ttl_seconds, is_alone=is_alone)
        self._alive = alive.registration
        self._liveness = ConsulLiveness(agent, keys, alive, self._services_in_doubt)
        self.keep_alive = KeepAlive(
            self._liveness.renew,
            registry,
            terms.claim.ttl_seconds,
            # An adopted session lives as long as its maker wanted.
            least_ttl_seconds=MIN_SESSION_SECONDS,
            owner_idle_seconds=terms.owner_idle_seconds,
            lost=self._host_lost,
        )
        self._agent = agent
        self._keys = keys
        self._terms = terms
        self._claim = terms.claim
        self._site = Site(terms.claim.engine, is_alone)
        self._bindings = ConsulBindings(keys, registry, terms.claim.host)
        self._stopping = Event()
        self._lost: WorldError | None = None
        self._stands_by = False
        self._token = ""
        self._held: HeldHost | None = None
        self._found: dict[str, Found] = {}
        self._wanted: Mapping[str, Registration] = {}
        self._is_doubtful = True
        self._is_outdated = False
        self._read_at = 0.0
        self._problems = ConsulProblems()
        self._failing = ""

    def threads(self) -> Mapping[str, Callable[[], None]]:
        """See `RegistryWriter.threads`."""
        return {"writer": self.run, "keep-alive": self.keep_alive.run}

    def run(self) -> None:
        """Write until stopped, whatever the agent does."""
        backoff = Backoff(0.1, min(5.0, self._claim.ttl_seconds / 3))
        keep_trying(self._turn_and_wait, stopping=self._stopping, backoff=backoff, failed=self.failed)

    def stop(self) -> None:
        """End both threads; what is registered stays, for the successor to adopt."""
        self._stopping.set()
        self.keep_alive.stop()
        self.mailbox.wake()

    def retire(self) -> None:
        """Give the host up, after everything was withdrawn and `run` has ended.

        Raises:
            OwnershipLost: it was not ours any more.
            Unavailable: no answer.
        """
        if self._held is None:
            return
        try:
            check(self._keys, self._held)
        except SessionLost:
            log.info("the session ended by itself", registry=self.registry)
        self._liveness.remove()
        self._keys.destroy_session(self._held.session)

    def ready(self) -> str | None:
        """Return None once everything that was wanted first is written, else why not."""
        if self._failing:
            return f"{self.registry}: {self._failing}"
        return None if self.mailbox.settled else f"{self.registry}: not everything is written yet"

    def state(self) -> Mapping[str, object]:
        """Return what there is to know, for people."""
        held = self._held
        return {
            "registry": self.registry,
            "holds the host": held is not None,
            "session": held.session if held else "",
            "services": len(self._wanted),
            "keys": len(self._bindings),
            "problem": self._failing,
            **self.keep_alive.state(),
            "conflicts": self._problems.conflicts,
            "left out": self._problems.left_out,
        }

    # Below, only the writer's own thread comes, but for `_host_lost` and `_services_in_doubt`.

    def _host_lost(self, held: HeldHost, error: WorldError) -> None:
        """Note, from the keep-alive's thread, that what we hold is no longer ours."""
        if self._held is held:
            self._lost = error
            self.mailbox.wake()

    def _services_in_doubt(self) -> None:
        """Note, from the keep-alive's thread, that the agent may have lost services."""
        self._is_outdated = True
        self.mailbox.wake()

    def _turn_and_wait(self) -> None:
        self.turn()
        self.mailbox.wait(_IDLE_SECONDS)

    def turn(self) -> None:
        """Take the host if we do not hold it, and write what is wanted and not yet written.

        Raises:
            OwnershipLost, SessionLost, Unavailable: see `failed`; then try again.
        """
        if self._lost is not None:
            raise self._lost
        held = self._held or self._take()
        if self._is_due():
            self._read(held)
        delivery = self.mailbox.latest()
        if delivery is not None and (self._is_doubtful or delivery.number != self.mailbox.settled):
            self._drive(held, delivery)
        self._failing = ""

    def _take(self) -> HeldHost:
        # One token for all attempts: when the answer to one is lost, the next must not take us for somebody else.
        self._token = self._token or self._terms.tokens()
        held = take(self._keys, self._claim, self._token, stands_by=self._stands_by)
        self._token, self._stands_by = "", False
        self._read(held)
        self._held = held
        self.keep_alive.hold(held)
        log.info("host taken", registry=self.registry, host=self._claim.host, session=held.session)
        return held

    def _is_due(self) -> bool:
        """Whether the agent is to be read anew."""
        patience_seconds = self._claim.ttl_seconds if self._problems.may_pass() else self._terms.resync_seconds
        return self._is_outdated or self._terms.clock() - self._read_at >= patience_seconds

    def _read(self, held: HeldHost) -> None:
        self._is_outdated = False
        try:
            checks = self._agent.checks()
            self._found = read_agent(self._agent.services(), checks)
            self._liveness.place(self._claim.host, checks)
            self._bindings.read(held)
        except WorldError:
            self._is_outdated = True
            raise
        self._read_at, self._is_doubtful = self._terms.clock(), True
        self._problems.try_again()
        # Ahead of all that follow it, and also while nobody says yet what is wanted.
        own_id = self._alive.service.id
        found = {own_id: self._found[own_id]} if own_id in self._found else {}
        for step in plan_services({own_id: self._alive}, found, self._claim.host).steps:
            self._carry_out(step, "")

    def _drive(self, held: HeldHost, delivery: Delivery) -> None:
        """Write until the agent has what is wanted, or something newer is wanted."""
        while steps := self._steps(delivery):
            for start in range(0, len(steps), _BATCH):
                if self._is_interrupted(delivery):
                    return
                check(self._keys, held)
                for step in steps[start : start + _BATCH]:
                    self._carry_out(step, _cause(step, delivery))
        if self._bindings.drive(held, delivery.bindings, lambda: self._is_interrupted(delivery)):
            self._is_doubtful = False
            self.mailbox.settle(delivery)

    def _is_interrupted(self, delivery: Delivery) -> bool:
        return self._stopping.is_set() or self._lost is not None or self.mailbox.latest() is not delivery

    def _steps(self, delivery: Delivery) -> list[Step]:
        registrations = register_all(delivery.instances, self._site, self._wanted)
        self._wanted = registrations.wanted
        wanted = {**registrations.wanted, self._alive.service.id: self._alive}
        plan = plan_services(wanted, self._found, self._claim.host)
        self._problems.planned(registrations.problems, plan.conflicts)
        return [step for step in plan.steps if not self._problems.was_refused(step)]

    def _carry_out(self, step: Step, cause: str) -> None:
        if isinstance(step, Deregistration):
            self._agent.deregister(step.service.id)
            del self._found[step.service.id]
            metrics.deletes.labels(self.registry).inc()
            _tell("instance withdrawn", step, cause)
            return
        try:
            self._agent.register(step.service, step.checks)
        except DocumentError as problem:
            self._problems.refused(step, problem)
        else:
            self._found[step.service.id] = as_registered(step)
            metrics.puts.labels(self.registry).inc()
            _tell("instance published", step, cause)

    def failed(self, error: WorldError) -> None:
        """Draw the conclusions from what kept a turn from its end."""
        metrics.registry_failures.labels(self.registry, type(error).__name__).inc()
        # Nobody knows whether the last write was carried out, nor what else happened meanwhile.
        self._is_outdated = True
        if isinstance(error, OwnershipLost | SessionLost):
            self.keep_alive.hold(None)
            self._held, self._lost = None, None
            self._bindings.forget()
            self._stands_by = self._stands_by or isinstance(error, OwnershipLost)
        if self._failing != str(error):
            log.warning("the registry cannot be written to, trying again", registry=self.registry, reason=str(error))
        self._failing = str(error)


def _cause(step: Step, delivery: Delivery) -> str:
    if isinstance(step, Registration):
        return step.instance.cause if step.instance else ""
    why = delivery.withdrawals.get((_service(step), step.service.id))
    return why.cause if why else delivery.otherwise


def _service(step: Step) -> str:
    return step.service.meta.get("mooring-service", step.service.name)


def _tell(said: str, step: Step, cause: str) -> None:
    if isinstance(step, Registration) and step.instance is None:
        return
    service = step.service
    address, state = str(Address(service.address, service.port)), service.meta.get("mooring-state", "")
    log.info(said, service=_service(step), instance=service.id, address=address, state=state, cause=cause)
