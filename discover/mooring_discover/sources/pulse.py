"""Whether a store answers, asked once a second: a frozen one is noticed in seconds, not when its watch breaks.

It matters because a store that was frozen for longer than its leases last expires them all as it wakes, and its watch
tells so as if nothing had been. A question that took too long to be answered counts as a silence that is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

from mooring.errors import Unavailable
from mooring.etcd.store import Store
from mooring.keys import STORE_KEY

EVERY_SECONDS = 1.0
SLOW_SECONDS = 1.5


class Pulse:
    """Asks a store something small until `stop`."""

    def __init__(
        self,
        store: Store,
        *,
        lost: Callable[[str], None],
        recovered: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; `lost` is called with the reason each time no answer came, `recovered` each time one did."""
        self._store = store
        self._lost = lost
        self._recovered = recovered
        self._monotonic = monotonic
        self._stopping = Event()

    def run(self) -> None:
        """Ask until `stop`; returns then."""
        while not self._stopping.wait(EVERY_SECONDS):
            self.beat()

    def stop(self) -> None:
        """Ask no more, from any thread."""
        self._stopping.set()

    def beat(self) -> None:
        """Ask once."""
        asked = self._monotonic()
        try:
            self._store.get(STORE_KEY)
        except Unavailable as error:
            if not self._stopping.is_set():
                self._lost(str(error))
            return
        took_seconds = self._monotonic() - asked
        if took_seconds > SLOW_SECONDS:
            self._lost(f"took {took_seconds:.1f} s to answer")
        self._recovered()
