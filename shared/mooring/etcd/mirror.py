"""Follows everything below a prefix of a store, for ever: list, then watch from there, resume, list again when it must.

The rules, in the order in which they apply:

1. A listing at revision R, then the changes after R: nothing falls between the two.
2. The cursor is the revision of the last change that was handed over. When the store did not answer, the watch is taken
   up again after the cursor: nothing is lost and nothing is told twice.
3. `StartOver` (the cursor was compacted, or lies in the future of this store) forgets the cursor: list again.
4. Revisions cannot tell a store that was wiped and has since grown past the cursor. So every store has an identity, a
   random value under `keys.STORE_KEY`. It is read before the listing and compared each time a watch stands: another one
   means another store, which is rule 3.

What a listing means for what was known before, and whether silence is bad news, is decided by the observer. This module
knows neither instances nor catalogs.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock
from typing import Protocol

from mooring.backoff import Backoff
from mooring.errors import StartOver, Unavailable
from mooring.etcd.store import At, Change, Committed, Listing, Put, Store, Watch
from mooring.keys import STORE_KEY


class Observer(Protocol):
    """What is told about the prefix, always from the thread that runs the mirror."""

    def listed(self, listing: Listing) -> None:
        """Take everything that there is now; what is not in it is gone."""

    def changed(self, changes: tuple[Change, ...]) -> None:
        """Take what changed since, in order; never empty."""

    def lost(self, reason: str) -> None:
        """Note that the store does not answer: told once, at the first failure."""

    def recovered(self) -> None:
        """Note that the store answers again and nothing was missed, or all of it was just listed."""


class Mirror:
    """One prefix of one store, mirrored to one observer."""

    def __init__(
        self,
        store: Store,
        prefix: str,
        observer: Observer,
        *,
        new_identity: Callable[[], str],
        jitter: Callable[[], float],
        backoff: Backoff = Backoff(0.1, 2.0),  # noqa: B008 -- frozen
    ) -> None:
        """Prepare; nothing happens before `run`.

        `new_identity` returns a new random name for a store that has none, `jitter` a number within 0–1.
        """
        self._store = store
        self._prefix = prefix
        self._observer = observer
        self._new_identity = new_identity
        self._jitter = jitter
        self._patience = self._backoff = backoff
        self._identity = ""
        self._cursor: int | None = None
        self._is_lost = False
        self._stopping = Event()
        self._lock = Lock()
        self._watch: Watch | None = None

    def run(self) -> None:
        """Mirror until `stop`; returns then. What the observer raises ends it too."""
        while not self._stopping.is_set():
            try:
                self._follow(self._list() if self._cursor is None else self._cursor)
            except StartOver:
                self._cursor = None
            except Unavailable as error:
                self._lose(str(error))
            # Waited for even when the store is well: whatever makes a watch end at once does not make us spin.
            self._stopping.wait(self._backoff.delay_seconds(self._jitter()))
            self._backoff = self._backoff.next()

    def stop(self) -> None:
        """Make `run` return, from any thread. Nothing new is told after that.

        A watch and a wait end at once; a call that is under way, when it is answered or its time is over, or at once
        when the store is closed.
        """
        with self._lock:
            self._stopping.set()
            if self._watch is not None:
                self._watch.cancel()

    def _list(self) -> int:
        self._identity = self._read_identity()
        listing = self._store.list(self._prefix)
        if not self._stopping.is_set():
            self._observer.listed(listing)
        self._cursor = listing.revision
        return listing.revision

    def _follow(self, cursor: int) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            self._watch = watch = self._store.watch(self._prefix, cursor)
        try:
            batches = iter(watch)
            next(batches, ())
            self._stand()
            for changes in batches:
                self._hand_over(changes)
        finally:
            watch.cancel()

    def _hand_over(self, changes: tuple[Change, ...]) -> None:
        if changes and not self._stopping.is_set():
            # If we crash here, whoever comes after us lists anew: the cursor is nowhere but in this process.
            self._observer.changed(changes)
            self._cursor = changes[-1].revision

    def _stand(self) -> None:
        """Note that the watch stands: from here on nothing is missed, if this is still the store that was listed."""
        if self._stopping.is_set():
            return
        if self._read_identity() != self._identity:
            raise StartOver("the store was replaced")
        self._backoff = self._patience
        if self._is_lost:
            self._is_lost = False
            self._observer.recovered()

    def _read_identity(self) -> str:
        present = self._store.get(STORE_KEY)
        if present is None:
            identity = self._new_identity().encode()
            outcome = self._store.commit((At(STORE_KEY, 0),), (Put(STORE_KEY, identity),))
            if isinstance(outcome, Committed):
                return identity.decode()
            present = next(iter(outcome.present), None)
        if present is None:
            raise Unavailable(f"{STORE_KEY} comes and goes")
        return present.value.decode(errors="backslashreplace")

    def _lose(self, reason: str) -> None:
        if not self._is_lost and not self._stopping.is_set():
            self._is_lost = True
            self._observer.lost(reason)
