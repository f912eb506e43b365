"""Drives a host's bindings in Consul's keys from what is there to what is wanted; the host's session owns them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

from mooring.consul.keys import Keys
from mooring.documents import encode_binding
from mooring.errors import Unavailable
from mooring.keys import BINDINGS_PREFIX
from mooring.model import Binding
from mooring.telemetry import get_logger
from mooring_register import metrics
from mooring_register.consul.owned_keys import BATCH, delete_own, put_owned
from mooring_register.consul.ownership import HeldHost, bindings_root, check, in_consul
from mooring_register.value_plan import plan_values

log = get_logger()

_ROOT = in_consul(BINDINGS_PREFIX)


class ConsulBindings:
    """Knows the host's bindings in Consul from reading them and from its own writes."""

    def __init__(self, keys: Keys, registry: str, host: str) -> None:
        self._keys = keys
        self._registry = registry
        self._root = bindings_root(host)
        self._written: dict[str, bytes] = {}

    def __len__(self) -> int:
        """How many are known to be written."""
        return len(self._written)

    def forget(self) -> None:
        """Know nothing: the session that owned them is not ours, or is gone."""
        self._written = {}

    def read(self, held: HeldHost) -> None:
        """Know what is there.

        Raises:
            Unavailable: no answer.
        """
        found = self._keys.list(self._root)
        self._written = {one.key: one.value for one in found if one.session == held.session}

    def drive(self, held: HeldHost, wanted: Mapping[str, Binding], is_interrupted: Callable[[], bool]) -> bool:
        """Write until Consul holds what is wanted; False if something came between.

        Raises:
            OwnershipLost, SessionLost: the host is not ours any more.
            Unavailable: no answer, or another session owns one of the keys: it ends by itself.
        """
        values = {_ROOT + key: encode_binding(binding).encode() for key, binding in wanted.items()}
        # What goes is first: another consumer may have got the address meanwhile.
        while changes := plan_values(values, self._written):
            if is_interrupted():
                return False
            check(self._keys, held)
            for key, value in islice(changes.items(), BATCH):
                self._delete(held, key) if value is None else self._put(held, key, value)
        return True

    def _put(self, held: HeldHost, key: str, value: bytes) -> None:
        if put_owned(self._keys, held, key, value) is not None:
            raise Unavailable(f"{key} is owned by another session")
        self._written[key] = value
        metrics.puts.labels(self._registry).inc()
        log.info("binding published", binding=key.removeprefix(_ROOT))

    def _delete(self, held: HeldHost, key: str) -> None:
        delete_own(self._keys, key, lambda found: found.session == held.session)
        self._written.pop(key, None)
        metrics.deletes.labels(self._registry).inc()
        log.info("binding withdrawn", binding=key.removeprefix(_ROOT))
