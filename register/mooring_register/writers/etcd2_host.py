"""Who writes for a host in an etcd by its v2 API: the host's key, with a TTL of its own, and what it takes to hold it.

The rules are those of `ownership`. What v2 has not is a transaction: a write cannot have the condition that another key
is still ours. So each write has the condition that its own key is as we know it, a successor renews all keys at once,
which changes them, and we look at the host's key before we write, unless that was a moment ago
(docs/decisions/0015-writing-without-leases.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import frozen

from mooring.errors import DocumentError, OwnershipLost, Unavailable
from mooring.etcd2.store import ABSENT, Keys, Mismatch, Node
from mooring.keys import host_key
from mooring_register.ownership import Claim, encode_record, leave_to_holder, own_record, record_of

# For so long a look at the host's key is believed. A process that was frozen looks again when it wakes.
_BELIEVED_SECONDS: Final = 1.0


@frozen
class HeldHost:
    """A host that is ours: the key and its exact value."""

    key: str
    value: bytes


class HostKey:
    """The key of the host `name`; `now` gives epoch seconds.

    One thread may `renew` while another does all the rest.
    """

    def __init__(self, keys: Keys, claim: Claim, clock: Callable[[], float]) -> None:
        self.name = claim.host
        self.now = clock
        self._keys = keys
        self._claim = claim
        self._index = ABSENT
        self._seen_at = 0.0

    def take(self, token: str, *, stands_by: bool) -> HeldHost:
        """Return the host as ours: new, or taken over from an earlier register of the same engine.

        `stands_by` says that we were fenced out: then a holder of the same engine that lives is left alone.

        Raises:
            OwnershipLost: another engine holds the host, or (standing by) another register of this one.
            Unavailable: no answer, or somebody was faster: try again.
        """
        key = host_key(self._claim.host)
        found = self._keys.get(key)
        if found is not None:
            record = own_record(key, found.value, self._claim)
            if stands_by:
                # Without a TTL it was written by hand, and nobody renews it.
                leave_to_holder(record, self._claim, token, found.ttl_seconds or 0)
        held = HeldHost(key, encode_record(record_of(self._claim, token)))
        try:
            answer = self._keys.put(key, held.value, self._claim.ttl_seconds, found.index if found else ABSENT)
        except DocumentError as error:
            raise Unavailable(str(error)) from None
        if isinstance(answer, Mismatch):
            raise Unavailable(f"{key} changed while it was taken")
        self._see(answer)
        return held

    def renew(self, held: HeldHost) -> None:
        """Give the host's key its whole TTL again.

        Raises:
            OwnershipLost: it is not ours any more, or gone.
            Unavailable: no answer, or it changed twice meanwhile.
        """
        answer = self._keys.refresh(held.key, self._claim.ttl_seconds, self._index)
        if isinstance(answer, Mismatch):
            # A renewal of ours whose answer was lost has changed it too.
            self.look(held)
            answer = self._keys.refresh(held.key, self._claim.ttl_seconds, self._index)
        if isinstance(answer, Mismatch):
            raise Unavailable(f"{held.key} changed while it was renewed")
        self._see(answer)

    def check(self, held: HeldHost) -> None:
        """Make sure that the host is still ours, unless that is known for sure since a moment.

        Raises:
            OwnershipLost: it is not.
            Unavailable: no answer.
        """
        if abs(self.now() - self._seen_at) > _BELIEVED_SECONDS:
            self.look(held)

    def look(self, held: HeldHost) -> None:
        """Make sure that the host is ours now.

        Raises:
            OwnershipLost: it is not.
            Unavailable: no answer.
        """
        found = self._keys.get(held.key)
        if found is None:
            raise OwnershipLost(f"{held.key} is gone")
        if found.value != held.value:
            raise OwnershipLost(f"another register took {held.key}")
        self._see(found)

    def give_up(self, held: HeldHost) -> None:
        """Remove the host's key; when it is gone already that was us, at an attempt whose answer was lost.

        Raises:
            OwnershipLost: it was not ours any more.
            Unavailable: no answer, or it changed meanwhile.
        """
        found = self._keys.get(held.key)
        if found is None:
            return
        if found.value != held.value:
            raise OwnershipLost(f"{held.key} no longer names us")
        if self._keys.delete(held.key, found.index) is not None:
            raise Unavailable(f"{held.key} changed while it was removed")

    def _see(self, node: Node) -> None:
        self._index = node.index
        self._seen_at = self.now()
