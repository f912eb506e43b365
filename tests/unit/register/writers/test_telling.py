"""How often a writer tells of a problem."""

from prometheus_client import REGISTRY

from mooring.errors import IdTaken
from mooring_register.writers.telling import Problems


def is_told(problems: Problems, number: int) -> bool:
    """Tell of a problem, and say whether it was counted."""
    before = REGISTRY.get_sample_value("mooring_register_problems_total")
    problems.tell(IdTaken("web", f"id {number} is held"))
    return REGISTRY.get_sample_value("mooring_register_problems_total") != before


def test_a_problem_is_told_once() -> None:
    """What was told already is not told again, however often it is found."""
    problems = Problems()
    assert [is_told(problems, number) for number in (1, 1, 2, 1)] == [True, False, True, False]


def test_only_so_many_problems_are_remembered() -> None:
    """Ever new containers with problems do not make a register grow: the oldest are forgotten, and new again."""
    problems = Problems(most_remembered=2)
    assert [is_told(problems, number) for number in (1, 2, 3, 3, 2, 1)] == [True, True, True, False, False, True]
