"""Which loop of a register stands still."""

from __future__ import annotations

import pytest
from attrs import evolve

from mooring_register.standing import Standing

TURNING = Standing(owner_seconds=0.5, listed_seconds=61.0, ttl_seconds=15, resync_seconds=60.0)


@pytest.mark.parametrize(
    "standing",
    [
        TURNING,
        evolve(TURNING, owner_seconds=30.0),
        evolve(TURNING, listed_seconds=240.0),
        evolve(TURNING, owner_seconds=None, listed_seconds=None),
    ],
    ids=["turning", "as-long-as-it-renews", "missed-listings", "nothing-begun"],
)
def test_loops_that_turn_are_well(standing: Standing) -> None:
    """A turn that is late is none that never comes; what has not begun, or waits for an engine, is not asked."""
    assert standing.standstill() is None


def test_a_loop_that_stands_still_is_named() -> None:
    """The owner when its lease is no longer renewed, the inspector when comparisons are missing that did not fail."""
    assert evolve(TURNING, owner_seconds=31.0).standstill() == "the owner of the state has made no turn for 31 s"
    said = evolve(TURNING, listed_seconds=241.0).standstill()
    assert said == "nothing was compared for 241 s, though the engine is not lost"
