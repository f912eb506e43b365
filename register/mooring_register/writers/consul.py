"""Drives one Consul from what it has to what is wanted: a host's instances, in one form or another, and its bindings.

What is known of it comes from reading it and from its own writes. It is read anew after each failure, when it may have
lost what is ours, every `resync_seconds`, and every TTL while there is something of which it, or another in it, may
think better.

It knows no conditions, so the host's key is looked at before each batch of writes (`consul.ownership`). Two that
start at the same moment may write in turns for as long as one batch takes; then the later one has the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Protocol

from mooring.backoff import Backoff
from mooring.consul.keys import MIN_SESSION_SECONDS, Keys
from mooring.errors import OwnershipLost, SessionLost, WorldError
from mooring.telemetry import get_logger
from mooring.threads import keep_trying
from mooring_register import metrics
from mooring_register.consul.ownership import HeldHost, check, take
from mooring_register.keepalive import KeepAlive
from mooring_register.writers.consul_bindings import ConsulBindings
from mooring_register.writers.mailbox import Delivery, Mailbox
from mooring_register.writers.writer import Terms

log = get_logger()

# While nothing is wanted from it a writer looks up this often, to notice what its other thread was told.
_IDLE_SECONDS = 0.5


class Form(Protocol):
    """A form in which Consul has the instances of a host: an agent's services, or keys.

    What talks to Consul raises `Unavailable` when there is no answer; what writes, also `OwnershipLost` and
    `SessionLost`, when the host is not ours any more.
    """

    @property
    def root(self) -> str:
        """What the keys of the instances begin with, empty where there are none."""

    def read(self, held: HeldHost) -> None:
        """Know what is there."""

    def forget(self) -> None:
        """Know of nothing that the session owns: it is not ours, or is gone."""

    def drive(self, held: HeldHost, delivery: Delivery, is_interrupted: Callable[[], bool]) -> bool:
        """Write until Consul has what is wanted; False if something came between."""

    def may_improve(self) -> bool:
        """Whether something could not be written that another look may prove to be possible."""

    def renew(self, held: HeldHost) -> WorldError | None:
        """Keep alive what is there, from the keep-alive's thread; return why the host is ours no more, if it is not."""

    def is_in_doubt(self) -> bool:
        """Whether, since it was read, what is there may have been lost."""

    def keys_written(self) -> int:
        """Return how many keys of instances are known to be written."""

    def remove(self) -> None:
        """Remove what is left after everything was withdrawn."""

    def state(self) -> Mapping[str, object]:
        """Return what there is to know, for people."""


class ConsulWriter:
    """Writes what is delivered to it. `run` and `keep_alive.run` each belong into a thread."""

    def __init__(self, keys: Keys, registry: str, form: Form, terms: Terms) -> None:
        self.registry = registry
        self.mailbox = Mailbox()
        self.keep_alive = KeepAlive(
            self._renew,
            registry,
            terms.claim.ttl_seconds,
            # An adopted session lives as long as its maker wanted.
            least_ttl_seconds=MIN_SESSION_SECONDS,
            owner_idle_seconds=terms.owner_idle_seconds,
            lost=self._host_lost,
        )
        self._keys = keys
        self._form = form
        self._terms = terms
        self._bindings = ConsulBindings(keys, registry, terms.claim.host)
        self._stopping = Event()
        self._lost: WorldError | None = None
        self._stands_by = False
        self._token = ""
        self._held: HeldHost | None = None
        self._is_doubtful = True
        self._is_outdated = False
        self._read_at = 0.0
        self._failing = ""

    def threads(self) -> Mapping[str, Callable[[], None]]:
        """See `RegistryWriter.threads`."""
        return {"writer": self.run, "keep-alive": self.keep_alive.run}

    def run(self) -> None:
        """Write until stopped, whatever Consul does."""
        backoff = Backoff(0.1, min(5.0, self._terms.claim.ttl_seconds / 3))
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
        self._form.remove()
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
            "keys": self._form.keys_written() + len(self._bindings),
            "problem": self._failing,
            **self.keep_alive.state(),
            **self._form.state(),
        }

    # Two methods for the thread that keeps alive.

    def _renew(self, held: HeldHost) -> WorldError | None:
        try:
            return self._form.renew(held)
        finally:
            if self._form.is_in_doubt():
                self.mailbox.wake()

    def _host_lost(self, held: HeldHost, error: WorldError) -> None:
        """Note that what we hold is no longer ours."""
        if self._held is held:
            self._lost = error
            self.mailbox.wake()

    # Below, only the writer's own thread comes.

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
        held = take(self._keys, self._terms.claim, self._token, stands_by=self._stands_by, root=self._form.root)
        self._token, self._stands_by = "", False
        self._read(held)
        self._held = held
        self.keep_alive.hold(held)
        log.info("host taken", registry=self.registry, host=self._terms.claim.host, session=held.session)
        return held

    def _is_due(self) -> bool:
        """Whether Consul is to be read anew."""
        patience_seconds = self._terms.claim.ttl_seconds if self._form.may_improve() else self._terms.resync_seconds
        # Or the clock was set back.
        is_old = abs(self._terms.clock() - self._read_at) >= patience_seconds
        return self._is_outdated or self._form.is_in_doubt() or is_old

    def _read(self, held: HeldHost) -> None:
        self._is_outdated = False
        try:
            self._form.read(held)
            self._bindings.read(held)
        except WorldError:
            self._is_outdated = True
            raise
        self._read_at, self._is_doubtful = self._terms.clock(), True

    def _drive(self, held: HeldHost, delivery: Delivery) -> None:
        """Write until Consul has what is wanted, or something newer is wanted."""

        def is_interrupted() -> bool:
            return self._stopping.is_set() or self._lost is not None or self.mailbox.latest() is not delivery

        if self._form.drive(held, delivery, is_interrupted) and self._bindings.drive(
            held, delivery.bindings, is_interrupted
        ):
            self._is_doubtful = False
            self.mailbox.settle(delivery)

    def failed(self, error: WorldError) -> None:
        """Draw the conclusions from what kept a turn from its end."""
        metrics.registry_failures.labels(self.registry, type(error).__name__).inc()
        # Nobody knows whether the last write was carried out, nor what else happened meanwhile.
        self._is_outdated = True
        if isinstance(error, OwnershipLost | SessionLost):
            self.keep_alive.hold(None)
            self._held, self._lost = None, None
            self._form.forget()
            self._bindings.forget()
            self._stands_by = self._stands_by or isinstance(error, OwnershipLost)
        if self._failing != str(error):
            log.warning("the registry cannot be written to, trying again", registry=self.registry, reason=str(error))
        self._failing = str(error)
