"""Drives values that are a host's own in an etcd by its v2 API: its bindings, and the inventory of its keys.

They lie below roots that bear the host's name and are the host's alone: what somebody else put there is replaced, or
deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from mooring.errors import DocumentError, Unavailable
from mooring.keys import BINDINGS_PREFIX
from mooring.telemetry import get_logger
from mooring_register import metrics
from mooring_register.value_plan import plan_values
from mooring_register.writers.etcd2_host import HeldHost, HostKey
from mooring_register.writers.etcd2_keys import OwnKeys

log = get_logger()


class OwnValues:
    """What is wanted below one root, and how it comes to be written."""

    def __init__(self, own: OwnKeys, host: HostKey, registry: str, root: str) -> None:
        self.root = root
        self._own = own
        self._host = host
        self._registry = registry

    def __len__(self) -> int:
        """Return how many are written."""
        return len(self._own.values(self.root))

    def drive(self, held: HeldHost, wanted: Mapping[str, bytes], is_interrupted: Callable[[], bool]) -> bool:
        """Write until the registry holds what is wanted; False if something came between.

        Raises:
            OwnershipLost: the host is not ours any more.
            Unavailable: no answer, or a directory is in the way.
        """
        while changes := plan_values(wanted, self._own.values(self.root)):
            if is_interrupted():
                return False
            self._host.check(held)
            self._own.spread(changes, partial(self._change, held, changes))
        return True

    def _change(self, held: HeldHost, changes: Mapping[str, bytes | None], key: str) -> None:
        value = changes[key]
        if self._carry_out(key, value):
            self._tell(key, value)
            return
        metrics.refusals.labels(self._registry).inc()
        self._host.look(held)
        self._own.learn_anew(key)

    def _carry_out(self, key: str, value: bytes | None) -> bool:
        try:
            return self._own.delete(key) if value is None else self._own.put(key, value)
        except DocumentError as error:
            raise Unavailable(str(error)) from None

    def _tell(self, key: str, value: bytes | None) -> None:
        (metrics.deletes if value is None else metrics.puts).labels(self._registry).inc()
        if self.root.startswith(BINDINGS_PREFIX):
            binding = key.removeprefix(BINDINGS_PREFIX)
            log.info("binding withdrawn" if value is None else "binding published", binding=binding)
