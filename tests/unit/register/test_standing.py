"""Which loop of a register stands still."""

from __future__ import annotations

import pytest
from attrs import evolve

from mooring_register.standing import Standing

TURNING = Standing(owner_seconds=0.5, keep_alive_seconds=4.9, listed_seconds=61.0, ttl_seconds=15, resync_seconds=60.0)


@pytest.mark.parametrize(
    "standing",
    [
        TURNING,
        evolve(TURNING, owner_seconds=30.0, keep_alive_seconds=75.0),
        evolve(TURNING, listed_seconds=240.0),
        evolve(TURNING, owner_seconds=None, keep_alive_seconds=None, listed_seconds=None),
    ],
    ids=["turning", "as-long-as-it-renews", "missed-listings", "nothing-begun"],
)
def test_loops_that_turn_are_well(standing: Standing) -> None:
    """A turn that is late is none that never comes; what has not begun, or waits for an engine, is not asked."""
    assert standing.standstill() is None


def test_a_loop_that_stands_still_is_named() -> None:
    """The owner when its lease is renewed no more, who renews it, the inspector when comparisons did not even fail."""
    assert evolve(TURNING, owner_seconds=31.0).standstill() == "the owner of the state has made no turn for 31 s"
    said = evolve(TURNING, keep_alive_seconds=76.0).standstill()
    assert said == "what keeps this host alive has made no turn for 76 s"
    said = evolve(TURNING, listed_seconds=241.0).standstill()
    assert said == "nothing was compared for 241 s, though the engine is not lost"
