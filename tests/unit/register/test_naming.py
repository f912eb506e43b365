"""What services and instances are called when nobody says so."""

import pytest

from mooring_register.naming import default_service, grouped_service, instance_id


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("redis", "redis"),
        ("dockerfile/redis", "redis"),
        ("redis:7.2-alpine", "redis"),
        ("registry:5000/team/app:1.2", "app"),
        ("registry:5000/app", "app"),
        ("foo@sha256:abcd", "foo"),
        ("registry:5000/team/foo:1@sha256:abcd", "foo"),
        ("sha256:abcd", "web.1"),
        ("", "web.1"),
    ],
)
def test_default_service(image: str, name: str) -> None:
    """A service is named after its image without registry, tag and digest, else after the container (R-N7)."""
    assert default_service(image, "/web.1") == name


def test_group_suffix() -> None:
    """Only a name shared by several ports is told apart by the port."""
    assert grouped_service("nginx", 80, is_group=True, is_for_port=False) == "nginx-80"
    assert grouped_service("http", 80, is_group=True, is_for_port=True) == "http"
    assert grouped_service("nginx", 80, is_group=False, is_for_port=False) == "nginx"


@pytest.mark.parametrize(
    ("proto", "address", "further", "expected"),
    [
        ("tcp", "10.0.0.1", None, "h:web.1:80"),
        ("udp", "10.0.0.1", None, "h:web.1:80:udp"),
        ("tcp", "2001:db8::1", None, "h:web.1:80:6"),
        ("udp", "2001:db8::1", 8080, "h:web.1:80:udp:6:8080"),
        ("tcp", "10.0.0.1", 8080, "h:web.1:80:8080"),
    ],
)
def test_instance_id(proto: str, address: str, further: int | None, expected: str) -> None:
    """An id is registrator's, with a suffix for everything that would make two of them equal."""
    assert instance_id("h", "/web.1", 80, proto=proto, address=address, further=further) == expected
