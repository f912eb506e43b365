"""When a proxy that was asked to end stops accepting."""

from __future__ import annotations

import pytest

from mooring_proxy.sockets.leaving import FINAL_SECONDS, HOLDER_SECONDS, accepts_on


@pytest.mark.parametrize("seconds", [0.0, 10.0, 30.0])
def test_who_is_relieved_stops_at_once(seconds: float) -> None:
    """Another accepts in its place: nobody waits for anything."""
    assert not accepts_on(seconds, 30.0, is_relieved=True, outlives_us=False, has_earlier=True)


def test_who_is_alone_accepts_while_an_earlier_connection_is_open() -> None:
    """Its successor starts when it has ended, and that takes as long as the connection."""
    alone = {"is_relieved": False, "outlives_us": True}
    assert accepts_on(0.0, 30.0, has_earlier=True, **alone)
    assert accepts_on(24.9, 30.0, has_earlier=True, **alone)
    assert not accepts_on(0.0, 30.0, has_earlier=False, **alone)


@pytest.mark.parametrize(("drain_seconds", "stops_at"), [(30.0, 30.0 - FINAL_SECONDS), (4.0, 2.0), (0.0, 0.0)])
def test_the_last_part_of_the_drain_is_for_those_who_came_last(drain_seconds: float, stops_at: float) -> None:
    """Whatever else is so, nobody is accepted then: he might not be served to his end."""
    for outlives_us in (True, False):
        wants = {"is_relieved": False, "outlives_us": outlives_us, "has_earlier": True}
        assert not accepts_on(stops_at, drain_seconds, **wants)
        assert stops_at == 0 or accepts_on(stops_at - 0.01, drain_seconds, **wants)


def test_the_last_copy_of_a_socket_waits_for_the_holder_to_be_back() -> None:
    """With nothing open it would end at once, and take those in the queue along: it waits, but not for ever."""
    last = {"is_relieved": False, "has_earlier": False}
    assert accepts_on(HOLDER_SECONDS - 0.01, 30.0, outlives_us=False, **last)
    assert not accepts_on(HOLDER_SECONDS, 30.0, outlives_us=False, **last)
    assert not accepts_on(0.1, 30.0, outlives_us=True, **last)
