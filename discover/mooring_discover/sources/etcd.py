"""etcd (v3) as a source: two prefixes followed by a mirror each, their keys read by a ledger each.

Holds no rule about instances. The one question that only the store can answer is asked here: whether the lease of a
key that is gone is gone too.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock, Thread

from mooring.errors import Unavailable
from mooring.etcd.mirror import Mirror
from mooring.etcd.store import Change, Listing, Store
from mooring.telemetry import get_logger
from mooring.threads import start
from mooring_discover.layout import InstanceLayout, Layout, WishLayout
from mooring_discover.ledger import Ledger, Reading
from mooring_discover.metrics import BROKEN_DOCUMENTS, OBSERVATIONS
from mooring_discover.observations import Answering, Silent
from mooring_discover.sources.pulse import Pulse
from mooring_discover.sources.source import Tell

log = get_logger()


class EtcdSource:
    """Follows the instances below a prefix, and the bindings and hosts below `/mooring/`, of one store."""

    def __init__(self, name: str, store: Store, prefix: str, *, now: Callable[[], float] = time.time) -> None:
        """Prepare; `now` gives epoch seconds."""
        self.name = name
        self._store = store
        self._now = now
        self._layouts: tuple[Layout, ...] = (InstanceLayout(f"{prefix}/"), WishLayout())
        self._parts: list[_Part] = []
        self._pulse: Pulse | None = None
        self._threads: list[Thread] = []

    def start(self, tell: Tell) -> None:
        """See `Source.start`."""
        contact = _Contact(self.name, tell, self._now)
        for layout in self._layouts:
            part = _Part(self.name, self._store, layout, tell, contact, self._now)
            self._parts.append(part)
            self._threads.append(start(f"source {self.name} {layout.prefix}", part.mirror.run))
        self._pulse = Pulse(
            self._store, lost=partial(contact.lost, "pulse"), recovered=partial(contact.recovered, "pulse")
        )
        self._threads.append(start(f"source {self.name} pulse", self._pulse.run))

    def stop(self, within_seconds: float) -> None:
        """See `Source.stop`."""
        until = time.monotonic() + within_seconds
        for part in self._parts:
            part.mirror.stop()
        if self._pulse is not None:
            self._pulse.stop()
        self._store.close()
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def problems(self) -> Mapping[str, str]:
        """See `Source.problems`."""
        return {path: reason for part in self._parts for path, reason in part.ledger.broken.items()}


class _Contact:
    """Whether the store answers: silent as soon as one of those who ask hears nothing, answering when all do."""

    def __init__(self, name: str, tell: Tell, now: Callable[[], float]) -> None:
        self._name = name
        self._tell = tell
        self._now = now
        self._lock = Lock()
        self._silent: set[str] = set()

    def lost(self, who: str, reason: str) -> None:
        with self._lock:
            if not self._silent:
                log.warning("source does not answer, trying on", source=self._name, reason=reason)
                self._tell(Silent(self._name, self._now(), reason))
            self._silent.add(who)

    def recovered(self, who: str) -> None:
        with self._lock:
            if who in self._silent:
                self._silent.discard(who)
                if not self._silent:
                    log.info("source answers again", source=self._name)
                    self._tell(Answering(self._name, self._now()))


class _Part:
    """One layout of the store: observes its mirror and tells what that means."""

    def __init__(
        self, name: str, store: Store, layout: Layout, tell: Tell, contact: _Contact, now: Callable[[], float]
    ) -> None:
        self.ledger = Ledger(name, layout)
        self.mirror = Mirror(store, layout.prefix, self, new_identity=lambda: str(uuid.uuid4()), jitter=random.random)
        self._name = name
        self._store = store
        self._layout = layout
        self._tell = tell
        self._contact = contact
        self._now = now

    def listed(self, listing: Listing) -> None:
        """See `Observer.listed`."""
        log.info("source listed", source=self._name, prefix=self._layout.prefix, revision=listing.revision)
        self._say(self.ledger.listed(listing, self._now()))

    def changed(self, changes: tuple[Change, ...]) -> None:
        """See `Observer.changed`."""
        gone = frozenset(lease for lease in self.ledger.leases_of(changes) if self._is_gone(lease))
        self._say(self.ledger.changed(changes, self._now(), gone))

    def lost(self, reason: str) -> None:
        """See `Observer.lost`."""
        self._contact.lost(self._layout.prefix, reason)

    def recovered(self) -> None:
        """See `Observer.recovered`."""
        self._contact.recovered(self._layout.prefix)

    def _is_gone(self, lease: int) -> bool:
        try:
            return self._store.lease(lease) is None
        except Unavailable:
            # Taken for an expiry, it costs a second of settling; taken for a deletion, perhaps a mass removal.
            return True

    def _say(self, reading: Reading) -> None:
        for problem in reading.problems:
            BROKEN_DOCUMENTS.labels(self._name).inc()
            log.warning("document cannot be read", source=self._name, key=problem.path, reason=problem.reason)
        for observation in reading.observations:
            self._tell(observation)
        OBSERVATIONS.labels(self._name).inc(len(reading.observations))
