"""Drives one etcd by its v2 API from what it holds to what is wanted. One thread; another one renews what is written.

That API has neither leases nor transactions: each key has a TTL of its own, and each write the condition that its own
key is as we know it. A refused write is the news that something is otherwise: then the key is read, and the plan is
made anew. An id that another host holds is left to it, reported, and tried again every third of the TTL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Final

from mooring.backoff import Backoff
from mooring.documents import encode_binding
from mooring.errors import OwnershipLost, WorldError
from mooring.etcd2.store import Keys
from mooring.keys import BINDINGS_PREFIX, encode_id
from mooring.telemetry import get_logger
from mooring.threads import keep_trying
from mooring_register import metrics
from mooring_register.inventory import inventory_root, marks_on, shelves
from mooring_register.keepalive import KeepAlive
from mooring_register.layouts.layout import Layout
from mooring_register.writers.etcd2_host import HeldHost, HostKey
from mooring_register.writers.etcd2_instances import Instances
from mooring_register.writers.etcd2_keys import OwnKeys
from mooring_register.writers.etcd2_values import OwnValues
from mooring_register.writers.mailbox import Delivery, Mailbox
from mooring_register.writers.writer import Terms

log = get_logger()

# While nothing is wanted from it a writer looks up this often, to notice what its other thread was told.
_IDLE_SECONDS: Final = 0.5
# So many requests are under way at most: a thousand keys at 200 ms each are renewed in 7 s, within half a TTL.
_CONNECTIONS: Final = 32


class Etcd2Writer:
    """Writes what is delivered to it in a layout. `run` and `keep_alive.run` each belong into a thread."""

    def __init__(
        self, keys: Keys, registry: str, layout: Layout, terms: Terms, *, connections: int = _CONNECTIONS
    ) -> None:
        ttl_seconds, host = terms.claim.ttl_seconds, terms.claim.host
        self.registry = registry
        self.mailbox = Mailbox()
        self.keep_alive = KeepAlive[HeldHost](
            self._renew, registry, ttl_seconds, owner_idle_seconds=terms.owner_idle_seconds, lost=self._host_lost
        )
        self._terms = terms
        self._keys = keys
        self._own = OwnKeys(keys, ttl_seconds, connections)
        self._host = HostKey(keys, terms.claim, terms.clock)
        self._instances = Instances(keys, self._own, self._host, registry, layout)
        self._bindings = OwnValues(self._own, self._host, registry, f"{BINDINGS_PREFIX}{encode_id(host)}/")
        self._inventory = OwnValues(self._own, self._host, registry, inventory_root(host))
        self._stopping = Event()
        self._doubtful = True
        self._lost: WorldError | None = None
        self._stands_by = False
        self._token = ""
        self._held: HeldHost | None = None
        self._read_at: float | None = None
        self._retried_at = 0.0
        self._failing = ""

    def threads(self) -> Mapping[str, Callable[[], None]]:
        """See `RegistryWriter.threads`."""
        return {"writer": self.run, "keep-alive": self.keep_alive.run}

    def run(self) -> None:
        """Write until stopped, whatever the registry does."""
        backoff = Backoff(0.1, min(5.0, self._terms.claim.ttl_seconds / 3))
        keep_trying(self._turn_and_wait, stopping=self._stopping, backoff=backoff, failed=self.failed)

    def stop(self) -> None:
        """See `RegistryWriter.stop`."""
        self._stopping.set()
        self.keep_alive.stop()
        self.mailbox.wake()

    def retire(self) -> None:
        """See `RegistryWriter.retire`."""
        if self._held is not None:
            self._host.give_up(self._held)

    def ready(self) -> str | None:
        """See `RegistryWriter.ready`."""
        if self._failing:
            return f"{self.registry}: {self._failing}"
        return None if self.mailbox.settled else f"{self.registry}: not everything is written yet"

    def state(self) -> Mapping[str, object]:
        """See `RegistryWriter.state`."""
        return {
            "registry": self.registry,
            "holds the host": self._held is not None,
            "keys": len(self._own) - len(self._inventory),
            "problem": self._failing,
            **self.keep_alive.state(),
            "conflicts": [str(problem) for problem in list(self._instances.conflicts.values())],
            "left out": [str(problem) for problem in self._instances.left_out],
        }

    # Two methods for the thread that renews.

    def _renew(self, held: HeldHost) -> WorldError | None:
        """Renew everything, and return why that was in vain, if it was: the host first, which says whether we may."""
        try:
            self._host.renew(held)
        except OwnershipLost as error:
            return error
        self._own.renew()
        if self._own.has_lost:
            self.mailbox.wake()
        return None

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
            OwnershipLost, Unavailable: see `failed`; then try again.
        """
        if self._lost is not None:
            raise self._lost
        held = self._held or self._take()
        self._audit()
        delivery = self.mailbox.latest()
        if delivery is not None and (self._doubtful or delivery.number != self.mailbox.settled):
            self._drive(held, delivery)
        self._failing = ""

    def _take(self) -> HeldHost:
        # One token for all attempts: when the answer to one is lost, the next must not take us for somebody else.
        self._token = self._token or self._terms.tokens()
        held = self._host.take(self._token, stands_by=self._stands_by)
        self._token, self._stands_by = "", False
        self.keep_alive.hold(held)
        self._read()
        self._held = held
        # At once and all: whoever knew their index before can no longer change them.
        self.keep_alive.hold(held)
        log.info("host taken", registry=self.registry, host=self._terms.claim.host, adopted=len(self._own))
        return held

    def _read(self) -> None:
        """Find out what is ours."""
        inventory = {node.key: node for node in self._keys.list(self._inventory.root)}
        bindings = {node.key: node for node in self._keys.list(self._bindings.root)}
        marks = marks_on(node.value for node in inventory.values())
        instances = self._instances.take_over(self._keys.list(self._instances.layout.root), marks)
        self._own.take_over({**instances, **bindings, **inventory})
        self._read_at, self._doubtful = self._terms.clock(), True

    def _drive(self, held: HeldHost, delivery: Delivery) -> None:
        """Write until the registry holds what is wanted, or something newer is wanted."""

        def is_interrupted() -> bool:
            return self._stopping.is_set() or self._lost is not None or self.mailbox.latest() is not delivery

        bindings = {BINDINGS_PREFIX + key: encode_binding(one).encode() for key, one in delivery.bindings.items()}
        if (
            # If we crash here, it lists what is not there. The second time it is emptied, if nothing is left to list.
            self._inventory.drive(held, self._shelves(delivery), is_interrupted)
            and self._instances.drive(held, delivery, is_interrupted)
            and self._inventory.drive(held, self._shelves(delivery), is_interrupted)
            and self._bindings.drive(held, bindings, is_interrupted)
        ):
            self._doubtful = False
            self.mailbox.settle(delivery)

    def _shelves(self, delivery: Delivery) -> dict[str, bytes]:
        present = self._own.values(self._inventory.root)
        return shelves(self._terms.claim.host, self._instances.listed(delivery), present)

    def _audit(self) -> None:
        """Notice what the other thread found gone; compare all now and then; try again what others held."""
        now = self._terms.clock()
        if lost := self._own.lost():
            self._instances.forget(lost)
            self._doubtful = True
        if self._instances.conflicts and abs(now - self._retried_at) >= self._terms.claim.ttl_seconds / 3:
            self._retried_at, self._instances.conflicts, self._doubtful = now, {}, True
        # Or the clock was set back.
        if self._read_at is None or abs(now - self._read_at) >= self._terms.resync_seconds:
            self._read()

    def failed(self, error: WorldError) -> None:
        """Draw the conclusions from what kept a turn from its end."""
        metrics.registry_failures.labels(self.registry, type(error).__name__).inc()
        # What became of a write without an answer is read anew.
        self._read_at = None
        if isinstance(error, OwnershipLost):
            self.keep_alive.hold(None)
            self._held, self._lost, self._stands_by = None, None, True
            self._own.take_over({})
        if self._failing != str(error):
            log.warning("the registry cannot be written to, trying again", registry=self.registry, reason=str(error))
        self._failing = str(error)
