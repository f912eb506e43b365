"""What users of earlier systems rely on has an answer each: a test, a reason, or the part that is to come."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

TESTS = Path(__file__).parents[1]
SECTIONS: list[dict[str, Any]] = yaml.safe_load((TESTS / "cases.yaml").read_text())
CASES = [(name, case, section["part"]) for section in SECTIONS for name, case in section["cases"].items()]
PARTS = {"register", "discover", "proxy"}
ANSWERS = {"tests", "refused", "planned"}
NAMED = re.compile(r"(?P<file>[\w/]+\.py)(?:::(?P<test>\w+)(?:\[(?P<parameter>.+)\])?)?")
IDENTIFIER = re.compile(r"\b(?:E-[A-Z]\d+|R-N\d+|R-6|R-[BU](?![\w-])|D-\d+|F-\d+|A-\d+)\b")

every_case = pytest.mark.parametrize(("name", "case", "part"), CASES, ids=[name for name, _, _ in CASES])


@cache
def found_in(file: str) -> dict[str, frozenset[str]]:
    """Return the tests of a file, each with the texts that stand in its decorators: the ids of its parameters."""
    functions = [one for one in ast.walk(ast.parse((TESTS / file).read_text())) if isinstance(one, ast.FunctionDef)]
    return {one.name: texts_in(one.decorator_list) for one in functions if one.name.startswith("test")}


def texts_in(nodes: list[ast.expr]) -> frozenset[str]:
    """Return every text that stands somewhere in these expressions."""
    within = [one for node in nodes for one in ast.walk(node)]
    return frozenset(one.value for one in within if isinstance(one, ast.Constant) and isinstance(one.value, str))


def what_is_missing(named: str) -> str:
    """Return what of a test that is named does not exist, or nothing."""
    found = NAMED.fullmatch(named)
    if found is None or not (TESTS / found["file"]).exists():
        return f"{named}: there is no such file"
    if found["test"] and found["test"] not in found_in(found["file"]):
        return f"{named}: there is no such test"
    if found["parameter"] and found["parameter"] not in found_in(found["file"])[found["test"]]:
        return f"{named}: there is no such parameter"
    return ""


@every_case
def test_a_case_has_one_answer(name: str, case: dict[str, Any], part: str) -> None:
    """In our own words, with either tests, or the reason why not, or the part of Mooring that it waits for."""
    assert case.keys() - ANSWERS == {"case"}
    assert len(case.keys() & ANSWERS) == 1
    assert all(case.values())


@every_case
def test_the_tests_of_a_case_exist(name: str, case: dict[str, Any], part: str) -> None:
    """A test that is renamed or removed takes its cases along."""
    assert not [problem for named in case.get("tests", ()) if (problem := what_is_missing(named))]


@every_case
def test_nothing_of_register_waits(name: str, case: dict[str, Any], part: str) -> None:
    """What a registrar has to do is done, or refused with a reason."""
    assert part in PARTS
    assert part != "register" or "planned" not in case


def test_no_case_stands_twice() -> None:
    """One identifier, one answer."""
    names = [name for name, _, _ in CASES]
    assert len(names) == len(set(names))


def test_every_identifier_that_a_test_bears_is_a_case() -> None:
    """Whoever meets an identifier in a test finds here what it stands for."""
    borne = {
        (identifier, str(file.relative_to(TESTS)))
        for file in TESTS.rglob("test_*.py")
        for identifier in IDENTIFIER.findall(file.read_text())
        if file != Path(__file__)
    }
    assert not sorted(one for one in borne if one[0] not in {name for name, _, _ in CASES})
