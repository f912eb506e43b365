"""What a writer says of the changes that it has made, an instance each, and of what cannot be written. And counters."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Final

from mooring.errors import InvalidInput
from mooring.etcd.store import Put
from mooring.model import State
from mooring.telemetry import get_logger
from mooring_register import metrics
from mooring_register.plan import Change

log = get_logger()

_MOST_REMEMBERED: Final = 10_000


class Problems:
    """Tells each problem when it is new. Safe to use from several threads.

    The oldest are forgotten in the end, and told again if they last: their texts name containers, of which ever new
    ones come.
    """

    def __init__(self, most_remembered: int = _MOST_REMEMBERED) -> None:
        self._most_remembered = most_remembered
        self._told: dict[str, None] = {}
        self._lock = Lock()

    def tell(self, problem: InvalidInput) -> None:
        """Log and count a problem, unless that was done."""
        if self._is_new(str(problem)):
            metrics.problems.inc()
            metrics.skipped.labels(problem.kind).inc()
            log.warning("not registered", problem=str(problem))

    def _is_new(self, text: str) -> bool:
        with self._lock:
            if text in self._told:
                return False
            self._told[text] = None
            if len(self._told) > self._most_remembered:
                del self._told[next(iter(self._told))]
            return True


def tell(registry: str, changes: Iterable[Change]) -> None:
    """Count and log what was committed."""
    for change in changes:
        if isinstance(change.operation, Put):
            metrics.puts.labels(registry).inc()
        else:
            metrics.deletes.labels(registry).inc()
        if change.instance is not None:
            instance = change.instance
            said = "instance withdrawn" if instance.state is State.DOWN else "instance published"
            log.info(
                said,
                service=instance.service,
                instance=instance.id,
                address=str(instance.address),
                state=instance.state.value,
                cause=instance.cause,
            )
