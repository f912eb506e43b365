"""What the words after `SERVICE_` mean, and what is wrong with their values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_register.labels.descriptor import Spot
from mooring_register.labels.words import split_list
from tests.unit.register.describing import described


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
def test_r_u(text: str, tags: tuple[str, ...]) -> None:
    """R-U: tags are split at commas that are not escaped, and empty ones are dropped."""
    assert split_list(text) == tags
    assert described(TAGS=text).tags == tags


@given(st.lists(st.text(alphabet="abc,", min_size=1)))
def test_tags_survive_escaping(tags: list[str]) -> None:
    """Any tags, their commas escaped, are read as they were."""
    assert split_list(",".join(tag.replace(",", r"\,") for tag in tags)) == tuple(tags)


def test_other_words_are_attributes() -> None:
    """Whatever has no meaning of its own is an attribute, in lower case; all else is in its own place."""
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
        NETWORK="front",
        PORT="80",
        **{"80": "alone"},
    )
    assert said.attributes == {"region": "eu", "x_y": "1", "80": "alone"}
    assert (said.checks, said.http) == ({"http": "/health"}, {"path": "/a"})
    assert (said.names, said.id, said.tags, said.weight, said.publish) == (("n",), "i", ("t",), 5, 80)
    assert (said.zone, said.problems) == ("z", ())


@pytest.mark.parametrize(("value", "ignored"), [("true", True), ("false", True), ("0", True), ("", False)])
def test_ignore(value: str, ignored: bool) -> None:
    """R-N12: any value but the empty one ignores, `false` too, as in registrator's version 7."""
    assert bool(described(IGNORE=value).ignored_by) is ignored


def test_ignore_one_port() -> None:
    """A port is ignored alone when the label names it."""
    assert described(80, **{"80_IGNORE": "1"}).ignored_by == "SERVICE_80_IGNORE"
    assert not described(443, **{"80_IGNORE": "1"}).ignored_by


def test_an_empty_value_takes_the_general_one_back() -> None:
    """Said for a port and empty, a word counts as not said there: one port of an ignored container can be let in."""
    labels = {"IGNORE": "1", "80_IGNORE": "", "NAME": "n", "80_NAME": ""}
    assert (described(80, **labels).ignored_by, described(80, **labels).names) == ("", ())
    assert (described(81, **labels).ignored_by, described(81, **labels).names) == ("SERVICE_IGNORE", ("n",))


@pytest.mark.parametrize(
    ("value", "names"),
    [("a,b", ("a", "b")), ("a, b,", ("a", "b")), ("a,a", ("a",)), (r"a\,b", ("a,b",)), ("a/v1,b", ("a/v1", "b"))],
)
def test_several_names(value: str, names: tuple[str, ...]) -> None:
    """A port can have several names, each counting once; a comma within one is escaped as in tags."""
    assert (described(NAME=value).names, described(NAME=value).problems) == (names, ())


def test_one_wrong_name_of_several() -> None:
    """A name that cannot be used is reported, and the others count."""
    said = described(NAME="a,b//c")
    assert (said.names, said.is_usable) == (("a",), True)
    assert [str(one) for one in said.problems] == ["web.1: SERVICE_NAME='a,b//c': 'b//c' has an empty segment"]


@pytest.mark.parametrize("value", [",,", " ", "a//b", "/", "x" * 300])
def test_no_usable_name(value: str) -> None:
    """A port that was given a name and has none that can be used is not registered under another one."""
    assert (described(NAME=value).is_usable, len(described(NAME=value).problems)) == (False, 1)


def test_unusable_id() -> None:
    """A port whose id cannot be used is not registered under another one: somebody refers to the id."""
    said = described(NAME="a", ID="x//y")
    assert (said.names, said.id, said.is_usable, len(said.problems)) == (("a",), "", False, 1)


def test_every_problem_is_reported() -> None:
    """All problems of a container are found, each naming label, value and reason; what can fall back does."""
    said = described(WEIGHT="heavy", PUBLISH="70000", NAME="a//b", ID="x\ty", ZONE="a\nb")
    assert [problem.where for problem in said.problems] == [
        "web.1: SERVICE_NAME='a//b'",
        "web.1: SERVICE_ID='x\\ty'",
        "web.1: SERVICE_WEIGHT='heavy'",
        "web.1: SERVICE_PUBLISH='70000'",
        "web.1: SERVICE_ZONE='a\\nb'",
    ]
    assert (said.weight, said.publish, said.zone, said.is_usable) == (100, None, "", False)
    assert "empty segment" in said.problems[0].reason


def test_weight_zero() -> None:
    """A weight of 0 is a weight: no new connection, and no problem."""
    assert (described(WEIGHT="0").weight, described(WEIGHT="0").problems) == (0, ())


def test_long_values_are_cut() -> None:
    """An error does not repeat a value of any length."""
    problem = described(WEIGHT="x" * 5000).problems[0]
    assert len(str(problem)) < 200


def test_checks() -> None:
    """All words of registrator's checks are passed on, for one port too (R-C); an empty one says nothing."""
    said = described(
        CHECK_HTTP="/health",
        CHECK_HTTP_METHOD="POST",
        CHECK_INTERVAL="15s",
        CHECK_DEREGISTER_AFTER="1h10m",
        CHECK_INITIAL_STATUS="passing",
        CHECK_TCP="",
        **{"80_CHECK_TIMEOUT": "500ms"},
    )
    assert said.problems == ()
    assert said.checks == {
        "http": "/health",
        "http_method": "POST",
        "interval": "15s",
        "deregister_after": "1h10m",
        "initial_status": "passing",
        "timeout": "500ms",
    }


def test_r_m_checks_for_a_port() -> None:
    """R-M: a port's own word wins over the general one, and the other ports keep that."""
    labels = {"CHECK_INTERVAL": "25s", "CHECK_TIMEOUT": "15s", "80_CHECK_TIMEOUT": "10s"}
    assert described(80, **labels).checks == {"interval": "25s", "timeout": "10s"}
    assert described(180, **labels).checks == {"interval": "25s", "timeout": "15s"}


@pytest.mark.parametrize("value", ["5", "s", "-1s", "1 s", "ten seconds"])
def test_wrong_duration(value: str) -> None:
    """A duration without a unit is nobody's: it is reported and left out."""
    said = described(CHECK_INTERVAL=value, CHECK_HTTP="/")
    assert said.checks == {"http": "/"}
    assert [one.reason for one in said.problems] == ["expected a duration such as 10s or 1m30s"]


def test_unknown_words_of_checks_and_http() -> None:
    """A word that nobody knows is reported with those that are known."""
    said = described(CHECK_INTERVALL="1s", HTTP_PREFIX="/")
    assert (said.checks, said.http) == ({}, {})
    assert [one.reason.partition(";")[0] for one in said.problems] == ["there is no such word"] * 2
    assert "INTERVAL," in said.problems[0].reason
    assert said.problems[1].reason.endswith("HOST, IGNORE_CASE, PATH, STRIP")


def test_http() -> None:
    """Path, hosts and how the path is compared are said each in one word; hosts are known in lower case."""
    said = described(HTTP_PATH="/a/b", HTTP_HOST="A.example, *.b.example", HTTP_STRIP="yes", HTTP_IGNORE_CASE="0")
    assert said.problems == ()
    assert said.http == {
        "path": "/a/b",
        "hosts": ["a.example", "*.b.example"],
        "strip": True,
        "ignore_case": False,
    }


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("HTTP_PATH", "a"),
        ("HTTP_PATH", "/a b"),
        ("HTTP_PATH", "/a?b"),
        ("HTTP_PATH", "/a\nb"),
        ("HTTP_HOST", "a b"),
        ("HTTP_HOST", "*"),
        ("HTTP_STRIP", "maybe"),
        ("HTTP_STRIP", "true"),
    ],
)
def test_wrong_http(word: str, value: str) -> None:
    """What cannot be a path or a host never gets into a proxy's configuration; stripping needs a path."""
    said = described(80, {f"SERVICE_{word}": value})
    assert (said.http, len(said.problems)) == ({}, 1)
    assert said.problems[0].where.startswith(f"web.1: SERVICE_{word}=")


def test_http_is_not_for_udp() -> None:
    """A port over UDP speaks no HTTP, whatever is said of all ports."""
    said = described(Spot(80, "udp"), HTTP_PATH="/a", TAGS="rest")
    assert (said.http, said.is_rest, said.problems) == ({}, False, ())


@pytest.mark.parametrize(("tags", "is_rest"), [("rest", True), ("a,rest", True), ("REST", False), ("resting", False)])
def test_rest(tags: str, is_rest: bool) -> None:
    """The tag `rest`, written so, means HTTP."""
    assert described(TAGS=tags).is_rest is is_rest


def test_kind() -> None:
    """`SERVICE_KIND=proxy` marks a proxy; any other kind is an attribute like others."""
    assert (described(KIND="Proxy").kind, described(KIND="Proxy").attributes) == ("proxy", {})
    assert (described(KIND="batch").kind, described(KIND="batch").attributes) == ("", {"kind": "batch"})
