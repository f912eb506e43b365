"""The wire form of instances and bindings: what is written is read, what is broken named, what is foreign kept."""

import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.documents import (
    UNKNOWN_FIELD_MOST_BYTES,
    decode_binding,
    decode_instance,
    encode_binding,
    encode_instance,
    load,
)
from mooring.errors import DocumentError
from mooring.model import Address, Binding, Instance, Json, State
from tests.strategies import JSON, bindings, instances

GOLDEN = Path(__file__).parents[2] / "golden" / "v1"
SMALLEST: dict[str, Json] = {"v": 1, "service": "web", "id": "h:web:80", "ipaddress": "10.0.0.5", "host_port": "80"}
BINDING: dict[str, Json] = {"v": 1, "service": "db", "port": "5432"}


def instance_from(document: dict[str, Json]) -> Instance:
    """Read a document as if it had been found under a key of our own."""
    return decode_instance(json.dumps(document), where="/services/web/x", service="from-key", instance_id="from-key")


@given(instances())
def test_instance_is_read_as_it_was_written(instance: Instance) -> None:
    """decode(encode(x)) == x, as text and as bytes, for every field."""
    text = encode_instance(instance)
    assert decode_instance(text, where="k") == instance
    assert decode_instance(text.encode(), where="k") == instance


@given(bindings())
def test_binding_is_read_as_it_was_written(binding: Binding) -> None:
    """decode(encode(x)) == x; the key is not part of the document."""
    assert decode_binding(encode_binding(binding), key=binding.key) == binding


@given(instances())
def test_encoding_is_canonical(instance: Instance) -> None:
    """Equal values give equal bytes, whatever the order in which their mappings were filled."""
    text = encode_instance(instance)
    assert encode_instance(decode_instance(text, where="k")) == text
    shuffled = json.dumps(dict(reversed(json.loads(text).items())))
    assert encode_instance(decode_instance(shuffled, where="k")) == text


@pytest.mark.parametrize("name", ["instance", "instance-zone", "binding"])
def test_document_of_version_1_never_changes(name: str) -> None:
    """The golden file is read, and written again byte for byte."""
    golden = (GOLDEN / f"{name}.json").read_bytes()
    if name != "binding":
        assert encode_instance(decode_instance(golden, where=name)).encode() == golden
    else:
        assert encode_binding(decode_binding(golden, key="host1/ab12/BACKEND_DB")).encode() == golden


def test_golden_instance_says_everything() -> None:
    """The latest golden file has every field of an instance in use, so that none can change its form unseen."""
    instance = decode_instance((GOLDEN / "instance-zone.json").read_bytes(), where="golden")
    unset = [each.name for each in attrs.fields(Instance) if not getattr(instance, each.name)]
    assert unset == []
    assert (instance.state, instance.address) == (State.DRAINING, Address("10.0.0.5", 32768))


def test_smallest_document_is_an_ordinary_instance() -> None:
    """Where to find it and what it is called is enough."""
    assert instance_from(SMALLEST) == Instance(service="web", id="h:web:80", address=Address("10.0.0.5", 80))


def test_foreign_document_is_called_what_its_key_says() -> None:
    """A document without our `v` does not decide on its own name; its other fields mean what they mean to embassy."""
    foreign: dict[str, Json] = {"service": "x", "id": "y", "ipaddress": "10.0.0.5", "port": "80", "tags": ["rest"]}
    instance = instance_from(foreign)
    assert (instance.service, instance.id) == ("from-key", "from-key")
    assert (instance.address, instance.port, instance.tags) == (Address("10.0.0.5", 80), 80, ("rest",))


def test_unknown_fields_are_kept_but_for_payload() -> None:
    """What a later version adds survives; an environment, with its secrets, and anything long is dropped."""
    most = "x" * (UNKNOWN_FIELD_MOST_BYTES - len('{"kept":""}'))
    instance = instance_from(
        SMALLEST | {"later": {"a": [1, None]}, "env": ["PASSWORD=x"], "kept": most, "long": most + "x"}
    )
    assert instance.extra == {"later": {"a": [1, None]}, "kept": most}
    assert json.loads(encode_instance(instance))["later"] == {"a": [1, None]}
    assert "PASSWORD" not in encode_instance(instance)


BROKEN: list[tuple[dict[str, Json], str]] = [
    ({"v": 2}, "format 2"),
    ({"v": "1"}, "format '1'"),
    ({"service": ""}, "service: is empty"),
    ({"service": None}, "service: is empty"),
    ({"service": 7}, "service: expected a string, got 7"),
    ({"service": "a//b"}, "service: 'a//b' has an empty segment"),
    ({"id": ""}, "id: is empty"),
    ({"id": "a\nb"}, "id: .* has a control character"),
    ({"ipaddress": ""}, "ipaddress is missing"),
    ({"ipaddress": "10.0.0.5 weight 7"}, "ipaddress: expected a host name or an IP address"),
    ({"ipaddress": "[::1]"}, "ipaddress: expected"),
    ({"host_port": None}, "neither host_port nor port"),
    ({"host_port": "0"}, "host_port: expected a port"),
    ({"host_port": 80}, "host_port: expected a string"),
    ({"port": "x"}, "port: expected a port"),
    ({"publish": "70000"}, "publish: expected a port"),
    ({"proto": "sctp"}, "proto: expected tcp or udp, got 'sctp'"),
    ({"state": "gone"}, "state: expected one of starting, up"),
    ({"weight": -1}, "weight: expected a whole number"),
    ({"weight": "9"}, "weight: expected"),
    ({"weight": True}, "weight: expected"),
    ({"weight": 1.5}, "weight: expected"),
    ({"tags": "rest"}, "tags: expected a list"),
    ({"tags": [1]}, "tags: expected strings"),
    ({"attributes": ["a"]}, "attributes: expected an object"),
    ({"attributes": {"a": 1}}, "attributes: expected strings"),
    ({"checks": {"a": None}}, "checks: expected strings"),
    ({"http": "/"}, "http: expected an object"),
    ({"host": 1}, "host: expected a string"),
    ({"seen_docker": "now"}, "seen_docker: expected epoch seconds"),
    ({"seen_docker": True}, "seen_docker: expected epoch seconds"),
    ({"seen_registry": 10**400}, "seen_registry: too large"),
]


@pytest.mark.parametrize(("change", "reason"), BROKEN)
def test_broken_field_is_named(change: dict[str, Json], reason: str) -> None:
    """A document that cannot be used says which key and which field, and what was expected of it."""
    with pytest.raises(DocumentError, match=reason) as broken:
        instance_from(SMALLEST | change)
    assert broken.value.where == "/services/web/x"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"service": ""}, "service is missing"),
        ({"port": ""}, "port is missing"),
        ({"port": "a"}, "port: expected a port"),
        ({"proto": "x"}, "proto: expected"),
        ({"options": {"a": []}}, "options: expected strings"),
        ({"addresses": [None]}, "addresses: expected strings"),
        ({"v": 9}, "format 9"),
    ],
)
def test_broken_field_of_a_binding_is_named(change: dict[str, Json], reason: str) -> None:
    """As for an instance."""
    assert decode_binding(json.dumps(BINDING), key="h/c/N").port == 5432
    with pytest.raises(DocumentError, match=reason) as broken:
        decode_binding(json.dumps(BINDING | change), key="h/c/N")
    assert broken.value.where == "h/c/N"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b"10.0.0.5:80",
        b"[" * 100_000,
        b'{"x": NaN}',
        b'{"x": -Infinity}',
        b'{"x": 1e999}',
        b'{"x": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"x": "\xed\xa0\x80"}',
        b"9" * 5000,
    ],
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    """What only looks like JSON does not get in, even where it says nothing: it would break somebody later."""
    with pytest.raises(DocumentError, match="k: not JSON"):
        decode_instance(text, where="k", service="s", instance_id="i")
    with pytest.raises(DocumentError, match="k: not JSON"):
        decode_binding(text, key="k")


@pytest.mark.parametrize(("text", "kind"), [("[]", "list"), ("null", "NoneType"), ('"x"', "str"), ("1", "int")])
def test_what_is_no_object_is_refused(text: str, kind: str) -> None:
    """Any other JSON value is no document."""
    with pytest.raises(DocumentError, match=f"k: expected a JSON object, got {kind}"):
        decode_binding(text, key="k")


@given(st.binary() | st.text().map(str.encode) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_input_is_a_bug_of_ours(text: bytes) -> None:
    """Whatever stands under a key, reading it gives an instance or a `DocumentError`."""
    try:
        instance = decode_instance(text, where="k", service="s", instance_id="i")
    except DocumentError:
        return
    assert decode_instance(encode_instance(instance), where="k") == instance


@given(
    st.dictionaries(
        st.sampled_from([*SMALLEST, "port", "proto", "state", "weight", "tags", "http", "seen_docker"]), JSON
    )
)
def test_no_field_is_a_bug_of_ours(changes: dict[str, Json]) -> None:
    """Whatever stands in a field, reading it gives an instance that can be written and read, or a `DocumentError`."""
    try:
        instance = instance_from(SMALLEST | changes)
    except DocumentError:
        return
    assert decode_instance(encode_instance(instance).encode(), where="k") == instance


def test_escaped_text_is_read() -> None:
    """An escape that stands for a whole character, in two halves if need be, is as good as the character."""
    assert load(b'"\\u00f6 \\ud83d\\udea2"') == "ö 🚢"
