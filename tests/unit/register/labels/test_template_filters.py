"""registrator's functions in templates, by the examples of its documentation."""

import re

import pytest

from mooring_register.labels.templates import parse_template

ID = "e20f9c1a76565d62ae24a3bb877b17b862b6eab94f4e95a0e07ccf25087aaf4f"
SEEN = {
    "id": ID,
    "hostname": "web-eu-1",
    "labels": {"a.b": "1", "doc": '{"city": {"name": "Riga", "zip": [1], "open": true}}', "bad": "{"},
    "networks": ["ENVIRONMENT=test", "b", "last"],
    "compose": [],
    "port": 80,
}


def rendered(expression: str) -> str:
    """Return what an expression comes to."""
    return parse_template("--tags", "{{ " + expression + " }}").render(SEEN)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        pytest.param("id | strSlice(0, 12)", "e20f9c1a7656", id="R-T strSlice"),
        ("hostname | strSlice(4)", "eu-1"),
        ("hostname | strSlice(4, 6)", "eu"),
        ("hostname | strSlice(4, 2)", "eu-1"),
        ("hostname | strSlice(99)", "web-eu-1"),
        ("hostname | strSlice(0, 99)", "web-eu-1"),
        pytest.param("networks | sIndex(0)", "ENVIRONMENT=test", id="R-T sIndex 0"),
        pytest.param("networks | sIndex(-1)", "last", id="R-T sIndex -1"),
        pytest.param("networks | sIndex(9)", "last", id="R-T sIndex out of range"),
        ("networks | sIndex(-9)", "ENVIRONMENT=test"),
        ("labels | mIndex('a.b')", "1"),
        ("labels | mIndex('none')", ""),
        ("hostname | toUpper", "WEB-EU-1"),
        ("hostname | toUpper | toLower", "web-eu-1"),
        ("hostname | replace(-1, '-', '.')", "web.eu.1"),
        ("hostname | replace(1, '-', '.')", "web.eu-1"),
        ("hostname | replace('-', '.')", "web.eu.1"),
        ("hostname | replace('-', '.', 1)", "web.eu-1"),
        ("networks | join(':')", "ENVIRONMENT=test:b:last"),
        ("hostname | split('-') | join('+')", "web+eu+1"),
        ("hostname | splitIndex(1, '-')", "eu"),
        ("hostname | splitIndex(-1, '-')", "1"),
        ("hostname | splitIndex(7, '-')", "1"),
        ("networks | matchFirstElement('^(b|last)$')", "b"),
        ("networks | matchFirstElement('none')", ""),
        ("networks | matchAllElements('^(b|last)$') | join('+')", "b+last"),
        ("labels.doc | jsonParse('city::name')", "Riga"),
        ("labels.doc | jsonParse('city::zip')", "[1]"),
        ("labels.doc | jsonParse('city::open')", "true"),
    ],
)
def test_functions(expression: str, expected: str) -> None:
    """R-T: each function is a filter of registrator's name and does what it did there."""
    assert rendered(expression) == expected


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("compose | sIndex(0)", "sIndex of an empty list"),
        ("hostname | strSlice(-1)", "strSlice expects one or two numbers from 0 on"),
        ("hostname | strSlice()", "strSlice expects one or two numbers from 0 on"),
        ("hostname | replace('-')", "replace expects (COUNT, OLD, NEW) or (OLD, NEW)"),
        ("labels.doc | jsonParse('city::mayor')", "jsonParse finds no 'mayor' of 'city::mayor'"),
        ("labels.doc | jsonParse('city::name::x')", "jsonParse finds no 'x' of 'city::name::x'"),
        ("labels.bad | jsonParse('x')", "JSONDecodeError: "),
        ("networks | matchFirstElement('(')", "missing ), unterminated subpattern"),
        ("networks | matchFirstElement('a' * 300)", "the pattern is over 256 characters long"),
        ("labels.none | toUpper", "has no attribute 'none'"),
    ],
)
def test_what_a_function_cannot_do(expression: str, reason: str) -> None:
    """Where registrator ended with all its containers, one container gets a problem with the reason."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        rendered(expression)


def test_no_network() -> None:
    """The function `httpGet` is refused when a template is read, for none may wait for a network."""
    with pytest.raises(ValueError, match="httpGet is not offered: a template must not wait for a network"):
        rendered("'http://127.0.0.1' | httpGet")
