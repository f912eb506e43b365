"""Where ports are reached."""

import pytest
from attrs import evolve

from mooring_register.addresses.network_sharing import NoNetwork
from mooring_register.addresses.reach import Place, Policy, Reach, reach
from mooring_register.containers import Container, Network, PortMapping

HOST = Policy(host="h", ip="10.0.0.5")
INTERNAL = Policy(host="h", internal=True)
EXPOSING = Container(id="c", name="/a", network_mode="bridge", ports=(PortMapping(80, "tcp"),))


def published(*bindings: tuple[str, int]) -> Container:
    """Return a container whose port 80 is published like this."""
    return Container(id="c", name="/a", ports=tuple(PortMapping(80, "tcp", ip, port) for ip, port in bindings))


def reached(container: Container, policy: Policy = HOST) -> list[tuple[str, int | None]]:
    """Return the addresses of a container and which of them are further ones."""
    return [(str(place.address), place.further) for place in reach(container, policy).places]


def reasons(found: Reach) -> list[str]:
    """Return why the ports of a container that is not reached at all are not."""
    assert found.places == ()
    return [one.reason for one in found.unreachable]


def test_both_wildcards_are_one_place() -> None:
    """A port bound on 0.0.0.0 and on :: is reached in one place, over IPv4."""
    assert reached(published(("0.0.0.0", 8080), ("::", 8080))) == [("10.0.0.5:8080", None)]


def test_ipv6_only() -> None:
    """A port bound on :: alone is reached where our address is IPv6, and nowhere else."""
    assert reached(published(("::", 8080)), Policy(host="h", ip="2001:db8::5")) == [("[2001:db8::5]:8080", None)]
    assert reasons(reach(published(("::", 8080)), HOST)) == ["10.0.0.5 is of another IP version than its bindings"]


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
    assert reasons(reach(container, HOST)) == ["Docker has not published it yet"]


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
    (place,) = reach(container, INTERNAL).places
    assert place.address.host == address


def test_unreachable() -> None:
    """What cannot be reached is told with its reason."""
    sctp = Container(id="c", name="/a", ports=(PortMapping(80, "sctp", "0.0.0.0", 80),))
    alone = Container(id="c", name="/a", ports=(PortMapping(80, "tcp"),))
    assert reasons(reach(sctp, HOST)) == ["protocol sctp is neither tcp nor udp"]
    assert reasons(reach(alone, INTERNAL)) == ["it has no address of its own"]


def test_container_address() -> None:
    """A published port is also told by the container's own address."""
    container = Container(
        id="c", name="/a", networks=(Network("bridge", "172.17.0.4"),), ports=(PortMapping(80, "tcp", "0.0.0.0", 8080),)
    )
    (place,) = reach(container, HOST).places
    assert isinstance(place, Place)
    assert place.container_address == "172.17.0.4:80"


def test_exposed_only() -> None:
    """R-N13: a port that is only exposed is not reached from outside, and on the container's own address inside."""
    one = evolve(EXPOSING, ports=(PortMapping(8080, "tcp"),), networks=(Network("bridge", "172.17.0.4"),))
    assert reasons(reach(one, HOST)) == ["it is not published on the host"]
    assert reached(one, INTERNAL) == [("172.17.0.4:8080", None)]


def test_the_given_address() -> None:
    """R-N15: a port bound on every address is reached on the one that --ip gives."""
    assert reached(published(("0.0.0.0", 8080)), Policy(host="h", ip="10.1.1.1")) == [("10.1.1.1:8080", None)]


@pytest.mark.parametrize(
    "policy", [HOST, Policy(host="h", ip="10.0.0.5", internal=True)], ids=["published", "internal"]
)
def test_the_network_of_the_host(policy: Policy) -> None:
    """R-N16: with the host's network every exposed port is reached on the host, under its own number."""
    ports = (PortMapping(80, "tcp"), PortMapping(443, "tcp"))
    one = Container(id="c", name="/a", network_mode="host", ports=ports)
    assert reached(one, policy) == [("10.0.0.5:80", None), ("10.0.0.5:443", None)]
    assert reasons(reach(evolve(one, ports=ports[:1]), INTERNAL)) == ["the host's address is not known: see --ip"]


@pytest.mark.parametrize("mode", ["default", "project_backend"])
def test_a_users_network(mode: str) -> None:
    """REG#416, REG#337: a published port is reached on the host, in whichever network its container is."""
    ports = (PortMapping(80, "tcp", "0.0.0.0", 8080),)
    one = evolve(EXPOSING, network_mode=mode, networks=(Network(mode, "172.20.0.2"),), ports=ports)
    assert reached(one) == [("10.0.0.5:8080", None)]
    assert reached(one, INTERNAL) == [("172.20.0.2:80", None)]


def test_from_the_container() -> None:
    """R-F: --internal gives the container's own address, the normal one is the host's."""
    ports = (PortMapping(80, "tcp", "0.0.0.0", 80),)
    one = evolve(EXPOSING, networks=(Network("bridge", "172.17.0.5"),), ports=ports)
    policy = Policy(host="h", ip="192.168.1.10")
    assert reached(one, policy) == [("192.168.1.10:80", None)]
    assert reached(one, evolve(policy, internal=True)) == [("172.17.0.5:80", None)]


def test_every_protocol_and_binding() -> None:
    """R-M: three bindings of two ports are three places; both wildcards are one; what is not published is none."""
    ports = (
        PortMapping(180, "udp", "127.0.0.1", 18082),
        PortMapping(80, "tcp", "0.0.0.0", 28082),
        PortMapping(80, "tcp", "0.0.0.0", 8082),
    )
    found = reach(Container(id="c", name="/a", ports=ports), HOST).places
    assert [(str(one.address), one.address.proto, one.port, one.proto) for one in found] == [
        ("10.0.0.5:8082", "tcp", 80, "tcp"),
        ("10.0.0.5:28082", "tcp", 80, "tcp"),
        ("127.0.0.1:18082", "udp", 180, "udp"),
    ]
    ports = (
        PortMapping(9200, "tcp", "0.0.0.0", 65423),
        PortMapping(9200, "tcp", "::", 65423),
        PortMapping(9300, "tcp"),
    )
    assert reached(Container(id="c", name="/a", ports=ports)) == [("10.0.0.5:65423", None)]


def test_no_network() -> None:
    """R-M: a container without a network is reached nowhere."""
    assert reasons(reach(evolve(EXPOSING, network_mode="none"), HOST)) == ["it is not published on the host"]


TWO = evolve(EXPOSING, networks=(Network("back", "172.18.0.2"), Network("front", "172.19.0.2", "fd00::2")))


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        ((), "172.18.0.2"),
        (("front",), "172.19.0.2"),
        (("front", "back"), "172.19.0.2"),
        (("nowhere", "front"), "172.19.0.2"),
        (("nowhere",), "172.18.0.2"),
    ],
)
def test_preferred_networks(networks: tuple[str, ...], address: str) -> None:
    """Of several networks the operator's come first, in their order; who is in none of them has an address too."""
    assert reached(TWO, evolve(INTERNAL, networks=networks)) == [(f"{address}:80", None)]


def test_a_preferred_network_with_ipv6_alone() -> None:
    """A preferred network that gives an IPv6 address alone comes before the IPv4 address of another one."""
    one = evolve(TWO, networks=(Network("back", "172.18.0.2"), Network("front", "", "fd00::2")))
    assert reached(one, evolve(INTERNAL, networks=("front",))) == [("[fd00::2]:80", None)]


@pytest.mark.parametrize("said", ["labels", "environment"])
def test_the_container_names_its_network(said: str) -> None:
    """SERVICE_NETWORK wins over the operator's order, for the container's own address everywhere."""
    one = evolve(TWO, **{said: {"SERVICE_NETWORK": "front"}})  # type: ignore[arg-type] # a field by name
    assert reached(one, evolve(INTERNAL, networks=("back",))) == [("172.19.0.2:80", None)]
    (place,) = reach(evolve(one, ports=(PortMapping(80, "tcp", "0.0.0.0", 8080),)), HOST).places
    assert place.container_address == "172.19.0.2:80"


def test_an_empty_label_takes_a_variable_back() -> None:
    """The label wins over the variable of the same name, also when it is empty."""
    one = evolve(TWO, environment={"SERVICE_NETWORK": "front"}, labels={"SERVICE_NETWORK": ""})
    assert reached(one, INTERNAL) == [("172.18.0.2:80", None)]


def test_a_network_that_it_is_not_in() -> None:
    """A container that names a network which it is not in is not registered in another one."""
    one = evolve(TWO, labels={"SERVICE_NETWORK": "middle"})
    expected = "it has no address in network middle, which SERVICE_NETWORK names; its networks: back, front"
    assert reasons(reach(one, INTERNAL)) == [expected]


OWNER = Container(
    id="x",
    name="/x",
    network_mode="default",
    networks=(Network("bridge", "172.17.0.9"),),
    ports=(PortMapping(80, "tcp", "0.0.0.0", 8080), PortMapping(81, "tcp", "0.0.0.0", 8081)),
)


def test_anothers_network() -> None:
    """E-C4: a container in another one's network is reached where that one is: by what that publishes, or inside."""
    one = evolve(EXPOSING, network_mode="container:x")
    assert [str(place.address) for place in reach(one, HOST, OWNER).places] == ["10.0.0.5:8080"]
    assert [place.container_address for place in reach(one, HOST, OWNER).places] == ["172.17.0.9:80"]
    assert [str(place.address) for place in reach(one, INTERNAL, OWNER).places] == ["172.17.0.9:80"]
    hosts = Container(id="x", name="/x", network_mode="host")
    assert [str(place.address) for place in reach(one, HOST, hosts).places] == ["10.0.0.5:80"]


def test_anothers_network_does_not_publish() -> None:
    """What the other container does not publish, or not yet, is not reached."""
    one = evolve(EXPOSING, network_mode="container:x", ports=(PortMapping(82, "tcp"),))
    assert reasons(reach(one, HOST, OWNER)) == ["it is not published on the host by x"]
    assert reasons(reach(one, HOST, evolve(OWNER, ports_pending=True))) == ["Docker has not published it yet"]


def test_without_a_network_to_share() -> None:
    """A reason against the other's network is the reason for each port; a loop is a mistake of the container too."""
    one = evolve(EXPOSING, network_mode="container:x")
    away = reach(one, HOST, NoNetwork("it shares the network of x, which does not run"))
    assert reasons(away) == ["it shares the network of x, which does not run"]
    assert away.problems == ()
    (problem,) = reach(one, HOST, NoNetwork("a loop", is_loop=True)).problems
    assert str(problem) == "a: a loop"


LABELLED = Policy(host="h", ip="10.0.0.5", ip_label="com.example.ip")


@pytest.mark.parametrize(
    ("value", "address"),
    [("10.2.3.4/24", "10.2.3.4:8080"), ("10.2.3.4", "10.2.3.4:8080"), ("2001:db8::4/64", "[2001:db8::4]:8080")],
)
def test_the_address_of_a_label(value: str, address: str) -> None:
    """R-N18: a label gives the address, up to its last slash; all bindings of one host port come to one place."""
    bindings = (PortMapping(80, "tcp", "0.0.0.0", 8080), PortMapping(80, "tcp", "192.168.7.7", 8080))
    wildcard_of_it = (PortMapping(80, "tcp", "::", 8080),)
    one = evolve(EXPOSING, ports=bindings + wildcard_of_it, other_labels={"com.example.ip": value})
    assert reached(one, LABELLED) == [(address, None)]
    assert reach(one, LABELLED).notes == ()


@pytest.mark.parametrize(("mode", "policy"), [("bridge", INTERNAL), ("host", HOST)])
def test_the_address_of_a_label_elsewhere(mode: str, policy: Policy) -> None:
    """R-N18: with --internal and with the host's network the label's address counts too, with the exposed port."""
    one = evolve(EXPOSING, network_mode=mode, other_labels={"com.example.ip": "10.2.3.4/24"})
    assert reached(one, evolve(policy, ip_label="com.example.ip")) == [("10.2.3.4:80", None)]


def test_without_the_label() -> None:
    """R-N18: without the label the normal address is taken, which is told; an impossible one is a mistake."""
    one = published(("0.0.0.0", 8080))
    assert reached(one, LABELLED) == [("10.0.0.5:8080", None)]
    assert reach(one, LABELLED).notes == ("a: it has no label com.example.ip, so that its normal address is taken",)
    wrong = reach(evolve(one, other_labels={"com.example.ip": "eth0"}), LABELLED)
    assert [str(place.address) for place in wrong.places] == ["10.0.0.5:8080"]
    assert str(wrong.problems[0]).startswith("a: com.example.ip='eth0': expected an IP address")


def test_ports_that_are_not_exposed() -> None:
    """A container that exposes no port may name those that it listens on, each with its protocol."""
    one = Container(id="c", name="/a", network_mode="host", labels={"SERVICE_PORT": "8080, 53/udp"})
    found = reach(one, HOST).places
    assert [(str(place.address), place.proto) for place in found] == [("10.0.0.5:53", "udp"), ("10.0.0.5:8080", "tcp")]
    exposing = evolve(one, ports=(PortMapping(80, "tcp"),))
    assert reached(exposing) == [("10.0.0.5:80", None)]
    assert reach(exposing, HOST).notes == ("a: SERVICE_PORT is not asked, for it exposes ports",)


def test_an_impossible_port() -> None:
    """A port that cannot be meant is a mistake; the others that are named beside it count."""
    one = Container(id="c", name="/a", network_mode="host", labels={"SERVICE_PORT": "80,http,70000"})
    found = reach(one, HOST)
    assert [str(place.address) for place in found.places] == ["10.0.0.5:80"]
    assert [str(problem).partition("=")[2].partition(":")[0] for problem in found.problems] == ["'http'", "'70000'"]


def test_what_cannot_be_exposed() -> None:
    """A port that an image exposes by nonsense is a mistake; its others count."""
    one = Container(id="c", name="/a", network_mode="host", ports=EXPOSING.ports, unreadable_ports=("x/tcp",))
    found = reach(one, HOST)
    assert [place.port for place in found.places] == [80]
    assert [str(problem) for problem in found.problems] == ["a: exposed port 'x/tcp': expected PORT[-PORT][/PROTOCOL]"]


def test_one_number_in_both_protocols() -> None:
    """A port's bindings are those of its own protocol."""
    ports = (PortMapping(53, "tcp", "0.0.0.0", 1053), PortMapping(53, "udp", "0.0.0.0", 2053))
    found = reach(Container(id="c", name="/a", ports=ports), HOST).places
    assert [(one.proto, one.address.port, one.address.proto) for one in found] == [
        ("tcp", 1053, "tcp"),
        ("udp", 2053, "udp"),
    ]
