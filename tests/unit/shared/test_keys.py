"""Names as they stand in keys: any legal name can be written into one and read out of it again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import DescriptorError
from mooring.keys import (
    NAME_MOST_BYTES,
    RedisNames,
    catalog_field,
    check_name,
    encode_id,
    encode_service,
    host_key,
    instance_key,
    parse_instance_key,
)
from tests.strategies import IDS, SERVICES

PREFIXES = st.sampled_from(["/services", "/services/", "/a/b", ""])


@given(PREFIXES, SERVICES, IDS)
def test_key_gives_back_service_and_id(prefix: str, service: str, instance_id: str) -> None:
    """Whatever the names, `parse_instance_key` finds in a key what `instance_key` put there."""
    key = instance_key(prefix, service, instance_id)
    assert parse_instance_key(prefix, key) == (service, instance_id)


@given(SERVICES, IDS, SERVICES, IDS)
def test_keys_differ_when_names_do(service: str, instance_id: str, other_service: str, other_id: str) -> None:
    """No two instances share a key or a field of the catalog."""
    same = (service, instance_id) == (other_service, other_id)
    assert (instance_key("/s", service, instance_id) == instance_key("/s", other_service, other_id)) is same
    assert (catalog_field(service, instance_id) == catalog_field(other_service, other_id)) is same


@given(SERVICES, IDS)
def test_parts_cannot_break_a_key(service: str, instance_id: str) -> None:
    """An id is one segment; a service keeps its segments, of harmless letters; the field has exactly one bar."""
    assert "/" not in encode_id(instance_id)
    assert encode_service(service).count("/") == service.count("/")
    assert set(encode_service(service)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-%/")
    assert catalog_field(service, instance_id).count("|") == 1


@pytest.mark.parametrize(
    ("service", "instance_id", "key"),
    [
        ("web", "host1:web.1:80", "/services/web/host1:web.1:80"),
        ("hello/v1", "host1:a:80:udp", "/services/hello/v1/host1:a:80:udp"),
        ("größe", "a/b|c%d", "/services/gr%C3%B6%C3%9Fe/a%2Fb%7Cc%25d"),
    ],
)
def test_key_is_written_as_documented(service: str, instance_id: str, key: str) -> None:
    """A service's odd bytes are percent-encoded; of an id only what would break a key apart."""
    assert instance_key("/services", service, instance_id) == key


@pytest.mark.parametrize(
    ("key", "service", "instance_id"),
    [
        ("/services/web/10.0.0.5:80", "web", "10.0.0.5:80"),
        ("/services/a/b/c", "a/b", "c"),
        ("/services/alone", "", "alone"),
        ("/services", "", ""),
        ("/services/50%/x", "50%", "x"),
    ],
)
def test_foreign_key_is_read(key: str, service: str, instance_id: str) -> None:
    """Whoever wrote it: the last segment is the id, the rest the service; a service may be missing."""
    assert parse_instance_key("/services", key) == (service, instance_id)


@given(SERVICES)
def test_legal_name_passes(name: str) -> None:
    """A legal name is returned as it is."""
    assert check_name("here", name) is name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("/web", "empty segment"),
        ("a//b", "empty segment"),
        ("web/", "empty segment"),
        ("a\nb", "control character"),
        ("a\x7fb", "control character"),
        ("a\ud800", "half a character"),
        ("x" * (NAME_MOST_BYTES + 1), "255 bytes"),
        ("ö" * 128, "255 bytes"),
    ],
)
def test_illegal_name_is_refused(name: str, reason: str) -> None:
    """A name that would break a key, a log or a field is an error that says where and why."""
    with pytest.raises(DescriptorError, match=reason) as refused:
        check_name("label SERVICE_NAME", name)
    assert refused.value.where == "label SERVICE_NAME"
    assert check_name("here", "x" * NAME_MOST_BYTES)


def test_host_key_is_one_segment() -> None:
    """A host's key lies directly below the prefix of hosts, whatever the host is called."""
    assert host_key("host1") == "/mooring/hosts/host1"
    assert host_key("a/b") == "/mooring/hosts/a%2Fb"


def test_redis_names_lie_under_one_namespace() -> None:
    """All names begin with the namespace, and no two are the same."""
    names = RedisNames("site7")
    every = [names.events, names.catalog, names.bindings, names.ports, names.head, names.settings, names.leader]
    every.append(names.proxy("p1"))
    assert all(name.startswith("site7:") for name in every)
    assert len(set(every)) == len(every)
    assert RedisNames().events == "mooring:events"
