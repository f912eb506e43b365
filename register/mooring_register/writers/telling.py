"""What a writer says of the changes it has made: counters, and a sentence for each instance."""

from __future__ import annotations

from collections.abc import Iterable

from mooring.etcd.store import Put
from mooring.model import State
from mooring.telemetry import get_logger
from mooring_register import metrics
from mooring_register.plan import Change

log = get_logger()


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
