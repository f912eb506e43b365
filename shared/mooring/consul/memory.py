"""The twin of a Consul agent, in this process. Its time stands still but for `advance`.

It runs no probe: a check stays as it is registered or reported, a `Ttl` runs out, an `Alias` follows (at once, even
when its service goes). It refuses the kinds of mistakes that an agent refuses, with the agent's words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Final

from attrs import evolve, frozen

from mooring.consul.agent import (
    AgentIdentity,
    Alias,
    Check,
    CheckState,
    Script,
    Service,
    Status,
    Ttl,
)
from mooring.consul.paths import check_path
from mooring.errors import DocumentError, Unavailable

_META_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_META_PAIRS: Final = 64
_META_VALUE: Final = 512
_MAINTENANCE: Final = "_service_maintenance:"
_WORST_FIRST: Final[tuple[Status, ...]] = ("critical", "warning", "passing")


@frozen
class _Watched:
    """A check, how it is, and when its time to live ends."""

    check: Check
    state: CheckState
    ends: float


class MemoryAgent:
    """See `agent.Agent`. `fail`, `recover` and `lose` do to it what happens to agents."""

    def __init__(self, identity: AgentIdentity = AgentIdentity("memory", "dc1", "1.8.7")) -> None:  # noqa: B008 -- frozen
        self._lock = Lock()
        self._identity = identity
        self._services: dict[str, Service] = {}
        self._watched: dict[str, _Watched] = {}
        self._now = 0.0
        self._failing = ""
        self.writes = 0

    def identity(self) -> AgentIdentity:
        """See `Agent.identity`."""
        with self._lock:
            self._answer()
            return self._identity

    def services(self) -> Mapping[str, Service]:
        """See `Agent.services`."""
        with self._lock:
            self._answer()
            return dict(self._services)

    def checks(self) -> Mapping[str, CheckState]:
        """See `Agent.checks`."""
        with self._lock:
            self._answer()
            return {one: self._shown(watched) for one, watched in self._watched.items()}

    def register(self, service: Service, checks: Sequence[Check] = ()) -> None:
        """See `Agent.register`."""
        with self._lock:
            self._answer()
            _judge(service)
            for check in checks:
                _judge_check(check, service.id)
            self.writes += 1
            self._services[service.id] = service
            self._forget_checks(service.id, but={check.id for check in checks})
            for check in checks:
                self._watch(check, service.id)

    def deregister(self, service_id: str) -> None:
        """See `Agent.deregister`."""
        with self._lock:
            check_path(service_id)
            self._answer()
            self.writes += 1
            self._services.pop(service_id, None)
            self._forget_checks(service_id)

    def register_check(self, check: Check, service_id: str = "") -> bool:
        """See `Agent.register_check`."""
        with self._lock:
            self._answer()
            _judge_check(check, check.id)
            if service_id and service_id not in self._services:
                return False
            self.writes += 1
            self._watch(check, service_id)
            return True

    def deregister_check(self, check_id: str) -> None:
        """See `Agent.deregister_check`."""
        with self._lock:
            check_path(check_id)
            self._answer()
            self.writes += 1
            self._watched.pop(check_id, None)

    def report(self, check_id: str, status: Status, output: str = "") -> bool:
        """See `Agent.report`."""
        with self._lock:
            check_path(check_id)
            self._answer()
            watched = self._watched.get(check_id)
            if watched is None or not isinstance(watched.check.probe, Ttl):
                return False
            state = evolve(watched.state, status=status, output=output)
            self._watched[check_id] = _Watched(watched.check, state, self._now + watched.check.probe.seconds)
            return True

    def set_maintenance(self, service_id: str, reason: str) -> bool:
        """See `Agent.set_maintenance`."""
        with self._lock:
            check_path(service_id)
            self._answer()
            if service_id not in self._services:
                return False
            self.writes += 1
            check = Check(
                id=_MAINTENANCE + service_id, name="Service Maintenance Mode", probe=Ttl(float("inf")), notes=reason
            )
            self._watch(check, service_id)
            return True

    def end_maintenance(self, service_id: str) -> bool:
        """See `Agent.end_maintenance`."""
        with self._lock:
            check_path(service_id)
            self._answer()
            self.writes += 1
            self._watched.pop(_MAINTENANCE + service_id, None)
            return service_id in self._services

    def close(self) -> None:
        """Let go of nothing."""

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds
            for check_id, watched in self._watched.items():
                if watched.ends <= self._now:
                    state = evolve(watched.state, status="critical", output="TTL expired")
                    self._watched[check_id] = evolve(watched, state=state, ends=float("inf"))

    def fail(self, reason: str = "connection refused") -> None:
        """Answer nobody from now on."""
        self._failing = reason

    def recover(self) -> None:
        """Answer again."""
        self._failing = ""

    def lose(self) -> None:
        """Forget everything, as an agent does whose disk was replaced."""
        with self._lock:
            self._services.clear()
            self._watched.clear()

    def _answer(self) -> None:
        if self._failing:
            raise Unavailable(f"memory: {self._failing}")

    def _forget_checks(self, service_id: str, but: frozenset[str] | set[str] = frozenset()) -> None:
        for check_id in [one for one, watched in self._watched.items() if watched.state.service_id == service_id]:
            if check_id not in but:
                del self._watched[check_id]

    def _watch(self, check: Check, service_id: str) -> None:
        known = self._watched.get(check.id)
        state = CheckState(
            id=check.id,
            name=check.name,
            status=known.state.status if known else check.initial,
            service_id=service_id,
            notes=check.notes,
            output=known.state.output if known else "",
        )
        ends = self._now + check.probe.seconds if isinstance(check.probe, Ttl) else float("inf")
        self._watched[check.id] = _Watched(check, state, ends)

    def _shown(self, watched: _Watched) -> CheckState:
        probe = watched.check.probe
        if isinstance(probe, Alias) and probe.service_id not in self._services:
            output = f"Service {probe.service_id} could not be found on node {self._identity.node}"
            return evolve(watched.state, status="critical", output=output)
        if not isinstance(probe, Alias):
            return watched.state
        # Checks of the node count for every service on it.
        targets = {"", probe.service_id}
        theirs = [one for one in self._watched.values() if one.state.service_id in targets and one is not watched]
        statuses = {one.state.status for one in theirs}
        return evolve(watched.state, status=next((one for one in _WORST_FIRST if one in statuses), "passing"))


def _judge(service: Service) -> None:
    check_path(service.id)
    reason = ""
    if not service.name:
        reason = "Missing service name"
    elif service.address in {"0.0.0.0", "::"}:  # noqa: S104 -- which is just what is refused
        reason = "Invalid service address"
    elif service.passing_weight < 1:
        reason = "Invalid Weights: Passing must be greater than 0"
    elif len(service.meta) > _META_PAIRS:
        reason = f"Invalid Service Meta: Node metadata cannot contain more than {_META_PAIRS} key/value pairs"
    elif any(not _META_KEY.fullmatch(key) or len(value) > _META_VALUE for key, value in service.meta.items()):
        reason = "Invalid Service Meta: Couldn't load metadata pair"
    if reason:
        raise DocumentError(service.id, reason)


def _judge_check(check: Check, about: str) -> None:
    check_path(check.id)
    probe = check.probe
    if isinstance(probe, Script):
        raise DocumentError(about, "Scripts are disabled on this agent from remote calls")
    if isinstance(probe, Ttl):
        if probe.seconds <= 0:
            raise DocumentError(about, "Invalid check: TTL must be > 0 for TTL checks")
    elif not isinstance(probe, Alias) and probe.interval_seconds <= 0:
        raise DocumentError(about, "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks")
