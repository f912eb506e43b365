"""How long to wait before the next attempt: exponential, bounded, with jitter. No clock and no dice of its own."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import gt


@frozen
class Backoff:
    """Delays that double from `first_seconds` up to `most_seconds`.

    Immutable: `next()` gives the policy after one more failure, `reset` is simply the value one started with.
    """

    first_seconds: float = field(default=0.1, validator=gt(0))
    most_seconds: float = field(default=5.0, validator=gt(0))
    failures: int = 0

    def next(self) -> Backoff:
        """Return the backoff after one more failure."""
        return Backoff(self.first_seconds, self.most_seconds, self.failures + 1)

    def delay_seconds(self, jitter: float) -> float:
        """Return how long to wait; `jitter` in [0, 1] spreads the upper half of the delay.

        Spreading keeps a hundred proxies that lost the same Redis from coming back in the same millisecond.
        """
        # 2.0**1023 is the largest power that a float holds; the bound makes the exponent irrelevant long before.
        whole = min(self.most_seconds, self.first_seconds * 2.0 ** min(self.failures, 64))
        return whole * (0.5 + 0.5 * jitter)
