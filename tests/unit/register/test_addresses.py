"""Where ports are reached."""

import pytest

from mooring_register.addresses import Place, Policy, places
from mooring_register.containers import Container, Network, PortMapping

HOST = Policy(host="h", ip="10.0.0.5")


def published(*bindings: tuple[str, int]) -> Container:
    """Return a container whose port 80 is published like this."""
    return Container(id="c", name="/a", ports=tuple(PortMapping(80, "tcp", ip, port) for ip, port in bindings))


def reached(container: Container, policy: Policy = HOST) -> list[tuple[str, int | None]]:
    """Return the addresses of a container and which of them are further ones."""
    return [(str(place.address), place.further) for place in places(container, policy)[0]]


def test_both_wildcards_are_one_place() -> None:
    """A port bound on 0.0.0.0 and on :: is reached in one place, over IPv4."""
    assert reached(published(("0.0.0.0", 8080), ("::", 8080))) == [("10.0.0.5:8080", None)]


def test_ipv6_only() -> None:
    """A port bound on :: alone is reached where our address is IPv6, and nowhere else."""
    assert reached(published(("::", 8080)), Policy(host="h", ip="2001:db8::5")) == [("[2001:db8::5]:8080", None)]
    found, missing = places(published(("::", 8080)), HOST)
    assert found == ()
    assert missing[0].reason == "10.0.0.5 is of another IP version than its bindings"


def test_a_binding_on_one_address_uses_it() -> None:
    """A port bound on one address is reached there, whatever --ip says."""
    assert reached(published(("192.168.7.7", 8080))) == [("192.168.7.7:8080", None)]


def test_every_binding_counts() -> None:
    """All bindings of a port are places; the first is one that others can reach, the further ones are marked."""
    found = reached(published(("127.0.0.1", 8082), ("0.0.0.0", 8083), ("2001:db8::1", 8084), ("0.0.0.0", 8081)))
    assert found == [
        ("10.0.0.5:8081", None),
        ("10.0.0.5:8083", 8083),
        ("127.0.0.1:8082", 8082),
        ("[2001:db8::1]:8084", None),
    ]


def test_pending_ports() -> None:
    """A port that Docker has not filled in yet is not registered, least of all under its own number."""
    container = Container(id="c", name="/a", ports=(PortMapping(80, "tcp"),), ports_pending=True)
    found, missing = places(container, HOST)
    assert found == ()
    assert missing[0].reason == "Docker has not published it yet"


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        ((Network("b", "172.18.0.2"), Network("a", "172.19.0.2")), "172.19.0.2"),
        ((Network("a", "", "fd00::2"), Network("b", "172.18.0.2")), "172.18.0.2"),
        ((Network("a", "", "fd00::2"),), "fd00::2"),
    ],
)
def test_internal_takes_the_first_network(networks: tuple[Network, ...], address: str) -> None:
    """Of several networks the first by name that gives an address is used, so that it is always the same one."""
    container = Container(id="c", name="/a", networks=tuple(sorted(networks)), ports=(PortMapping(80, "tcp"),))
    (place,) = places(container, Policy(host="h", internal=True))[0]
    assert place.address.host == address


def test_unreachable() -> None:
    """What cannot be reached is told with its reason."""
    sctp = Container(id="c", name="/a", ports=(PortMapping(80, "sctp", "0.0.0.0", 80),))
    shared = Container(id="c", name="/a", network_mode="container:abcdef0123456789", ports=(PortMapping(80, "tcp"),))
    alone = Container(id="c", name="/a", ports=(PortMapping(80, "tcp"),))
    assert places(sctp, HOST)[1][0].reason == "protocol sctp is neither tcp nor udp"
    assert places(shared, HOST)[1][0].reason == "it shares the network of abcdef012345"
    assert places(alone, Policy(host="h", internal=True))[1][0].reason == "it has no address of its own"


def test_container_address() -> None:
    """A published port is also told by the container's own address."""
    container = Container(
        id="c", name="/a", networks=(Network("bridge", "172.17.0.4"),), ports=(PortMapping(80, "tcp", "0.0.0.0", 8080),)
    )
    (place,) = places(container, HOST)[0]
    assert isinstance(place, Place)
    assert place.container_address == "172.17.0.4:80"
