"""What a template of the operator may say, and what is said when it cannot be meant."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_register.labels.templates import (
    OUTPUT_MOST_CHARACTERS,
    Template,
    parse_attribute,
    parse_name,
    parse_tags,
    parse_template,
    split_words,
)

# Pieces of which templates are made, so that chance finds those that can be read.
PIECES = st.sampled_from(
    [
        *("{{ ", " }}", "{% if ", "{% endif %}", "{% for x in ", "{# ", " #}", " %}", "\\,", ",", " ", "a", "'", "|"),
        *("name", "labels", "['x']", "service", " | join", " | length", "environment", ".PASSWORD", "~", "-", "\n"),
        *("name.__class__", ".__globals__", "range(3)", "self", "namespace()", ".items()", "id.format", "('x')"),
    ]
)
TEXTS = st.one_of(st.text(max_size=20), st.lists(PIECES, max_size=8).map("".join))
SEEN = {"name": "web.1", "labels": {"x": "1,2"}, "service": "web", "environment": {}, "id": "c1"}


def texts(templates: tuple[Template, ...]) -> list[str]:
    """Return the templates of a list, one by one."""
    return [one.text for one in templates]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ name", "template '{{ name', line 1: unexpected end of template"),
        ("a\n{% if %}", "line 2: "),
        ("{{ name | nope }}", "line 1: No filter named 'nope'."),
        ("{{ nmae }}", "there is no nmae; there are address, compose, environment, host, hostname, id, image, ip, "),
        ("{{ Config.Env }}", "there is no Config; there are"),
        ("{{.Config.Hostname}}", "(this is Jinja2, not Go: {{ hostname }}, not {{.Config.Hostname}})"),
        ("{{ strSlice .ID 0 12 }}", "(this is Jinja2, not Go: "),
        ("{% include '/etc/passwd' %}", "line 1: there is no other template to load"),
        ("{% import 'x' as y %}", "there is no other template to load"),
        ("{% extends 'x' %}", "there is no other template to load"),
        ("{{ [1, 2] | random }}", "No filter named 'random'"),
        ("{{ lipsum() }}", "there is no lipsum"),
    ],
)
def test_what_cannot_be_meant(text: str, reason: str) -> None:
    """What is wrong whatever the container is said when the template is read, with its line."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_template("--tags", text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ labels.none }}", "UndefinedError: 'dict object' has no attribute 'none'"),
        ("{{ name.__class__.__mro__ }}", "SecurityError"),
        ("{{ labels.update(x='2') }}", "SecurityError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
        ("{{ name + 1 }}", "TypeError: "),
        ("{{ range(1000000) | list }}", "OverflowError: "),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError: "),
        ("a\x07b", "it comes to a text with a control character"),
        ("{{ name ~ '\\n' ~ name }}", "it comes to a text with a control character"),
        ("{{ '\\ud800' }}", "it comes to half a character"),
        ("{{ 'x' * 5000 }}", f"it comes to 5000 characters, more than {OUTPUT_MOST_CHARACTERS}"),
    ],
)
def test_what_fails_for_a_container(text: str, reason: str) -> None:
    """Whatever fails while a template is rendered has one kind of error, which says what it was."""
    template = parse_template("--tags", text)
    with pytest.raises(ValueError, match=re.escape(reason)):
        template.render(SEEN)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        (" , ,", []),
        ("eu,host-{{ name }}", ["eu", "host-{{ name }}"]),
        ("{{ [name, id] | join(',') }},b", ["{{ [name, id] | join(',') }}", "b"]),
        (r"a\,b,c", [r"a\,b", "c"]),
        ("{# a, b #}a,{{ {'a': {'b': name}} }},c", ["{# a, b #}a", "{{ {'a': {'b': name}} }}", "c"]),
        (
            "{% for one in networks %}{{ one }},{% endfor %}x,y",
            ["{% for one in networks %}{{ one }},{% endfor %}x,y"],
        ),
    ],
)
def test_a_list_of_templates(text: str, items: list[str]) -> None:
    """Commas outside of what Jinja2 reads divide a list of tags; with a statement in it, it is one template."""
    assert texts(parse_tags(text)) == items


def test_a_wrong_one_among_several() -> None:
    """One wrong template makes the whole list wrong."""
    with pytest.raises(ValueError, match="unexpected end of template"):
        parse_tags("eu,{{ name")


def test_an_empty_name() -> None:
    """A template that names nothing would leave every container out, and is refused."""
    with pytest.raises(ValueError, match="it is empty: no service would have a name"):
        parse_name(" ")


def test_names_that_a_template_mentions() -> None:
    """A template knows on which names it depends."""
    template = parse_name("{% set x = port %}{{ service }}-{{ x }}")
    assert [template.mentions(name) for name in ("service", "port", "published")] == [True, True, False]


def test_an_attribute() -> None:
    """An attribute has a key in lower case, and a template that may hold `=`."""
    key, template = parse_attribute("TEAM={{ 'a=b' }}")
    assert (key, template.option, template.render({})) == ("team", "--attribute team", "a=b")


@pytest.mark.parametrize("text", ["team", "=x", "a b=x", "a,b=x", "a/b=x"])
def test_what_is_no_attribute(text: str) -> None:
    """What has no key, or an impossible one, is refused."""
    with pytest.raises(ValueError, match="expected KEY=TEMPLATE, got"):
        parse_attribute(text)


@pytest.mark.parametrize("key", ["name", "ID", "tags", "ignore", "network", "port", "kind"])
def test_words_that_are_not_for_all(key: str) -> None:
    """What tells containers apart, or has an option of its own, is no default of all."""
    with pytest.raises(ValueError, match=f"'{key}' cannot be said of all containers"):
        parse_attribute(f"{key}=x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" a=1  b=2 ", ["a=1", "b=2"]),
        ("a={{ name | toUpper }} b={{ 'x y' }}", ["a={{ name | toUpper }}", "b={{ 'x y' }}"]),
        ("a={{ name b=2", ["a={{ name b=2"]),
    ],
)
def test_several_in_one_variable(text: str, words: list[str]) -> None:
    """Spaces divide the templates of an environment variable, but not those within one."""
    assert split_words(text) == words


@given(TEXTS)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever an operator writes is refused, or fails, or always comes to the same text; nothing else is raised."""
    try:
        template = parse_template("--tags", text)
        comes_to = template.render(SEEN)
    except ValueError:
        return
    assert comes_to == comes_to.strip()
    assert comes_to.isprintable() or not comes_to.isascii()
    assert template.render(SEEN) == comes_to


@given(TEXTS)
def test_nothing_is_lost_between_the_items(text: str) -> None:
    """A list of templates is divided at commas only: put together again it is what it was, but for white space."""
    try:
        items = texts(parse_tags(text))
    except ValueError:
        return
    assert "".join("".join(items).replace(",", "").split()) == "".join(text.replace(",", "").split())
