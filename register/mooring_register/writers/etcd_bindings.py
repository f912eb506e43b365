"""Drives the bindings of one host in one etcd from what is written to what is wanted, in the writer's thread.

Whatever the layout of the instances, bindings stand below `/mooring/bindings/<host>/`, which is the host's own: a value
that somebody else put there is replaced if the key is wanted, and left alone if it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from mooring.documents import decode_binding
from mooring.errors import DocumentError
from mooring.etcd.store import Committed, KeyValue, Put, Refused, Store
from mooring.keys import BINDINGS_PREFIX, encode_id
from mooring.model import Binding
from mooring.telemetry import get_logger
from mooring_register import metrics
from mooring_register.bindings.plan import BindingChange, WrittenBinding, bindings_carried_out, plan_bindings
from mooring_register.differences import differing
from mooring_register.ownership import Held, present_while_held

log = get_logger()


class EtcdBindings:
    """What is known of the written bindings of a host, and how they become those that are wanted."""

    def __init__(self, store: Store, registry: str, host: str) -> None:
        self.root = f"{BINDINGS_PREFIX}{encode_id(host)}/"
        self._store = store
        self._registry = registry
        self._written: dict[str, WrittenBinding] = {}
        # What we believe to be written; None where that is to be made sure of.
        self._settled: Mapping[str, Binding] | None = None

    def __len__(self) -> int:
        """Return how many are written."""
        return len(self._written)

    def take_over(self, present: Mapping[str, KeyValue]) -> dict[str, KeyValue]:
        """Take what stands below the root for what is written, and return the rest."""
        self._written = {key: _known(found) for key, found in present.items() if key.startswith(self.root)}
        self._settled = None
        return {key: found for key, found in present.items() if not key.startswith(self.root)}

    def drive(self, held: Held, wanted: Mapping[str, Binding], is_interrupted: Callable[[], bool]) -> bool:
        """Write until the registry holds what is wanted; False if something came between.

        Raises:
            LeaseLost, OwnershipLost: the host is not ours any more.
            Unavailable: no answer.
        """
        concerned = None if self._settled is None else differing(self._settled, wanted)
        while transactions := self._plan(held, wanted, concerned):
            for changes in transactions:
                if is_interrupted():
                    return False
                self._commit(held, changes)
        self._settled = wanted
        return True

    def _plan(
        self, held: Held, wanted: Mapping[str, Binding], concerned: AbstractSet[str] | None
    ) -> tuple[tuple[BindingChange, ...], ...]:
        """Return what to do next about the bindings that are concerned; about all of them for None."""
        if concerned is None:
            return plan_bindings(wanted, self._written, held.lease)
        keys = {BINDINGS_PREFIX + key for key in concerned}
        return plan_bindings(
            {key: wanted[key] for key in concerned & wanted.keys()},
            {key: self._written[key] for key in keys & self._written.keys()},
            held.lease,
        )

    def _commit(self, held: Held, changes: tuple[BindingChange, ...]) -> None:
        conditions = (held.condition, *(change.condition for change in changes))
        answer = self._store.commit(conditions, tuple(change.operation for change in changes))
        if isinstance(answer, Committed):
            self._written = bindings_carried_out(self._written, changes, answer.revision)
            self._tell(changes)
        else:
            metrics.refusals.labels(self._registry).inc()
            self._learn(held, changes, answer)

    def _learn(self, held: Held, changes: tuple[BindingChange, ...], refused: Refused) -> None:
        present = present_while_held(held, refused)
        for change in changes:
            found = present.get(change.key)
            self._written.pop(change.key, None)
            # What somebody else wrote is not ours to delete.
            if found is not None and (change.binding is not None or found.lease == held.lease):
                self._written[change.key] = _known(found)

    def _tell(self, changes: tuple[BindingChange, ...]) -> None:
        for change in changes:
            binding = change.key.removeprefix(BINDINGS_PREFIX)
            if isinstance(change.operation, Put):
                metrics.puts.labels(self._registry).inc()
                log.info("binding published", binding=binding)
            else:
                metrics.deletes.labels(self._registry).inc()
                log.info("binding withdrawn", binding=binding)


def _known(found: KeyValue) -> WrittenBinding:
    try:
        binding = decode_binding(found.value, key=found.key.removeprefix(BINDINGS_PREFIX))
    except DocumentError:
        # Written anew if it is wanted, deleted if not.
        return WrittenBinding(found.revision, found.lease, None)
    return WrittenBinding(found.revision, found.lease, binding)
