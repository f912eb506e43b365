"""Of which ports labels and variables speak, and which of them wins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_register.labels.descriptor import (
    LABEL_MOST_BYTES,
    NO_PORT,
    Spot,
    describe_port,
    read_descriptor,
    spoken_of_in_vain,
)
from mooring_register.labels.words import PortDescriptor
from tests.unit.register.describing import described

# Wild text, and text that looks like a label: mere chance finds no `8000-8099_udp_`.
PIECES = st.sampled_from(["80", "-", "_", "443", "99999", "tcp", "UDP", "NAME", "ipv6", "CHECK_", "HTTP_HOST", ","])
WORDS = st.one_of(st.text(), st.lists(st.one_of(PIECES, st.text(max_size=2)), max_size=6).map("".join))
SAYINGS = st.dictionaries(WORDS, WORDS, max_size=6)
SPOTS = st.builds(Spot, st.integers(0, 65535), st.sampled_from(["tcp", "udp"]), st.sampled_from([4, 6]))


def said_by(**labels: str) -> tuple[str, ...]:
    """Return the names that port 80 over TCP and IPv4 gets by these labels."""
    return described(Spot(80, "tcp", 4), **labels).names


def test_label_beats_variable() -> None:
    """R-N9: a label wins over a variable of the same name."""
    assert described(80, {"SERVICE_NAME": "b"}, NAME="a").names == ("a",)


def test_port_beats_general() -> None:
    """R-N10: what is said for a port wins, though a variable says it and a label says the general."""
    said = described(80, {"SERVICE_80_NAME": "x"}, NAME="y", TAGS="t")
    assert (said.names, said.name_is_for_port, said.tags) == (("x",), True, ("t",))
    assert described(443, {"SERVICE_80_NAME": "x"}, NAME="y").names == ("y",)


NARROWER_FIRST = ("80_tcp_NAME", "80_NAME", "80-81_tcp_NAME", "80-81_NAME", "1-100_NAME", "1-65535_NAME", "NAME")


@pytest.mark.parametrize("count", range(1, len(NARROWER_FIRST) + 1))
def test_the_narrower_wins(count: int) -> None:
    """R-F: protocol before port before narrow range before wide range before all, in whatever order they are said."""
    labels = NARROWER_FIRST[-count:]
    assert said_by(**{label: label for label in labels}) == (labels[0],)
    assert said_by(**{label: label for label in reversed(labels)}) == (labels[0],)


def test_of_equally_wide_ranges_the_lower_wins() -> None:
    """Two ranges of one width are never left to chance."""
    assert said_by(**{"75-85_NAME": "upper", "70-80_NAME": "lower"}) == ("lower",)


def test_r_f_port_of_another() -> None:
    """R-F: what is said for one port is nothing that another one says, also not as an attribute."""
    said = described(8080, {"SERVICE_8080_NAME": "api", "SERVICE_9000_NAME": "other"})
    assert (said.names, said.name_is_for_port, said.attributes) == (("api",), True, {})


def test_r_f_protocol() -> None:
    """R-F: what is said for TCP alone is not said for UDP; the protocol may be written either way."""
    labels = {"8080_tcp_NAME": "tcp-svc", "8080_UDP_TAGS": "u"}
    tcp, udp = described(Spot(8080, "tcp"), **labels), described(Spot(8080, "udp"), **labels)
    assert (tcp.names, tcp.tags, udp.names, udp.tags) == (("tcp-svc",), (), (), ("u",))
    assert said_by(**{"80_tcp_NAME": "narrow", "80_NAME": "generic"}) == ("narrow",)


@pytest.mark.parametrize(("port", "is_within"), [(99, False), (100, True), (150, True), (200, True), (201, False)])
def test_r_f_range(port: int, is_within: bool) -> None:
    """R-F: a range holds its two ends; what it says is not for one port alone."""
    said = described(port, **{"100-200_NAME": "x"})
    assert (said.names, said.name_is_for_port) == (("x",) if is_within else (), False)


def test_r_f_no_range() -> None:
    """R-F: `100` is a port and no range, and what is no number is an attribute."""
    assert described(101, **{"100_NAME": "x"}).names == ()
    assert described(101, **{"abc-def_NAME": "x"}).attributes == {"abc-def_name": "x"}


def test_r_f_range_ignored() -> None:
    """R-F: a whole range can be ignored."""
    labels = {"10000-20000_IGNORE": "true"}
    assert described(15000, **labels).ignored_by == "SERVICE_10000-20000_IGNORE"
    assert not described(9999, **labels).ignored_by


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("200-100_NAME", "the range 200-100 ends before it begins"),
        ("0_NAME", "expected a port within 1–65535, got '0'"),
        ("99999_NAME", "expected a port within 1–65535, got '99999'"),
        ("1-70000_NAME", "expected a port within 1–65535, got '70000'"),
        ("9" * 5000 + "_NAME", "expected a port within 1–65535"),
    ],
)
def test_impossible_port(label: str, reason: str) -> None:
    """A port that cannot be is a problem that names the label, and speaks of nothing."""
    descriptor = read_descriptor("web.1", {f"SERVICE_{label}": "x"}, {})
    (problem,) = descriptor.problems
    assert problem.reason.startswith(reason)
    assert problem.where.startswith("web.1: SERVICE_" + label[:10])
    assert descriptor.sayings == {}


@pytest.mark.parametrize(
    ("port", "ip_version", "name"),
    [(80, 4, "somethingelse"), (80, 6, "somethingelse"), (81, 4, "lollerskates"), (81, 6, "loll:ersk:ates")],
)
def test_r_6(port: int, ip_version: int, name: str) -> None:
    """R-6: a port before a version of IP before all."""
    labels = {
        "NAME": "something",
        "NAME_IPV4": "lollerskates",
        "NAME_IPV6": "loll:ersk:ates",
        "80_NAME": "somethingelse",
    }
    assert described(Spot(port, "tcp", ip_version), **labels).names == (name,)


def test_r_6_version_before_port() -> None:
    """R-6: a version of IP of one port wins over the port."""
    labels = {"80_NAME_IPV6": "six", "80_NAME": "any", "NAME_IPV6": "all six"}
    assert described(Spot(80, "tcp", 6), **labels).names == ("six",)
    assert described(Spot(80, "tcp", 4), **labels).names == ("any",)


def test_attribute_may_end_like_a_version_of_ip() -> None:
    """Only words of ours are said for one version of IP; an attribute keeps its whole name."""
    assert described(PREFERS_IPV6="1").attributes == {"prefers_ipv6": "1"}


def test_two_spellings_of_one_word() -> None:
    """Of `SERVICE_NAME` and `SERVICE_Name` the first in order counts, and the other is reported."""
    descriptor = read_descriptor("web.1", {"SERVICE_Name": "b", "SERVICE_NAME": "a"}, {})
    assert describe_port(descriptor, Spot(80)).names == ("a",)
    assert [str(one) for one in descriptor.problems] == [
        "web.1: SERVICE_Name='b': SERVICE_NAME says the same word and counts"
    ]


@pytest.mark.parametrize(
    ("label", "read"),
    [
        ("SERVICE_80_NETWORK", "SERVICE_NETWORK"),
        ("SERVICE_NETWORK_IPV4", "SERVICE_NETWORK"),
        ("SERVICE_Network", "SERVICE_NETWORK"),
        ("SERVICE_1-9_PORT", "SERVICE_PORT"),
    ],
)
def test_a_word_of_the_whole_container_for_less(label: str, read: str) -> None:
    """Network and ports are said of a whole container in one spelling; any other does nothing, and is reported."""
    descriptor = read_descriptor("web.1", {label: "x", read: "front"}, {})
    assert [str(one) for one in descriptor.problems] == [
        f"web.1: {label}='x': means nothing: only {read} is read, for the whole container"
    ]


def test_half_a_character() -> None:
    """What is no Unicode text cannot be written anywhere, and is a problem."""
    descriptor = read_descriptor("web.1", {"SERVICE_X": "\ud800", "SERVICE_Y\udfff": "", "SERVICE_Z": "z"}, {})
    assert [problem.reason for problem in descriptor.problems] == ["it has half a character"] * 2
    assert describe_port(descriptor, Spot(80)).attributes == {"z": "z"}


def test_too_long_a_label() -> None:
    """A label that no document should hold is a problem, and the others count."""
    descriptor = read_descriptor("web.1", {"SERVICE_X": "é" * (LABEL_MOST_BYTES // 2), "SERVICE_Z": "z"}, {})
    assert [problem.reason for problem in descriptor.problems] == ["it is over 16384 bytes long"]
    assert describe_port(descriptor, Spot(80)).attributes == {"z": "z"}


def test_too_many_labels() -> None:
    """Of labels that together are too much for a document some are left out, attributes first, each is told."""
    labels = {f"SERVICE_A{number:02}": "x" * 8000 for number in range(10)}
    descriptor = read_descriptor("web.1", {**labels, "SERVICE_TAGS": "t" * 8000}, {})
    said = describe_port(descriptor, Spot(80))
    assert [*said.attributes] == [f"a{number:02}" for number in range(7)]
    assert said.tags == ("t" * 8000,)
    assert {problem.reason for problem in descriptor.problems} == {"with it, all that is said is over 65536 bytes"}
    assert len(descriptor.problems) == 3


def test_what_decides_is_never_left_out() -> None:
    """However long it is, a label that says who is not to be registered, or not under this name, counts."""
    long = "x" * (LABEL_MOST_BYTES + 1)
    assert described(80, {"SERVICE_IGNORE": long}).ignored_by == "SERVICE_IGNORE"
    assert not described(80, {"SERVICE_NAME": long}).is_usable
    assert not described(80, {"SERVICE_ID": long}).is_usable


def test_spoken_of_in_vain() -> None:
    """A number that is none of the container's ports is told with a label that says it; ranges may hold any."""
    labels = {"SERVICE_8080_NAME": "a", "SERVICE_80_NAME": "b", "SERVICE_1-9_NAME": "c", "SERVICE_NAME": "d"}
    assert list(spoken_of_in_vain(read_descriptor("web.1", labels, {}), [80])) == [(8080, "SERVICE_8080_NAME")]


def test_no_port() -> None:
    """A container without a port is spoken of by what is said of all ports."""
    descriptor = read_descriptor("web.1", {"SERVICE_NAME": "a", "SERVICE_1-65535_NAME": "b"}, {})
    assert describe_port(descriptor, NO_PORT).names == ("a",)


@given(SAYINGS, SAYINGS, SPOTS)
def test_anything_can_be_read(labels: dict[str, str], env: dict[str, str], spot: Spot) -> None:
    """No label and no variable, whatever it holds, does more harm than a reported problem."""
    prefixed = {f"SERVICE_{key}": value for key, value in labels.items()}
    descriptor = read_descriptor("web.1", prefixed, {**env, **{f"SERVICE_{key}": value for key, value in env.items()}})
    said = describe_port(descriptor, spot)
    for problem in (*descriptor.problems, *said.problems):
        assert problem.where.startswith("web.1: SERVICE_")
        assert problem.reason
    assert said.names or said.is_usable or said.problems


def test_nothing_said() -> None:
    """A container that says nothing is described by the defaults."""
    assert described() == PortDescriptor()
