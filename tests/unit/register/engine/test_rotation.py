"""Whose turn it is to be inspected."""

import pytest

from mooring_register.engine.rotation import Rotation

ROUND_SECONDS = 600


def rotation_of(count: int) -> tuple[Rotation, list[str]]:
    """Return a rotation that counts from 0 on, and its containers, the one that was inspected first first."""
    rotation, there = Rotation(), [str(number) for number in range(count)]
    for one in there:
        rotation.inspected(one)
    assert rotation.due(0.0) == ()
    return rotation, there


@pytest.mark.parametrize("count", [1, 7, 600, 10_000])
@pytest.mark.parametrize("turn_seconds", [0.01, 1.0])
def test_each_within_ten_minutes(count: int, turn_seconds: float) -> None:
    """Everybody is inspected once in ten minutes, in turn, and never many at a time."""
    rotation, there = rotation_of(count)
    inspected: list[str] = []
    turns = round(ROUND_SECONDS / turn_seconds)
    for turn in range(1, turns + 2):
        due = rotation.due(turn * turn_seconds)
        assert len(due) <= 1 + count * turn_seconds / ROUND_SECONDS
        inspected += due
        for one in due:
            rotation.inspected(one)
    assert inspected[:count] == there
    assert len(inspected) <= 1 + count + count * turn_seconds / ROUND_SECONDS


def test_after_a_long_sleep() -> None:
    """What was missed meanwhile is made up for a few at a time, and only once."""
    rotation, there = rotation_of(200)
    taken: list[str] = []
    for _ in range(20):
        due = rotation.due(100_000.0)
        assert len(due) <= 50
        taken += due
        for one in due:
            rotation.inspected(one)
    assert taken == there


def test_a_clock_that_was_put_back() -> None:
    """It makes nobody be inspected, and the time from then on counts."""
    rotation, there = rotation_of(10)
    assert rotation.due(-500.0) == ()
    assert rotation.due(-440.0) == (there[0],)


def test_who_is_left_out() -> None:
    """Who is gone, forgotten or left out has no turn; who was inspected meanwhile comes last."""
    rotation, _ = rotation_of(5)
    rotation.forget("0")
    rotation.inspected("1")
    rotation.keep_only({"1", "2", "3"})
    assert rotation.due(6000.0, left_out={"3"}) == ("2", "1")
