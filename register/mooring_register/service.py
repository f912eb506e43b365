"""The running register: source, owner, writers and their threads, from start to a signal. Wiring only.

Threads: the source's own, one for each registry's writer and one for its keep-alive, the admin server's; the owner runs
in the main thread, which is the one that signals reach.
"""

from __future__ import annotations

import random
import secrets
import signal
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from threading import Event

from attrs import evolve

from mooring.admin import Admin
from mooring.backoff import Backoff
from mooring.errors import SettingsError, Unavailable
from mooring.model import Binding
from mooring.selector import Selector
from mooring.telemetry import get_logger
from mooring.threads import start, turned_seconds_ago
from mooring_register import metrics
from mooring_register.addresses.reach import Policy
from mooring_register.deregistration import Deregister
from mooring_register.engine.seam import Identity
from mooring_register.observations import StopAnnounced
from mooring_register.owner import Owner
from mooring_register.ownership import Claim
from mooring_register.registrar import Registrar
from mooring_register.registries import Registry, registry_at
from mooring_register.settings import RegistryAddress, Settings
from mooring_register.sources import engine_id, policy_of, source_of
from mooring_register.standing import Standing
from mooring_register.stop.announcement import PATH, answer_to, decode_announcement, encode_answer
from mooring_register.writers.retiring import retire_all
from mooring_register.writers.writer import RegistryWriter, Terms

log = get_logger()

# SIGTERM is answered within two seconds whatever the registry does; this much of them may go into withdrawing.
_WITHDRAW_SECONDS = 1.2
WITHDRAWN = "withdrawn"
KEEP_ALIVE = "keep-alive"


class Service:
    """One life of register."""

    def __init__(
        self, settings: Settings, *, connect: Callable[[RegistryAddress, str], Registry] = registry_at
    ) -> None:
        """Prepare everything that can be wrong; `connect` takes a registry's address and the name of a layout.

        Raises:
            SettingsError: a file that a registry's address names cannot be read.
        """
        self._settings = settings
        self._source = source_of(settings)
        self._registries = tuple(connect(address, settings.layout) for address in settings.registries)
        self._owner = Owner(
            Registrar(policy=Policy(host=""), keeps_failed=settings.deregister is Deregister.ON_SUCCESS),
            time.time,
            time.monotonic,
        )
        self._writers: tuple[RegistryWriter, ...] = ()
        self._identity: Identity | None = None
        self._why_no_identity = "it was not asked yet"
        self._stopping = Event()

    def run(self) -> None:
        """Register until SIGTERM or SIGINT.

        Raises:
            SettingsError: this host's address is needed and cannot be told, the admin port is taken, or its file
                cannot be written.
        """
        self._stop_on_signals()
        admin = self._admin()
        identity = self._ask_who()
        if identity is not None:
            policy = policy_of(self._settings, identity)
            self._start_writers(identity, policy, self._owner.idle_seconds)
            self._owner.begin(policy, tuple(writer.mailbox for writer in self._writers))
            self._source.start(policy.host, self._owner.observe)
            self._owner.run()
            self._source.stop()
            if self._settings.withdraw_on_exit:
                self._retire(_WITHDRAW_SECONDS)
            self._stop_writers()
        admin.stop()
        log.info("register ended", host=self._owner.state.policy.host)

    def withdraw(self) -> None:
        """Take this host out of the registries, then end; a signal ends it earlier."""
        self._stop_on_signals()
        identity = self._ask_who()
        if identity is None:
            return
        policy = evolve(Policy(host=""), host=self._settings.host or identity.host)
        # Nobody owns a state here: what is wanted is nothing.
        self._start_writers(identity, policy, lambda: 0.0)
        while not self._stopping.is_set() and not self._withdrawn(1.0):
            pass
        while not self._stopping.is_set() and not self._given_up(1.0):
            pass
        self._stop_writers()

    def _stop_on_signals(self) -> None:
        def stop(number: int, _frame: object) -> None:
            del number
            self._stopping.set()
            self._owner.end()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)

    def _ask_who(self) -> Identity | None:
        """Ask the source who it is until it answers; None when we are to stop."""
        backoff = Backoff(0.2, 5.0)
        while not self._stopping.is_set():
            try:
                self._identity = self._source.identity()
            except Unavailable as error:
                metrics.source_failures.inc()
                if backoff.failures == 0:
                    log.warning("the engine does not answer, asking again", reason=str(error))
                self._why_no_identity = str(error)
                self._stopping.wait(backoff.delay_seconds(random.random()))  # noqa: S311 -- jitter, not a secret
                backoff = backoff.next()
            else:
                return self._identity
        return None

    def _start_writers(self, identity: Identity, policy: Policy, owner_idle_seconds: Callable[[], float]) -> None:
        claim = Claim(
            host=policy.host,
            engine=engine_id(identity, policy.host),
            ttl_seconds=self._settings.ttl_seconds,
            version=version("mooring-register"),
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )
        terms = Terms(
            claim=claim,
            resync_seconds=self._settings.resync_seconds,
            clock=time.time,
            tokens=lambda: secrets.token_hex(16),
            owner_idle_seconds=owner_idle_seconds,
        )
        self._writers = tuple(registry.writer(terms) for registry in self._registries)
        metrics.last_turn.set_function(self._owner.idle_seconds)
        for writer in self._writers:
            metrics.undelivered.labels(writer.registry).set_function(writer.mailbox.undelivered_seconds)
            for what, run in writer.threads().items():
                start(f"{what} {writer.registry}", run)

    def _stop_writers(self) -> None:
        for writer in self._writers:
            writer.stop()
        for registry in self._registries:
            registry.close()

    def _retire(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        if not (self._withdrawn(seconds) and self._given_up(until - time.monotonic())):
            log.warning("not everything could be withdrawn in time")

    def _withdrawn(self, seconds: float) -> bool:
        """Withdraw everything; False when that took too long, and the lease will do it."""
        deliveries = [(writer, writer.mailbox.deliver({}, {}, WITHDRAWN)) for writer in self._writers]
        until = time.monotonic() + seconds
        settled = [
            writer.mailbox.wait_settled(number, max(0.0, until - time.monotonic())) for writer, number in deliveries
        ]
        return all(settled)

    def _given_up(self, seconds: float) -> bool:
        """Give the host up, after everything was withdrawn; False when a registry did not answer for so long."""
        for writer in self._writers:
            writer.stop()
        return retire_all(self._writers, seconds)

    def _admin(self) -> Admin:
        try:
            admin = Admin(
                self._settings.admin,
                ready=self._ready,
                standstill=self._standstill,
                state=self._state,
                file=self._settings.admin_file,
                orders={PATH: self._stop_announced},
            )
        except OSError as error:
            raise SettingsError("--admin", f"{self._settings.admin}: {error.strerror}") from None
        admin.start()
        log.info("admin server listens", address=str(admin.address))
        return admin

    def _stop_announced(self, document: object) -> Mapping[str, object]:
        announcement = decode_announcement(document)
        now = time.time()
        self._owner.observe(StopAnnounced(announcement.container_id, now + announcement.seconds, now))
        holdings = [writer.mailbox.holding() for writer in self._writers]
        return encode_answer(answer_to(announcement, self._owner.state, holdings))

    def _ready(self) -> str | None:
        if self._identity is None:
            return f"the engine does not answer: {self._why_no_identity}"
        if self._owner.state.listed_at is None:
            return "nothing was listed yet"
        return next((reason for reason in (writer.ready() for writer in self._writers) if reason is not None), None)

    def _state(self) -> Mapping[str, object]:
        state = self._owner.state
        return {
            "host": state.policy.host,
            "ip": state.policy.ip,
            "engine": self._identity.id if self._identity else "",
            "engine lost since": state.lost_since,
            "engine problem": state.lost_reason or ("" if self._identity else self._why_no_identity),
            "listed at": state.listed_at,
            "listed seconds ago": _ago(state.listed_at),
            "docker event seconds ago": _ago(self._source.heard_at()),
            "turn seconds ago": round(self._owner.idle_seconds(), 1),
            "threads turned seconds ago": {name: round(ago, 1) for name, ago in turned_seconds_ago().items()},
            "instances": [f"{one.service} {one.id} {one.address} {one.state}" for one in state.instances.values()],
            "draining seconds": {
                state.containers[one].container.name.removeprefix("/"): round(drain.until - time.time(), 1)
                for one, drain in state.draining.items()
                if one in state.containers
            },
            "bindings": [_line(binding) for binding in state.bindings.values()],
            "problems": [str(problem) for problem in state.problems],
            "not registered": [str(one) for one in state.not_registered],
            "no answer about": [f"{one}: {reason}" for one, reason in self._source.unanswered().items()],
            "registries": [
                {**writer.state(), "undelivered seconds": round(writer.mailbox.undelivered_seconds(), 1)}
                for writer in self._writers
            ],
        }

    def _standstill(self) -> str | None:
        state = self._owner.state
        compares = self._settings.static is None and state.lost_since is None
        return Standing(
            owner_seconds=None if self._identity is None else self._owner.idle_seconds(),
            keep_alive_seconds=max(
                (ago for name, ago in turned_seconds_ago().items() if name.startswith(KEEP_ALIVE)), default=None
            ),
            listed_seconds=_ago(state.listed_at) if compares else None,
            ttl_seconds=self._settings.ttl_seconds,
            resync_seconds=self._settings.resync_seconds,
        ).standstill()


def _ago(at: float | None) -> float | None:
    return None if at is None else round(time.time() - at, 1)


def _line(binding: Binding) -> str:
    """Return a binding on one line, for people."""
    addresses = ", ".join(binding.addresses)
    return f"{binding.key} {Selector(binding.service, binding.tags)} on {binding.port}/{binding.proto} of {addresses}"
