"""Which containers failed, and until when that is so."""

import pytest
from attrs import evolve

from mooring_register.containers import Container
from mooring_register.deregistration import Failure, failures_after, is_failure
from mooring_register.observations import Died, Gone, Inspected, Listed, Lost, Observation

WEB = Container(id="c1", name="/web.1")
FAILED = {"c1": Failure("exited 1", 900.0)}


@pytest.mark.parametrize(
    ("exit_code", "fails"), [(0, False), (1, True), (3, True), (127, True), (137, False), (143, False)]
)
def test_what_counts_as_a_failure(exit_code: int, fails: bool) -> None:
    """[R-L] To end with an error is one; to end well, or by a signal that somebody sent, is none."""
    assert is_failure(exit_code) is fails
    assert bool(failures_after({}, Died("c1", exit_code, 900.0))) is fails


@pytest.mark.parametrize(
    "observation",
    [
        Died("c1", 1, 900.0),
        Inspected(evolve(WEB, running=False, exit_code=1), "updated", 900.0),
        Inspected(evolve(WEB, restarting=True, exit_code=1), "updated", 900.0),
        Listed(frozenset(), (evolve(WEB, running=False, exit_code=1),), 900.0, exited={"c1": 1}),
        Listed(frozenset(), (), 900.0, exited={"c1": 1, "c2": 0}),
    ],
    ids=["died", "inspected", "restarting", "ended meanwhile", "listed"],
)
def test_a_failure_is_seen_however_it_is_told(observation: Observation) -> None:
    """By an event, by an inspection, between two lives, or in a listing of what ended long ago."""
    assert failures_after({}, observation) == FAILED


@pytest.mark.parametrize(
    "observation",
    [Inspected(WEB, "started", 950.0), Gone("c1", 950.0), Listed(frozenset({"c2"}), (), 950.0, exited={"c2": 0})],
    ids=["runs again", "removed", "no longer listed"],
)
def test_a_failure_ends(observation: Observation) -> None:
    """With the container's next life, or with the container."""
    assert failures_after(FAILED, observation) == {}


@pytest.mark.parametrize(
    "observation",
    [
        Died("c1", 2, 950.0),
        Inspected(evolve(WEB, running=False, exit_code=1), "updated", 950.0),
        Listed(frozenset(), (), 950.0, exited={"c1": 1}),
        Listed(frozenset({"c1"}), (), 950.0),
        Gone("c2", 950.0),
        Lost("refused", 950.0),
    ],
    ids=["dies again", "inspected", "listed", "between two lives", "another is gone", "the engine is lost"],
)
def test_a_failure_that_is_known_is_no_news(observation: Observation) -> None:
    """It stays the very same value, so that nobody compares anything."""
    assert failures_after(FAILED, observation) is FAILED
