"""What labels and variables say about a port."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_register.descriptor import PortDescriptor, describe_port, read_descriptor, split_tags


def described(port: int = 80, env: Mapping[str, str] | None = None, /, **labels: str) -> PortDescriptor:
    """Return what a container with these labels (without their `SERVICE_`) says about a port."""
    prefixed = {f"SERVICE_{key}": value for key, value in labels.items()}
    return describe_port(read_descriptor("web.1", prefixed, env or {}), port)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", ()),
        ("foobar", ("foobar",)),
        ("foo,bar", ("foo", "bar")),
        (r"foo\,bar", ("foo,bar",)),
        (r"foo,bar\,baz", ("foo", "bar,baz")),
        (r"\,foobar\,", (",foobar,",)),
        (",,,,foo,,,bar,,,", ("foo", "bar")),
        (",,,,", ()),
        (r",,\,,", (",",)),
        ("foo, bar", ("foo", "bar")),
    ],
)
def test_split_tags(text: str, tags: tuple[str, ...]) -> None:
    """Tags are split at commas that are not escaped, and empty ones are dropped (R-U)."""
    assert split_tags(text) == tags


@given(st.lists(st.text(alphabet="abc,", min_size=1)))
def test_tags_survive_escaping(tags: list[str]) -> None:
    """Any tags, their commas escaped, are read as they were."""
    assert split_tags(",".join(tag.replace(",", r"\,") for tag in tags)) == tuple(tags)


def test_label_beats_variable() -> None:
    """R-N9: a label wins over a variable of the same name."""
    assert described(80, {"SERVICE_NAME": "b"}, NAME="a").name == "a"


def test_port_beats_general() -> None:
    """R-N10: what is said for a port wins, though a variable says it and a label says the general."""
    said = described(80, {"SERVICE_80_NAME": "x"}, NAME="y", TAGS="t")
    assert (said.name, said.name_is_for_port, said.tags) == ("x", True, ("t",))
    assert described(443, {"SERVICE_80_NAME": "x"}, NAME="y").name == "y"


def test_other_words_are_attributes() -> None:
    """Whatever has no meaning of its own is an attribute, in lower case; checks are apart, reserved words nowhere."""
    said = described(
        REGION="eu",
        X_Y="1",
        CHECK_HTTP="/health",
        HTTP_PATH="/a",
        ZONE="z",
        NAME="n",
        ID="i",
        TAGS="t",
        WEIGHT="5",
        PUBLISH="80",
        **{"80": "alone"},
    )
    assert said.attributes == {"region": "eu", "x_y": "1", "80": "alone"}
    assert said.checks == {"http": "/health"}
    assert (said.name, said.id, said.tags, said.weight, said.publish) == ("n", "i", ("t",), 5, 80)


@pytest.mark.parametrize(("value", "ignored"), [("true", True), ("false", True), ("0", True), ("", False)])
def test_ignore(value: str, ignored: bool) -> None:
    """R-N12: any value but the empty one ignores, `false` too, as in registrator's version 7."""
    assert bool(described(IGNORE=value).ignored_by) is ignored


def test_ignore_one_port() -> None:
    """A port is ignored alone when the label names it."""
    assert described(80, **{"80_IGNORE": "1"}).ignored_by == "SERVICE_80_IGNORE"
    assert not described(443, **{"80_IGNORE": "1"}).ignored_by


def test_every_problem_is_reported() -> None:
    """All problems of a container are found, each naming label, value and reason; what can fall back does."""
    said = described(WEIGHT="heavy", PUBLISH="70000", NAME="a//b", ID="x\ty")
    assert [problem.where for problem in said.problems] == [
        "web.1: SERVICE_NAME='a//b'",
        "web.1: SERVICE_ID='x\\ty'",
        "web.1: SERVICE_WEIGHT='heavy'",
        "web.1: SERVICE_PUBLISH='70000'",
    ]
    assert (said.weight, said.publish, said.is_usable) == (100, None, False)
    assert "empty segment" in said.problems[0].reason


def test_weight_zero() -> None:
    """A weight of 0 is a weight: no new connection, and no problem."""
    assert (described(WEIGHT="0").weight, described(WEIGHT="0").problems) == (0, ())


@given(st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), st.text()), st.integers(1, 65535))
def test_anything_can_be_read(labels: dict[str, str], env: dict[str, str], port: int) -> None:
    """No label and no variable, whatever it holds, does more harm than a reported problem."""
    prefixed = {f"SERVICE_{key}": value for key, value in labels.items()}
    describe_port(read_descriptor("web.1", prefixed, env), port)


def test_long_values_are_cut() -> None:
    """An error does not repeat a value of any length."""
    problem = described(WEIGHT="x" * 5000).problems[0]
    assert len(str(problem)) < 200
