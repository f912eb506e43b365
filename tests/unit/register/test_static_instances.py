"""Instances declared in a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import DocumentError
from mooring.model import Address, State
from mooring_register.static_instances import read_instances


def test_little_is_required() -> None:
    """A service and an address make an instance."""
    text = "instances:\n  - {service: web, address: '10.0.0.1:80'}\n"
    (one,), problems = read_instances(text, file="f.yaml", host="h", seen=5.0)
    assert (one.service, one.id, one.address) == ("web", "10.0.0.1:web:80", Address("10.0.0.1", 80))
    assert (one.state, one.port, one.host, one.seen_docker) == (State.UP, 80, "h", 5.0)
    assert problems == []


def test_everything_may_be_said() -> None:
    """Every field of a document may be given, with numbers where it has strings; JSON is YAML."""
    text = """{"instances": [{"service": "dns", "address": "[fd00::1]:53", "id": "mine", "proto": "udp", "port": 5353,
      "publish": 53, "weight": 10, "tags": ["a", 1], "attributes": {"version": 1.2}, "state": "draining"}]}"""
    (one,), problems = read_instances(text, file="f.json", host="h", seen=5.0)
    assert problems == []
    assert (one.id, one.address, one.port, one.publish) == ("mine", Address("fd00::1", 53, "udp"), 5353, 53)
    assert (one.tags, one.attributes, one.weight, one.state) == (("a", "1"), {"version": "1.2"}, 10, State.DRAINING)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{address: '10.0.0.1:80'}", "f.yaml: instance 1: service is missing"),
        ("{service: web}", "f.yaml: instance 1: address is missing"),
        ("{service: web, address: '10.0.0.1'}", "address: expected HOST:PORT, got '10.0.0.1'"),
        ("{service: web, address: 'h:80', weight: heavy}", "weight: expected a whole number, 0 or more, got 'heavy'"),
        ("{service: web, address: 'h:80', tags: a}", "tags: expected a list of strings, got 'a'"),
        ("{service: a//b, address: 'h:80'}", "'a//b' has an empty segment"),
        ("web", "f.yaml: instance 1: expected a document, got 'web'"),
    ],
)
def test_a_broken_entry(entry: str, problem: str) -> None:
    """A wrong entry is reported by its number and field, and costs no other one."""
    text = f"instances:\n  - {entry}\n  - {{service: ok, address: 'h:1'}}\n"
    instances, problems = read_instances(text, file="f.yaml", host="h", seen=5.0)
    assert [one.service for one in instances] == ["ok"]
    assert len(problems) == 1
    assert problem in str(problems[0])


@pytest.mark.parametrize("text", ["", "instances: web", "- a", "instances: [", "\x00", "a: &a [*a, *b]"])
def test_no_such_file(text: str) -> None:
    """A text that is no such file at all is an error that names the file."""
    with pytest.raises(DocumentError, match=r"f\.yaml"):
        read_instances(text, file="f.yaml", host="h", seen=5.0)


YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet="ab:/80[]{}é\n", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["service", "address", "tags", "port", "weight", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(YAML, max_size=3))
def test_no_entry_does_harm(entries: list[object]) -> None:
    """Whatever an entry is, it becomes an instance or a problem."""
    import yaml  # noqa: PLC0415 -- only to write what is read

    text = yaml.safe_dump({"instances": entries}, allow_unicode=True)
    instances, problems = read_instances(text, file="f.yaml", host="h", seen=5.0)
    assert len(instances) + len(problems) == len(entries)
