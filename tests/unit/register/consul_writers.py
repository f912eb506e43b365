"""Writers to the twins of Consul's seams, which take their turns when they are told to."""

import itertools
from collections.abc import Callable, Mapping

import pytest

from mooring.consul.agent import Service
from mooring.consul.memory import MemoryAgent
from mooring.consul.memory_keys import MemoryKeys
from mooring.errors import WorldError
from mooring.model import Address, Binding, Instance
from mooring_register.deregistration import Failure
from mooring_register.layouts.named import layout_of
from mooring_register.ownership import Claim
from mooring_register.registrar import Key, Withdrawal
from mooring_register.writers.consul import ConsulWriter
from mooring_register.writers.consul_instances import ConsulInstances
from mooring_register.writers.consul_services import ConsulServices
from mooring_register.writers.writer import Terms

CLAIM = Claim(host="h1", engine="E1", ttl_seconds=15, version="0.1", started="now")
WEB = Instance(service="web", id="a", address=Address("10.0.0.1", 80), host="h1", container="c1", name="/web.1")
DB = Binding(key="h1/c1/BACKEND_DB", service="db", port=5432, addresses=("172.17.0.2",), host="h1", container="c1")
LIVENESS = "mooring-register:h1"
tokens = (f"token{number}" for number in itertools.count())


def terms_of(claim: Claim, clock: Callable[[], float]) -> Terms:
    """Return the terms of a writer for this host."""
    return Terms(
        claim=claim,
        resync_seconds=60.0,
        clock=clock,
        tokens=lambda: next(tokens),
        owner_idle_seconds=lambda: 0.0,
    )


class Consul:
    """An agent and the keys of its cluster."""

    def __init__(self, agent: MemoryAgent | None = None, keys: MemoryKeys | None = None) -> None:
        self.agent = agent or MemoryAgent()
        self.keys = keys or MemoryKeys()

    def writer(
        self, claim: Claim = CLAIM, clock: Callable[[], float] = lambda: 100.0, *, is_alone: bool = False
    ) -> ConsulWriter:
        """Return a writer that takes its turns when it is told to."""
        name = "consul://memory"
        services = ConsulServices(self.agent, self.keys, name, claim, is_alone=is_alone)
        return ConsulWriter(self.keys, name, services, terms_of(claim, clock))

    def keys_writer(
        self, layout: str = "registrator", claim: Claim = CLAIM, clock: Callable[[], float] = lambda: 100.0
    ) -> ConsulWriter:
        """Return a writer to keys below `/services` that takes its turns when it is told to."""
        name, terms = "consulkv://memory/services", terms_of(claim, clock)
        return ConsulWriter(
            self.keys, name, ConsulInstances(self.keys, name, layout_of(layout, "/services"), terms), terms
        )

    def written(self) -> dict[str, str]:
        """Return the keys of instances with their values."""
        return {one.key: one.value.decode() for one in self.keys.list("services/")}

    def ours(self) -> dict[str, Service]:
        """Return the services that the agent has, but for that of the register itself."""
        return {one: service for one, service in self.agent.services().items() if one != LIVENESS}

    def status(self, service_id: str) -> str:
        """Return the worst of what the checks of a service say."""
        found = {one.status for one in self.agent.checks().values() if one.service_id == service_id}
        return next(status for status in ("critical", "warning", "passing") if status in found)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.agent.advance(seconds)
        self.keys.advance(seconds)


def turn(
    one: ConsulWriter,
    *instances: Instance,
    why: Mapping[Key, Withdrawal] | None = None,
    bindings: tuple[Binding, ...] = (),
    failures: Mapping[str, Failure] | None = None,
) -> None:
    """Want these and nothing else, and take a turn."""
    wanted = {binding.key: binding for binding in bindings}
    delivered = {instance.key: instance for instance in instances}
    one.mailbox.deliver(delivered, why or {}, bindings=wanted, failures=failures)
    one.turn()


def fails(one: ConsulWriter, *errors: type[WorldError]) -> str:
    """Take a turn that must fail like this; draw the conclusions and return the reason."""
    with pytest.raises(errors) as caught:
        one.turn()
    one.failed(caught.value)
    return str(caught.value)
