"""How long to wait, as arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.backoff import Backoff

SECONDS = st.floats(0.001, 1000)


def after(backoff: Backoff, failures: int) -> Backoff:
    """Return the backoff after that many failures."""
    for _ in range(failures):
        backoff = backoff.next()
    return backoff


def test_delay_doubles_up_to_its_bound() -> None:
    """Without jitter taken off, the delays double until they reach the most."""
    delays = [after(Backoff(0.1, 1.0), failures).delay_seconds(1.0) for failures in range(6)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


@given(SECONDS, SECONDS, st.integers(0, 5000), st.floats(0, 1))
def test_delay_is_bounded_whatever_happens(first: float, most: float, failures: int, jitter: float) -> None:
    """However many failures, a delay is neither zero nor above the most, and jitter takes off half at the most."""
    backoff = Backoff(first, most, failures)
    whole = backoff.delay_seconds(1.0)
    assert 0 < backoff.delay_seconds(0.0) == pytest.approx(whole / 2)
    assert backoff.delay_seconds(0.0) <= backoff.delay_seconds(jitter) <= whole <= most
    assert backoff.next().delay_seconds(jitter) >= backoff.delay_seconds(jitter)


@pytest.mark.parametrize(("first", "most"), [(0, 1), (1, 0), (-1, 1)])
def test_delay_without_length_is_refused(first: float, most: float) -> None:
    """A backoff that would not wait at all cannot be made."""
    with pytest.raises(ValueError, match="_seconds"):
        Backoff(first, most)
