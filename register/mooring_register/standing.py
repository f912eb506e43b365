"""Whether a register's loops still turn, which is what `/healthz` is about. Pure.

A registry or an engine that does not answer is no reason: whoever waits for it turns. What is found here is a bug, or a
machine that gives no time; the watchdog ends the process a little later, if it is the owner of the state.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

# A listing that failed is told, and so is an engine that is lost; one that neither ends nor fails stands still.
_MISSED_LISTINGS: Final = 3
_LONGEST_LISTING_SECONDS: Final = 60.0
# An attempt to renew ends, in vain or not: each of several endpoints that do not answer is given some seconds.
_LONGEST_ATTEMPT_SECONDS: Final = 60.0
_MISSED_RENEWALS_TTLS: Final = 2


@frozen(kw_only=True)
class Standing:
    """How long ago each loop turned; None for one that has not begun, or has nothing to turn for."""

    owner_seconds: float | None
    keep_alive_seconds: float | None
    listed_seconds: float | None
    ttl_seconds: int
    resync_seconds: float

    def standstill(self) -> str | None:
        """Return which loop stands still, or None."""
        if self.owner_seconds is not None and self.owner_seconds > _MISSED_RENEWALS_TTLS * self.ttl_seconds:
            return f"the owner of the state has made no turn for {self.owner_seconds:.0f} s"
        if (
            self.keep_alive_seconds is not None
            and self.keep_alive_seconds > self.ttl_seconds + _LONGEST_ATTEMPT_SECONDS
        ):
            return f"what keeps this host alive has made no turn for {self.keep_alive_seconds:.0f} s"
        longest = _MISSED_LISTINGS * self.resync_seconds + _LONGEST_LISTING_SECONDS
        if self.listed_seconds is not None and self.listed_seconds > longest:
            return f"nothing was compared for {self.listed_seconds:.0f} s, though the engine is not lost"
        return None
