"""When a proxy that was asked to end stops accepting. Pure.

A proxy that closes its door at once leaves its clients waiting until its successor is up, and a successor in the same
place (a container that is restarted) is started only when the old one has ended: with one long-lived connection that is
the whole drain. So who is alone accepts on while what it had is still open. What it accepts now, it must still be able
to finish: the last part of the drain is for that alone.
"""

from __future__ import annotations

from typing import Final

# What is left of the drain for those that were accepted last: this much, or half when the drain is short.
FINAL_SECONDS: Final = 5.0
# A socket that nobody else has dies with us. The holder is perhaps being restarted: it is given this long to be back.
HOLDER_SECONDS: Final = 5.0


def accepts_on(
    seconds: float, drain_seconds: float, *, is_relieved: bool, outlives_us: bool, has_earlier: bool
) -> bool:
    """Tell whether a proxy still accepts, that many seconds after it was asked to end.

    `is_relieved`: another accepts in its place. `outlives_us`: the sockets, with those who wait in their queues, are
    held by somebody else too. `has_earlier`: connections are open that were open when it was asked.
    """
    if is_relieved or seconds >= drain_seconds - min(FINAL_SECONDS, drain_seconds / 2):
        return False
    return has_earlier or (not outlives_us and seconds < HOLDER_SECONDS)
