"""Renews what is written for a host, on a thread of its own: neither a slow engine nor a slow writer may cost it.

That happens every third of the TTL, as the kind of registry has it: with etcd the lease is renewed and the host's key
read. Whose key is no longer his was fenced out, and must not keep another's keys alive. When the owner of the state has
made no turn for two TTLs, renewing ends: a register that no longer knows what is true must not vouch for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Final, Generic, TypeVar

from mooring.backoff import Backoff
from mooring.errors import LeaseLost, OwnershipLost, WorldError
from mooring.etcd.store import Store
from mooring.telemetry import get_logger
from mooring.threads import keep_trying
from mooring_register import metrics
from mooring_register.ownership import Held

log = get_logger()

# Between two rounds, should one take longer than there is time until the next: renewing key by key may.
_LEAST_PAUSE_SECONDS: Final = 0.1

H = TypeVar("H")


class KeepAlive(Generic[H]):
    """Keeps what it was told to `hold` alive; tells `lost` when that is over. `run` belongs into a thread.

    `renew` does it, and returns why that was in vain, if it was; `owner_idle_seconds` says how long ago the owner made
    its last turn. What is held may have been made by a register with a shorter TTL, but not below `least_ttl_seconds`.
    """

    def __init__(
        self,
        renew: Callable[[H], WorldError | None],
        registry: str,
        ttl_seconds: int,
        *,
        least_ttl_seconds: int | None = None,
        owner_idle_seconds: Callable[[], float],
        lost: Callable[[H, WorldError], None],
    ) -> None:
        self._renew_once = renew
        self._registry = registry
        self._ttl_seconds = ttl_seconds
        self._pause_seconds = min(ttl_seconds, least_ttl_seconds or ttl_seconds) / 3
        self._owner_idle_seconds = owner_idle_seconds
        self._lost = lost
        self._held: H | None = None
        # Beside `_held`, which another thread may have set anew by the time that we know the last one to be lost.
        self._given_up: H | None = None
        self._woken = Event()
        self._stopping = Event()
        self._renewed_at: float | None = None
        self.failing: str = ""

    def state(self) -> dict[str, object]:
        """Return what there is to know, for people; what remains of the TTL is negative once it has passed."""
        ago = None if self._renewed_at is None else time.monotonic() - self._renewed_at
        return {
            "keep-alive problem": self.failing,
            "kept alive seconds ago": None if ago is None else round(ago, 1),
            "lease remaining seconds": None if ago is None else round(self._ttl_seconds - ago, 1),
        }

    def hold(self, held: H | None) -> None:
        """Keep this host alive from now on, at once; None: keep nothing."""
        self._held = held
        self._given_up = None
        self._woken.set()

    def stop(self) -> None:
        """End `run`; what is written lives on for as long as it was promised."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """Renew until stopped."""
        most = self._ttl_seconds / 6
        keep_trying(self._beat_and_wait, stopping=self._stopping, backoff=Backoff(most / 8, most), failed=self._failed)

    def beat(self) -> None:
        """Renew once, if there is something to renew and the owner lives.

        Raises:
            Unavailable: no answer.
        """
        held = self._held
        if held is not None and held is not self._given_up and self._owner_is_alive():
            self._renew(held)

    def _beat_and_wait(self) -> None:
        self._woken.clear()
        began = time.monotonic()
        self.beat()
        self._woken.wait(max(_LEAST_PAUSE_SECONDS, self._pause_seconds - (time.monotonic() - began)))

    def _owner_is_alive(self) -> bool:
        idle_seconds = self._owner_idle_seconds()
        if idle_seconds <= 2 * self._ttl_seconds:
            return True
        log.error("the owner of the state stands still, nothing is renewed any more", idle_seconds=round(idle_seconds))
        return False

    def _renew(self, held: H) -> None:
        error = self._renew_once(held)
        self.failing = ""
        if error is None:
            metrics.keep_alives.labels(self._registry).inc()
            metrics.last_keep_alive.labels(self._registry).set_to_current_time()
            self._renewed_at = time.monotonic()
        elif self._held is held:
            self._given_up = held
            self._lost(held, error)

    def _failed(self, error: WorldError) -> None:
        metrics.registry_failures.labels(self._registry, type(error).__name__).inc()
        if not self.failing:
            log.warning(
                "what is written could not be renewed, trying again", registry=self._registry, reason=str(error)
            )
        self.failing = str(error)


def renew_lease(store: Store, held: Held) -> WorldError | None:
    """Renew the lease of a host, and return why that was in vain, if it was.

    Raises:
        Unavailable: no answer.
    """
    lost: LeaseLost | None = None
    try:
        store.keep_alive(held.lease)
    except LeaseLost as error:
        lost = error
    found = store.get(held.key)
    # Looked at also when the lease is gone: a successor with another TTL has ended it, and must not be fenced out
    # by us in turn, and so on for ever.
    if found is not None and found.value != held.value:
        return OwnershipLost(f"another register took {held.key}")
    return LeaseLost(held.lease) if found is None else lost
