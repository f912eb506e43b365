"""What passes from the owner of the state to a writer: always the latest, whatever the writer missed meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Condition

from attrs import evolve, field, frozen

from mooring.model import Binding, Instance
from mooring_register.deregistration import Failure
from mooring_register.plan import Holding
from mooring_register.registrar import Key, Withdrawal


@frozen
class Delivery:
    """What is wanted, why instances that are not wanted any more are not, and the number of this delivery.

    `otherwise` is the cause where no reason is known: keys that an earlier register left. `failures` are containers
    that failed and are to stay visible, by id.
    """

    number: int
    instances: Mapping[Key, Instance]
    withdrawals: Mapping[Key, Withdrawal]
    otherwise: str
    bindings: Mapping[str, Binding] = field(factory=dict)
    failures: Mapping[str, Failure] = field(factory=dict)


class Mailbox:
    """Holds one delivery. Safe to use from several threads. `uptime` gives seconds that never jump."""

    def __init__(self, uptime: Callable[[], float] = time.monotonic) -> None:
        self._uptime = uptime
        self._waiting_since: float | None = None
        self._later_since: float | None = None
        self._changed = Condition()
        self._latest: Delivery | None = None
        self._settled = 0
        self._held: Mapping[Key, Instance] | None = None

    def deliver(
        self,
        instances: Mapping[Key, Instance],
        withdrawals: Mapping[Key, Withdrawal],
        otherwise: str = "removed",
        *,
        bindings: Mapping[str, Binding] | None = None,
        failures: Mapping[str, Failure] | None = None,
    ) -> int:
        """Replace what is wanted; reasons that were not yet acted upon are kept. Return the delivery's number."""
        with self._changed:
            before = self._latest or Delivery(0, {}, {}, otherwise)
            reasons = {**before.withdrawals, **withdrawals}
            reasons = {key: why for key, why in reasons.items() if key not in instances}
            now = self._uptime()
            self._waiting_since = now if self._waiting_since is None else self._waiting_since
            self._later_since = now if self._later_since is None else self._later_since
            self._latest = Delivery(before.number + 1, instances, reasons, otherwise, bindings or {}, failures or {})
            self._changed.notify_all()
            return self._latest.number

    def latest(self) -> Delivery | None:
        """Return the latest delivery, settled or not; None before the first."""
        with self._changed:
            self._later_since = None
            return self._latest

    def undelivered_seconds(self) -> float:
        """Return for how long the oldest change that the registry does not hold has been waiting; 0 when none is."""
        with self._changed:
            return 0.0 if self._waiting_since is None else self._uptime() - self._waiting_since

    def holding(self) -> Holding | None:
        """Return what the registry holds; None before the first delivery was settled."""
        with self._changed:
            if self._held is None or self._latest is None:
                return None
            return Holding(self._held, self._latest.number == self._settled)

    def wait(self, seconds: float) -> None:
        """Wait until something is delivered that is not settled, or somebody wakes us, but not for longer."""
        with self._changed:
            if self._latest is None or self._latest.number == self._settled:
                self._changed.wait(seconds)

    def wake(self) -> None:
        """Let whoever waits look around."""
        with self._changed:
            self._changed.notify_all()

    def settle(self, delivery: Delivery) -> None:
        """Say that the registry holds what this delivery wants; its reasons are forgotten."""
        with self._changed:
            self._settled = max(self._settled, delivery.number)
            self._held = delivery.instances
            self._waiting_since = self._later_since
            if self._latest is delivery:
                self._waiting_since = None
                self._latest = evolve(delivery, withdrawals={})
            self._changed.notify_all()

    @property
    def settled(self) -> int:
        """The number of the last delivery that was settled, 0 for none."""
        with self._changed:
            return self._settled

    def wait_settled(self, number: int, seconds: float) -> bool:
        """Wait until a delivery is settled; False when that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: self._settled >= number, seconds)
