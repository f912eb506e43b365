"""Drives the instances of a host in Consul's keys, in a layout; the host's session owns them. The form of `consulkv://`.

What lies under our session is ours. A key that nobody owns is ours when its document names our host, or when it holds
just what we want there: an earlier system may have left it. Any other is left alone and reported with its holder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from mooring.consul.keys import Keys, KeyValue
from mooring.errors import DescriptorError, DocumentError, IdTaken, OwnershipLost, SessionLost, WorldError
from mooring.etcd.store import NO_LEASE, Put
from mooring.keys import HOSTS_PREFIX
from mooring.model import Instance
from mooring_register import metrics
from mooring_register.consul.owned_keys import delete_own, put_owned
from mooring_register.consul.ownership import HeldHost, check, in_consul, renew
from mooring_register.layouts.layout import Layout
from mooring_register.plan import Change, Wanted, Written, carried_out, plan
from mooring_register.writers.consul_problems import ConsulProblems
from mooring_register.writers.mailbox import Delivery
from mooring_register.writers.telling import tell
from mooring_register.writers.writer import Terms

# In the place of a lease: under our session. What has none is to be brought there.
_OWNED: Final = 1
# Keys are not remembered with their indexes: those under our session nobody else changes.
_ANY_INDEX: Final = 1


class ConsulInstances:
    """See `consul.Form`. Knows the host's instances from reading them and from its own writes."""

    def __init__(self, keys: Keys, registry: str, layout: Layout, terms: Terms) -> None:
        self.root = in_consul(layout.root)
        self._keys = keys
        self._registry = registry
        self._layout = layout
        self._host = terms.claim.host
        self._clock = terms.clock
        self._written: dict[str, Written] = {}
        self._conflicts: dict[str, DescriptorError | DocumentError] = {}
        self._problems = ConsulProblems()

    def read(self, held: HeldHost) -> None:
        """See `Form.read`."""
        found = self._keys.list(f"{self.root}/")
        ours = [one for one in found if self._is_ours(one, held)]
        self._written = {f"/{one.key}": self._known(one, held) for one in ours}
        self._conflicts = {}

    def forget(self) -> None:
        """See `Form.forget`."""
        self._written = {}

    def drive(self, held: HeldHost, delivery: Delivery, is_interrupted: Callable[[], bool]) -> bool:
        """See `Form.drive`."""
        while batches := plan(self._wanted(delivery), self._written, _OWNED, self._clock()):
            for changes in batches:
                if is_interrupted():
                    return False
                check(self._keys, held)
                self._carry_out(held, changes)
        return True

    def may_improve(self) -> bool:
        """See `Form.may_improve`."""
        return self._problems.may_pass()

    def renew(self, held: HeldHost) -> WorldError | None:
        """See `Form.renew`."""
        try:
            renew(self._keys, held)
        except (OwnershipLost, SessionLost) as error:
            return error
        return None

    def is_in_doubt(self) -> bool:
        """See `Form.is_in_doubt`: keys are lost with the session only, or by somebody's hand."""
        return False

    def keys_written(self) -> int:
        """See `Form.keys_written`."""
        return len(self._written)

    def remove(self) -> None:
        """See `Form.remove`: what there was went with the last key."""

    def state(self) -> Mapping[str, object]:
        """See `Form.state`."""
        return {"conflicts": self._problems.conflicts, "left out": self._problems.left_out}

    def _wanted(self, delivery: Delivery) -> Wanted:
        arranged = self._layout.arrange(delivery.instances)
        self._conflicts = {key: why for key, why in self._conflicts.items() if key in arranged.instances}
        self._problems.planned(arranged.problems, dict(self._conflicts))
        return Wanted(
            {key: instance for key, instance in arranged.instances.items() if key not in self._conflicts},
            self._layout.marks(delivery.withdrawals),
            delivery.otherwise,
            self._layout,
            failures=delivery.failures,
        )

    def _carry_out(self, held: HeldHost, changes: Iterable[Change]) -> None:
        done: list[Change] = []
        for change in changes:
            try:
                is_done = self._attempt(held, change)
            except DocumentError as problem:
                self._conflicts[change.key] = problem
                is_done = False
            if is_done:
                done.append(change)
                tell(self._registry, [change])
            else:
                metrics.refusals.labels(self._registry).inc()
                self._written.pop(change.key, None)
        # Whoever did not come this far reads everything anew.
        self._written = carried_out(self._written, done, _ANY_INDEX)

    def _attempt(self, held: HeldHost, change: Change) -> bool:
        key = in_consul(change.key)
        if not isinstance(change.operation, Put):
            delete_own(self._keys, key, lambda found: self._is_ours(found, held))
            return True
        # A key without an owner would be overwritten without a word.
        found = None if change.key in self._written else self._keys.get(key)
        if found is not None and not self._may_take(found, held, change.operation.value):
            self._conflict(change, found)
            return False
        if put_owned(self._keys, held, key, change.operation.value) is not None:
            self._conflict(change, self._keys.get(key))
            return False
        return True

    def _may_take(self, found: KeyValue, held: HeldHost, value: bytes) -> bool:
        return self._is_ours(found, held) or (not found.session and found.value == value)

    def _is_ours(self, found: KeyValue, held: HeldHost) -> bool:
        return found.session == held.session or self._names_us(found)

    def _names_us(self, found: KeyValue) -> bool:
        document = None if found.session else self._document(found)
        return document is not None and document.host == self._host

    def _known(self, found: KeyValue, held: HeldHost) -> Written:
        owner = _OWNED if found.session == held.session else NO_LEASE
        value = b"" if self._layout.is_whole else found.value
        return Written(_ANY_INDEX, owner, self._document(found), value)

    def _document(self, found: KeyValue) -> Instance | None:
        try:
            return self._layout.decode(f"/{found.key}", found.value)
        except DocumentError:
            # Somebody else's: nobody of us has written it.
            return None

    def _conflict(self, change: Change, found: KeyValue | None) -> None:
        instance = change.instance
        if instance is None:
            return
        # For a while after a session ended that held it, Consul may give a key to nobody.
        holder = self._holder(found) if found is not None else "nobody, and yet withheld,"
        where = f"{instance.name.removeprefix('/') or instance.address}: id {instance.id!r}"
        reason = f"held by {holder} in service {instance.service!r}, this is host {self._host!r}"
        self._conflicts[change.key] = IdTaken(where, reason)

    def _holder(self, found: KeyValue) -> str:
        document = self._document(found)
        if document is not None:
            return f"host {document.host!r}"
        root = in_consul(HOSTS_PREFIX)
        hosts = [one.key for one in self._keys.list(root) if one.session == found.session] if found.session else []
        return f"host {hosts[0].removeprefix(root)!r}" if hosts else "somebody who does not say who"
