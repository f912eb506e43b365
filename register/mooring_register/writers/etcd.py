"""Drives one etcd from what it holds to what is wanted, under the host's lease. One thread.

What it knows of the registry (`written`) comes from reading the keys of the adopted lease and from its own commits. A
transaction that is refused is the news that something is otherwise: then the keys are read from the refusal, and the
plan is made anew. An id that another host holds is left to it, reported, and tried again every TTL.

Where the values do not say whose a key is (`layouts.foreign`), it is ours when it hangs on our lease.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from threading import Event

from mooring.backoff import Backoff
from mooring.errors import DescriptorError, DocumentError, IdTaken, LeaseLost, OwnershipLost, WorldError
from mooring.etcd.store import Committed, KeyValue, Refused, Store
from mooring.model import Instance
from mooring.telemetry import get_logger
from mooring.threads import keep_trying
from mooring_register import metrics
from mooring_register.deregistration import Failure
from mooring_register.differences import differing
from mooring_register.keepalive import KeepAlive, renew_lease
from mooring_register.layouts.arrangement import Arrangement, arranged_anew
from mooring_register.layouts.layout import Layout
from mooring_register.ownership import Held, attached, holder_of, present_while_held, retire, take
from mooring_register.plan import Change, Wanted, Written, carried_out, plan
from mooring_register.writers.etcd_bindings import EtcdBindings
from mooring_register.writers.mailbox import Delivery, Mailbox
from mooring_register.writers.sharing import is_well_held, needed_by_others
from mooring_register.writers.telling import Problems, tell
from mooring_register.writers.writer import Terms

log = get_logger()

# While nothing is wanted from it a writer looks up this often, to notice what its other thread was told.
_IDLE_SECONDS = 0.5


class EtcdWriter:
    """Writes what is delivered to it in a layout. `run` and `keep_alive.run` each belong into a thread."""

    def __init__(self, store: Store, registry: str, layout: Layout, terms: Terms) -> None:
        self.registry = registry
        self.mailbox = Mailbox()
        self.keep_alive = KeepAlive[Held](
            partial(renew_lease, store),
            registry,
            terms.claim.ttl_seconds,
            owner_idle_seconds=terms.owner_idle_seconds,
            lost=self._lease_lost,
        )
        self._store = store
        self._layout = layout
        self._bindings = EtcdBindings(store, registry, terms.claim.host)
        self._claim = terms.claim
        self._resync_seconds = terms.resync_seconds
        self._clock = terms.clock
        self._tokens = terms.tokens
        self._stopping = Event()
        self._lost: WorldError | None = None
        self._stands_by = False
        self._token = ""
        self._held: Held | None = None
        self._written: dict[str, Written] = {}
        self._arrangement = Arrangement(layout)
        # What we believe to be written, and what had failed; None where that is to be made sure of.
        self._settled: tuple[Mapping[str, Instance], Mapping[str, Failure]] | None = None
        self._conflicts: dict[str, DescriptorError] = {}
        self._left_to_others: frozenset[str] = frozenset()
        self._left_out: tuple[DescriptorError, ...] = ()
        self._problems = Problems()
        self._audited_at = 0.0
        self._retried_at = 0.0
        self._failing = ""

    def threads(self) -> Mapping[str, Callable[[], None]]:
        """See `RegistryWriter.threads`."""
        return {"writer": self.run, "keep-alive": self.keep_alive.run}

    def run(self) -> None:
        """Write until stopped, whatever the registry does."""
        backoff = Backoff(0.1, min(5.0, self._claim.ttl_seconds / 3))
        keep_trying(self._turn_and_wait, stopping=self._stopping, backoff=backoff, failed=self.failed)

    def stop(self) -> None:
        """End both threads; what is written stays, for the successor to adopt."""
        self._stopping.set()
        self.keep_alive.stop()
        self.mailbox.wake()

    def retire(self) -> None:
        """Give the host up, after everything was withdrawn and `run` has ended; see `ownership.retire`."""
        if self._held is not None:
            retire(self._store, self._held)

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
            "lease": f"{held.lease:x}" if held else "",
            "keys": len(self._written) + len(self._bindings),
            "problem": self._failing,
            **self.keep_alive.state(),
            "conflicts": [str(problem) for problem in list(self._conflicts.values())],
            "left out": [str(problem) for problem in self._left_out],
        }

    # Below, only the writer's own thread comes, but for `_lease_lost`.

    def _lease_lost(self, held: Held, error: WorldError) -> None:
        """Note, from the keep-alive's thread, that what we hold is no longer ours."""
        if self._held is held:
            self._lost = error
            self.mailbox.wake()

    def _turn_and_wait(self) -> None:
        self.turn()
        self.mailbox.wait(_IDLE_SECONDS)

    def turn(self) -> None:
        """Take the host if we do not hold it, and write what is wanted and not yet written.

        Raises:
            LeaseLost, OwnershipLost, Unavailable: see `failed`; then try again.
        """
        if self._lost is not None:
            raise self._lost
        held = self._held or self._take()
        self._audit(held)
        delivery = self.mailbox.latest()
        if delivery is not None and (self._settled is None or delivery.number != self.mailbox.settled):
            self._drive(held, delivery)
        self._failing = ""

    def _take(self) -> Held:
        # One token for all attempts: when the answer to one is lost, the next must not take us for somebody else.
        self._token = self._token or self._tokens()
        held = take(self._store, self._claim, self._token, stands_by=self._stands_by)
        self._token, self._stands_by = "", False
        self.keep_alive.hold(held)
        self._read(held)
        self._held = held
        # Once more: was it lost while we read, that was told when we did not hold it yet.
        self.keep_alive.hold(held)
        adopted = len(self._written) + len(self._bindings)
        fields = {"host": self._claim.host, "lease": f"{held.lease:x}", "adopted": adopted}
        log.info("host taken", registry=self.registry, **fields)
        return held

    def _read(self, held: Held) -> None:
        present = attached(self._store, held)
        instances = self._bindings.take_over(present)
        before = self._written
        self._written = {key: self._known(found, before.get(key)) for key, found in instances.items()}
        self._audited_at, self._settled = self._clock(), None

    def _known(self, found: KeyValue, before: Written | None = None) -> Written:
        if before is not None and before.revision == found.revision:
            return before
        value = b"" if self._layout.is_whole else found.value
        return Written(found.revision, found.lease, self._document(found), value)

    def _document(self, found: KeyValue) -> Instance | None:
        try:
            return self._layout.decode(found.key, found.value)
        except DocumentError as problem:
            self._problems.tell(problem)
            return None

    def _drive(self, held: Held, delivery: Delivery) -> None:
        """Write until the registry holds what is wanted, or something newer is wanted."""
        self._arrange(delivery)
        arranged = self._arrangement.arranged.instances
        concerned = arranged.keys() | self._written.keys()
        # As long as we know what is written, only what is wanted otherwise since then has to be looked at.
        if self._settled is not None and self._settled[1] == delivery.failures:
            concerned = differing(self._settled[0], arranged)
        while transactions := self._plan(held, delivery, concerned):
            for changes in transactions:
                if self._is_interrupted(delivery):
                    return
                self._commit(held, changes)
        if self._bindings.drive(held, delivery.bindings, lambda: self._is_interrupted(delivery)):
            self._settled = (arranged, delivery.failures)
            self.mailbox.settle(delivery)

    def _is_interrupted(self, delivery: Delivery) -> bool:
        return self._stopping.is_set() or self._lost is not None or self.mailbox.latest() is not delivery

    def _arrange(self, delivery: Delivery) -> None:
        self._arrangement = arranged_anew(self._arrangement, delivery.instances)
        self._left_out = self._arrangement.arranged.problems
        for problem in self._left_out:
            self._problems.tell(problem)
        instances = self._arrangement.arranged.instances
        self._conflicts = {key: problem for key, problem in self._conflicts.items() if key in instances}

    def _plan(self, held: Held, delivery: Delivery, concerned: AbstractSet[str]) -> tuple[tuple[Change, ...], ...]:
        """Return what to do next about the keys that are concerned."""
        instances = self._arrangement.arranged.instances
        written = {key: self._written[key] for key in concerned & self._written.keys()}
        ours = (concerned & instances.keys()) - self._left_to_others - self._conflicts.keys()
        wanted = Wanted(
            {key: instances[key] for key in ours},
            self._layout.marks(delivery.withdrawals),
            delivery.otherwise,
            self._layout,
            needed_by_others(self._store, self._layout, written.keys() - instances.keys(), self._written.keys()),
            delivery.failures,
        )
        return plan(wanted, written, held.lease, self._clock())

    def _commit(self, held: Held, changes: tuple[Change, ...]) -> None:
        conditions = (held.condition, *(change.condition for change in changes))
        answer = self._store.commit(conditions, tuple(change.operation for change in changes))
        if isinstance(answer, Committed):
            self._written = carried_out(self._written, changes, answer.revision)
            tell(self.registry, changes)
        else:
            metrics.refusals.labels(self.registry).inc()
            self._learn(held, changes, answer)

    def _learn(self, held: Held, changes: tuple[Change, ...], refused: Refused) -> None:
        """Find out which condition failed, and what is true instead."""
        present = present_while_held(held, refused)
        for change in changes:
            found = present.get(change.key)
            if (found.revision if found else 0) == change.revision:
                continue
            self._written.pop(change.key, None)
            if found is not None:
                self._learn_present(held, change, found)

    def _learn_present(self, held: Held, change: Change, found: KeyValue) -> None:
        known = self._known(found)
        if self._is_ours(held, known):
            self._written[change.key] = known
        elif self._layout.is_shared(change.key) and found.value == change.value:
            if is_well_held(self._store, found):
                self._left_to_others |= {change.key}
            else:
                self._written[change.key] = known
        elif change.instance is not None:
            who = self._holder(known) or "somebody who does not say who"
            where = f"{change.instance.name.removeprefix('/') or change.instance.address}: id {change.instance.id!r}"
            reason = f"held by {who} in service {change.instance.service!r}, this is host {self._claim.host!r}"
            problem = IdTaken(where, reason)
            self._conflicts = {**self._conflicts, change.key: problem}
            self._problems.tell(problem)

    def _is_ours(self, held: Held, known: Written) -> bool:
        if self._layout.is_whole:
            return known.instance is not None and known.instance.host == self._claim.host
        return known.lease == held.lease

    def _holder(self, known: Written) -> str:
        if known.instance is not None:
            return f"host {known.instance.host!r}" if known.instance.host else ""
        return "" if self._layout.is_whole else holder_of(self._store, known.lease)

    def _audit(self, held: Held) -> None:
        """Compare, now and then, the keys of our lease with what we believe; try again what others held."""
        now = self._clock()
        # What is left to others is taken over before their lease ends, if they do not renew it (`sharing`).
        patience_seconds = self._claim.ttl_seconds / (3 if self._left_to_others else 1)
        if (self._conflicts or self._left_to_others) and abs(now - self._retried_at) >= patience_seconds:
            self._retried_at, self._conflicts, self._settled = now, {}, None
            self._left_to_others = frozenset()
        # Or the clock was set back.
        if abs(now - self._audited_at) >= self._resync_seconds:
            self._read(held)

    def failed(self, error: WorldError) -> None:
        """Draw the conclusions from what kept a turn from its end."""
        metrics.registry_failures.labels(self.registry, type(error).__name__).inc()
        if isinstance(error, LeaseLost | OwnershipLost):
            self.keep_alive.hold(None)
            self._held, self._lost, self._written = None, None, {}
            self._bindings.take_over({})
            self._stands_by = self._stands_by or isinstance(error, OwnershipLost)
        if self._failing != str(error):
            log.warning("the registry cannot be written to, trying again", registry=self.registry, reason=str(error))
        self._failing = str(error)
