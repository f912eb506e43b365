"""What a consumer may write."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import DescriptorError
from mooring.model import Address, Instance
from mooring.selector import Selector, parse_selector
from mooring_register.bindings.grammar import Wish, parse_wish

WHERE = "web: BACKEND_X"


def wish(name: str, port: int, proto: str = "tcp", **options: str) -> Wish:
    """Return a wish for whatever `name` selects."""
    return Wish(parse_selector(name), port, proto, options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("redis;6379", wish("redis", 6379), id="E-D1"),
        pytest.param("/services/prod/app1/80;80", wish("/services/prod/app1/80", 80), id="E-D2"),
        pytest.param("/services/prod/app1/80[prod,app1];80", wish("/services/prod/app1/80[prod,app1]", 80), id="E-D3"),
        pytest.param("db[master];5432/tcp;OPT=1;X=y;", wish("db[master]", 5432, OPT="1", X="y"), id="E-D4"),
        pytest.param("dns;53/udp", wish("dns", 53, "udp"), id="E-D5"),
        pytest.param("x;65535", wish("x", 65535), id="E-D8"),
        pytest.param("name;80;OPTION=V", wish("name", 80, OPTION="V"), id="current grammar with an option"),
        pytest.param("name;80;A=b=c", wish("name", 80, A="b=c"), id="an equals sign in an option"),
        pytest.param("name;80;FLAG;;", wish("name", 80, FLAG=""), id="a word without a value, a semicolon too many"),
        pytest.param("/services/*/db;5432", wish("/services/*/db", 5432), id="a pattern"),
    ],
)
def test_what_is_meant(text: str, expected: Wish) -> None:
    """Both of embassy's grammars are understood, each documented form as it is documented."""
    assert parse_wish(WHERE, text) == expected


def test_marathon_path() -> None:
    """E-D6: a Marathon path keeps its container port, and so selects that port of the app and no other."""
    read = parse_wish(WHERE, "/product/web/frontend/80;8080")
    of_port_80, of_port_81 = (
        Instance(service="x", id="t", address=Address("10.0.0.1", 31000), path=f"/product/web/frontend/{port}")
        for port in (80, 81)
    )
    assert (read.port, read.selector.selects(of_port_80), read.selector.selects(of_port_81)) == (8080, True, False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x;0", "expected a port"),
        ("x;65536", "expected a port"),
        ("x;70000", "expected a port"),
        ("x;123456", "expected a port"),
        (";80", "is empty"),
        ("x;", "expected a port"),
        ("x", "there is no ';'"),
        ("foo bar;80", "neither SERVICE nor"),
        ("a;x80", "expected a port"),
        ("x[;80", "neither SERVICE nor"),
        ("x[a b];80", "neither SERVICE nor"),
        ("x;80/sctp", "neither tcp nor udp"),
        ("", "there is no ';'"),
        ("x[];80", "neither SERVICE nor"),
        ("x[a,];80", "neither SERVICE nor"),
        ("x;80/", "neither tcp nor udp"),
        ("x;80;=v", "no name before its '='"),
        ("x;80;A=\ud800", "cannot be printed"),
        ("x;80;A=\n", "cannot be printed"),
        ("é" * 128 + ";80", "over 255 bytes"),
        ("x;80;A=" + "é" * 8192, "is over 16384 bytes long"),
    ],
)
def test_what_cannot_be_meant(text: str, reason: str) -> None:
    """E-D7: what is no wish is refused, with the variable and the reason."""
    with pytest.raises(DescriptorError, match=reason) as caught:
        parse_wish(WHERE, text)
    assert caught.value.where == WHERE


@pytest.mark.parametrize("text", ["http://user:hunter2@db/x", "hunter2", "x;hunter2", "hunter2 x;80", "x;80/hunter2"])
def test_no_secret_is_repeated(text: str) -> None:
    """A variable that bears the prefix by chance may hold a password: no reason repeats it."""
    with pytest.raises(DescriptorError) as caught:
        parse_wish(WHERE, text)
    assert "hunter2" not in str(caught.value)


WORDS = st.text("abzAZ09/._-*", min_size=1, max_size=12)


@given(
    WORDS,
    st.lists(WORDS, max_size=3),
    st.integers(1, 65535),
    st.sampled_from(["tcp", "udp"]),
    st.dictionaries(WORDS, st.text("ab =[]/,", max_size=5), max_size=3),
)
def test_what_is_written_is_read(name: str, tags: list[str], port: int, proto: str, options: dict[str, str]) -> None:
    """Whatever is written by the grammar is read as just that."""
    expected = Wish(Selector(name, tuple(tags)), port, proto, options)
    sections = [str(expected.selector), f"{port}/{proto}", *(f"{key}={value}" for key, value in options.items())]
    assert parse_wish(WHERE, ";".join(sections)) == expected


@given(st.text())
def test_anything_else_is_refused(text: str) -> None:
    """Any text at all is a wish or a typed error."""
    with suppress(DescriptorError):
        assert 0 < parse_wish(WHERE, text).port <= 65535
