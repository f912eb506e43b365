"""Drives the instances of one host in one etcd by its v2 API, in the writer's thread: what is ours there, what is not.

In Mooring's own layout the document says whose a key is. Elsewhere it is ours when it holds what we want there, what we
have written, or what the inventory says that our predecessor wrote (`inventory`): of two hosts that need the same value
each renews it. One that needs it no more leaves it to the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from mooring.errors import DescriptorError, DocumentError, IdTaken
from mooring.etcd.store import NO_LEASE, Put
from mooring.etcd2.store import Keys, Node
from mooring.keys import KEYS_PREFIX
from mooring.model import Instance, State
from mooring_register import metrics
from mooring_register.inventory import holder_in, mark
from mooring_register.layouts.layout import Layout
from mooring_register.plan import Change, Wanted, Written, carried_out, plan
from mooring_register.writers.etcd2_host import HeldHost, HostKey
from mooring_register.writers.etcd2_keys import OwnKeys
from mooring_register.writers.mailbox import Delivery
from mooring_register.writers.telling import Problems, tell

# A document that says `down` is deleted next; if we crash before that, it goes by itself.
_ENDING_SECONDS: Final = 3


class Instances:
    """What is known of the written instances of a host, and how they become those that are wanted."""

    def __init__(self, keys: Keys, own: OwnKeys, host: HostKey, registry: str, layout: Layout) -> None:
        self.layout = layout
        self.conflicts: dict[str, DescriptorError | DocumentError] = {}
        self.left_out: tuple[DescriptorError, ...] = ()
        self._keys = keys
        self._own = own
        self._host = host
        self._registry = registry
        self._written: dict[str, Written] = {}
        self._problems = Problems()

    def listed(self, delivery: Delivery) -> set[tuple[str, bytes]]:
        """Return keys with their values, those that are written and those that will be: what the inventory is to list.

        In Mooring's own layout nothing is: there the values say whose they are.
        """
        if self.layout.is_whole:
            return set()
        wanted = self.layout.arrange(delivery.instances).instances
        written = {(key, known.value) for key, known in self._written.items()}
        return written | {(key, self.layout.encode(key, instance, None)) for key, instance in wanted.items()}

    def take_over(self, present: Iterable[Node], marks: frozenset[str] = frozenset()) -> dict[str, Node]:
        """Return what is ours of the present keys, and take that for what is written; `marks` is the inventory."""
        ours = {node.key: node for node in present if mark(node.key, node.value) in marks or self._is_ours(node)}
        self._written = {key: self._known(node) for key, node in ours.items()}
        return ours

    def forget(self, keys: Iterable[str]) -> None:
        """Take these for not written."""
        for key in keys:
            self._written.pop(key, None)

    def drive(self, held: HeldHost, delivery: Delivery, is_interrupted: Callable[[], bool]) -> bool:
        """Write until the registry holds what is wanted; False if something came between.

        Raises:
            OwnershipLost: the host is not ours any more.
            Unavailable: no answer.
        """
        while batches := plan(self._wanted(delivery), self._written, NO_LEASE, self._host.now()):
            for changes in batches:
                if is_interrupted():
                    return False
                self._host.check(held)
                self._write(held, {change.key: change for change in changes}, delivery.failures)
        return True

    def _wanted(self, delivery: Delivery) -> Wanted:
        arranged = self.layout.arrange(delivery.instances)
        self.left_out = arranged.problems
        for problem in arranged.problems:
            self._problems.tell(problem)
        instances = arranged.instances
        self.conflicts = {key: problem for key, problem in self.conflicts.items() if key in instances}
        self._leave_to_others([key for key in self._written if self.layout.is_shared(key) and key not in instances])
        return Wanted(
            {key: instance for key, instance in instances.items() if key not in self.conflicts},
            self.layout.marks(delivery.withdrawals),
            delivery.otherwise,
            self.layout,
            failures=delivery.failures,
        )

    def _leave_to_others(self, unwanted: list[str]) -> None:
        """Neither delete nor renew those beside which others have something: they renew it themselves."""
        for key in unwanted:
            beside = self._keys.list(key.rpartition("/")[0])
            if any(node.key not in self._written for node in beside):
                self.forget([key])
                self._own.learn(key, None)

    def _write(self, held: HeldHost, changes: dict[str, Change], failures: Collection[str]) -> None:
        outcomes: dict[str, bool] = {}

        def carry_out(key: str) -> None:
            outcomes[key] = self._carry_out(changes[key], failures)

        try:
            self._own.spread(changes, carry_out)
        finally:
            done = [changes[key] for key, is_done in outcomes.items() if is_done]
            self._written = carried_out(self._written, done, NO_LEASE)
            tell(self._registry, done)
        for key in [key for key, is_done in outcomes.items() if not is_done]:
            self._learn(held, changes[key])

    def _carry_out(self, change: Change, failures: Collection[str]) -> bool:
        if not isinstance(change.operation, Put):
            return self._own.delete(change.key)
        instance = change.instance
        ends = instance is not None and instance.state is State.DOWN and instance.container not in failures
        try:
            return self._own.put(change.key, change.operation.value, _ENDING_SECONDS if ends else 0)
        except DocumentError as problem:
            self.conflicts[change.key] = problem
            self._problems.tell(problem)
            return False

    def _learn(self, held: HeldHost, change: Change) -> None:
        """Find out what a key holds that is not as we knew it, after making sure that the host is still ours."""
        metrics.refusals.labels(self._registry).inc()
        self._host.look(held)
        found = self._keys.get(change.key)
        wants_it = found is not None and not self.layout.is_whole and found.value == change.value
        is_ours = found is not None and (wants_it or self._is_ours(found))
        self.forget([change.key])
        self._own.learn(change.key, found if is_ours else None)
        if found is not None and is_ours:
            self._written[change.key] = self._known(found)
        elif found is not None and change.instance is not None:
            self._conflict(change.instance, found)

    def _is_ours(self, found: Node) -> bool:
        if not self.layout.is_whole:
            return self._own.is_own_value(found)
        document = self._document(found)
        return document is not None and document.host == self._host.name

    def _known(self, found: Node) -> Written:
        value = b"" if self.layout.is_whole else found.value
        return Written(NO_LEASE, NO_LEASE, self._document(found), value)

    def _document(self, found: Node) -> Instance | None:
        try:
            return self.layout.decode(found.key, found.value)
        except DocumentError:
            # Somebody else's: nobody of us has written it.
            return None

    def _conflict(self, instance: Instance, found: Node) -> None:
        who = self._holder(found)
        where = f"{instance.name.removeprefix('/') or instance.address}: id {instance.id!r}"
        reason = f"held by {who} in service {instance.service!r}, this is host {self._host.name!r}"
        self.conflicts[found.key] = IdTaken(where, reason)
        self._problems.tell(self.conflicts[found.key])

    def _holder(self, found: Node) -> str:
        document = self._document(found)
        if document is not None:
            host = document.host
        else:
            shelves = {} if self.layout.is_whole else {node.key: node.value for node in self._keys.list(KEYS_PREFIX)}
            host = holder_in(shelves, found.key, found.value)
        return f"host {host!r}" if host else "somebody who does not say who"
