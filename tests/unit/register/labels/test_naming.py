"""What services and instances are called when nobody says so."""

import pytest

from mooring_register.containers import Container
from mooring_register.labels.naming import (
    NameFrom,
    default_service,
    grouped_service,
    instance_id,
    repository,
    unsaid_service,
)

COMPOSED = Container(
    id="c",
    name="/shop-web-1",
    image="team/nginx:1",
    other_labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "web"},
)


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
        ("ab" * 32, "web.1"),
        ("cafe", "cafe"),
        ("registry:5000/", "web.1"),
        ("", "web.1"),
    ],
)
def test_r_n7(image: str, name: str) -> None:
    """R-N7: a service is named after its image without registry, tag and digest, else after the container."""
    assert default_service(image, "/web.1") == name


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("redis:7", "redis"),
        ("registry:5000/team/app:1.2@sha256:ab", "registry:5000/team/app"),
        ("registry:5000/app", "registry:5000/app"),
        ("", ""),
    ],
)
def test_repository(image: str, expected: str) -> None:
    """Tag and digest are cut off, the port of a registry is neither."""
    assert repository(image) == expected


@pytest.mark.parametrize(
    ("name_from", "composed", "plain"),
    [
        (NameFrom.IMAGE, "nginx", "redis"),
        (NameFrom.CONTAINER, "shop-web-1", "a"),
        (NameFrom.COMPOSE, "web", "redis"),
        (NameFrom.COMPOSE_PROJECT, "shop/web", "redis"),
    ],
)
def test_unsaid_service(name_from: NameFrom, composed: str, plain: str) -> None:
    """A service is named as the operator chose; what Compose did not start is named after its image."""
    assert unsaid_service(COMPOSED, name_from) == composed
    assert unsaid_service(Container(id="c", name="/a", image="redis"), name_from) == plain


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
