"""What a container comes to: the cases of registrator's documentation, by their numbers in the compatibility list."""

import json

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.documents import encode_instance
from mooring.model import PROXY_KIND, Address, Instance
from mooring_register.addresses.reach import Policy
from mooring_register.containers import Container, Network, PortMapping, read_container
from mooring_register.desired import read
from mooring_register.labels.filters import parse_filter
from mooring_register.labels.naming import NameFrom

HOST = Policy(host="hostname", ip="192.168.1.10")
REDIS = Container(
    id="c1", name="/redis.0", image="dockerfile/redis", ports=(PortMapping(6379, "tcp", "0.0.0.0", 10000),)
)
NGINX = Container(
    id="c2",
    name="/nginx.0",
    image="progrium/nginx",
    ports=(PortMapping(80, "tcp", "0.0.0.0", 8000), PortMapping(443, "tcp", "0.0.0.0", 4443)),
)


def container(base: Container, /, **labels: str) -> Container:
    """Return a container like another one, with these labels (without their `SERVICE_`)."""
    return Container(
        id=base.id,
        name=base.name,
        image=base.image,
        ports=base.ports,
        labels={f"SERVICE_{key}": value for key, value in labels.items()},
    )


def instances(one: Container, policy: Policy = HOST) -> list[Instance]:
    """Return what a container comes to, which must be without a problem."""
    reading = read(one, policy)
    assert reading.problems == ()
    return list(reading.instances)


def test_r_n1() -> None:
    """R-N1: one published port gives one instance named after the image."""
    (one,) = instances(REDIS)
    assert (one.id, one.service, one.address) == ("hostname:redis.0:6379", "redis", Address("192.168.1.10", 10000))
    assert (one.tags, one.attributes, one.port, one.host) == ((), {}, 6379, "hostname")


def test_r_n2() -> None:
    """R-N2: name, tags and attributes are said by variables; the id stays."""
    said = {"SERVICE_NAME": "db", "SERVICE_TAGS": "master,backups", "SERVICE_REGION": "us2"}
    (one,) = instances(Container(id="c", name="/redis.0", ports=REDIS.ports, environment=said))
    assert (one.id, one.service, one.tags) == ("hostname:redis.0:6379", "db", ("master", "backups"))
    assert one.attributes == {"region": "us2"}


def test_r_n3() -> None:
    """R-N3: two ports are two services, told apart by the port."""
    assert [(one.id, one.service, one.address.port) for one in instances(NGINX)] == [
        ("hostname:nginx.0:80", "nginx-80", 8000),
        ("hostname:nginx.0:443", "nginx-443", 4443),
    ]


R_N4 = {
    "443_NAME": "https",
    "443_ID": "https.12345",
    "443_SNI": "enabled",
    "80_NAME": "http",
    "TAGS": "www",
}


def check_r_n4(found: list[Instance]) -> None:
    """Check what R-N4 and R-N5 expect."""
    assert [(one.id, one.service, one.tags, one.attributes) for one in found] == [
        ("hostname:nginx.0:80", "http", ("www",), {}),
        ("https.12345", "https", ("www",), {"sni": "enabled"}),
    ]


def test_r_n4() -> None:
    """R-N4: each port has a name, an id and attributes of its own."""
    said = {f"SERVICE_{key}": value for key, value in R_N4.items()}
    check_r_n4(instances(Container(id="c2", name="/nginx.0", ports=NGINX.ports, environment=said)))


def test_r_n5() -> None:
    """R-N5: labels say the same as variables."""
    check_r_n4(instances(container(NGINX, **R_N4)))


def test_r_n6() -> None:
    """R-N6: one port in both protocols is two instances; the udp one has its own id and a tag."""
    ports = (PortMapping(53, "udp", "0.0.0.0", 53), PortMapping(53, "tcp", "0.0.0.0", 53))
    tcp, udp = instances(Container(id="c", name="/x.1", image="x", ports=ports))
    assert (tcp.service, tcp.id, tcp.tags) == ("x-53", "hostname:x.1:53", ())
    assert (udp.service, udp.id, udp.tags, udp.address.proto) == ("x-53", "hostname:x.1:53:udp", ("udp",), "udp")


def test_r_n7() -> None:
    """R-N7: registry and tag are no part of a name."""
    (one,) = instances(Container(id="c", name="/a", image="registry:5000/team/app:1.2", ports=REDIS.ports))
    assert one.service == "app"


def test_r_n9() -> None:
    """R-N9: the label wins over the variable."""
    one = Container(
        id="c", name="/a", ports=REDIS.ports, labels={"SERVICE_NAME": "a"}, environment={"SERVICE_NAME": "b"}
    )
    assert [found.service for found in instances(one)] == ["a"]


@pytest.mark.parametrize("labels", [{"80_NAME": "x", "NAME": "y"}, {"NAME": "y", "80_NAME": "x"}])
def test_r_n10(labels: dict[str, str]) -> None:
    """R-N10: a port's name has no suffix, the general one has, in whatever order they were said."""
    assert [one.service for one in instances(container(NGINX, **labels))] == ["x", "y-443"]


def test_r_n12() -> None:
    """R-N12: `SERVICE_IGNORE=false` ignores, and the reason names the label."""
    reading = read(container(REDIS, IGNORE="false"), HOST)
    assert reading.instances == ()
    assert [one.reason for one in reading.not_registered] == ["SERVICE_IGNORE is set"]


def test_r_n13() -> None:
    """R-N13: an unpublished port is not registered and the reason is said; with --internal it is."""
    one = Container(
        id="c",
        name="/a",
        image="a",
        ports=(PortMapping(8080, "tcp"),),
        networks=(Network("bridge", "172.17.0.4"),),
    )
    reading = read(one, HOST)
    assert reading.instances == ()
    assert [(said.port, said.reason) for said in reading.not_registered] == [
        ("8080/tcp", "it is not published on the host")
    ]
    (internal,) = instances(one, Policy(host="hostname", internal=True))
    assert internal.address == Address("172.17.0.4", 8080)


def test_r_n15() -> None:
    """R-N15: a port published everywhere is reached on --ip."""
    (one,) = instances(REDIS, Policy(host="hostname", ip="10.1.1.1"))
    assert str(one.address) == "10.1.1.1:10000"


def test_r_n16() -> None:
    """R-N16: a container in the host's network is reached on the host, on the ports that it exposes."""
    one = Container(
        id="c",
        name="/a",
        image="a",
        network_mode="host",
        ports=(PortMapping(80, "tcp"), PortMapping(443, "tcp")),
    )
    assert [str(found.address) for found in instances(one)] == ["192.168.1.10:80", "192.168.1.10:443"]


def test_r_n19() -> None:
    """R-N19: with --explicit only what has a name is registered."""
    policy = Policy(host="hostname", ip="10.1.1.1", explicit=True)
    assert read(REDIS, policy).instances == ()
    assert [one.service for one in instances(container(NGINX, **{"80_NAME": "http"}), policy)] == ["http"]


def test_ignored_port_still_counts_in_a_group() -> None:
    """Ignoring one of two ports does not rename the other."""
    assert [one.service for one in instances(container(NGINX, **{"443_IGNORE": "1"}))] == ["nginx-80"]


def test_broken_label_leaves_other_ports() -> None:
    """A port whose name cannot be used is reported and left out, the other is registered."""
    reading = read(container(NGINX, **{"443_NAME": "a//b"}), HOST)
    assert [one.service for one in reading.instances] == ["nginx-80"]
    assert [str(problem) for problem in reading.problems] == [
        "nginx.0: SERVICE_443_NAME='a//b': 'a//b' has an empty segment"
    ]


@pytest.mark.parametrize(("name", "is_registered"), [("n" * 255, True), ("n" * 256, False), ("é" * 128, False)])
def test_a_name_of_any_length(name: str, is_registered: bool) -> None:
    """A container whose name has no room in a document is told in short, and not registered by an id of its own."""
    one = evolve(container(REDIS, ID="short"), name=f"/{name}", wishes={"BACKEND_DB": "db;5432"})
    reading = read(one, HOST)
    assert [found.id for found in reading.instances] == ["short"] * is_registered
    assert bool(reading.wishes)
    assert len(reading.problems) == len(reading.not_registered) == (not is_registered)
    assert all(len(str(told)) < 100 for told in (*reading.problems, *reading.not_registered))


def test_one_problem_is_reported_once() -> None:
    """A label for all ports that is wrong is one problem, however many ports there are."""
    assert len(read(container(NGINX, WEIGHT="x"), HOST).problems) == 1


def test_environment_is_never_published() -> None:
    """Nothing of a container's environment but what SERVICE_ says gets into the document."""
    secret = {"PASSWORD": "hunter2", "SERVICE_REGION": "eu"}
    (one,) = instances(Container(id="c", name="/a", image="a", ports=REDIS.ports, environment=secret))
    document = json.loads(encode_instance(one))
    assert "hunter2" not in json.dumps(document)
    assert document["attributes"] == {"region": "eu"}


def test_given_id_on_two_bindings() -> None:
    """A given id names the first binding; a further one of the same port is told apart."""
    ports = (PortMapping(80, "tcp", "10.0.0.1", 8001), PortMapping(80, "tcp", "10.0.0.2", 8002))
    assert [one.id for one in instances(container(evolve(REDIS, ports=ports), ID="mine"))] == ["mine", "mine:8002"]


def test_what_is_only_told() -> None:
    """What is no mistake of a container but worth telling is told beside its instances."""
    reading = read(REDIS, evolve(HOST, ip_label="com.example.ip"))
    assert [str(one.address) for one in reading.instances] == ["192.168.1.10:10000"]
    assert reading.notes == ("redis.0: it has no label com.example.ip, so that its normal address is taken",)


def test_both_versions_of_ip() -> None:
    """A port that is bound to an address of each version of IP is two instances, told apart by their ids."""
    ports = (PortMapping(6379, "tcp", "192.168.7.7", 10000), PortMapping(6379, "tcp", "2001:db8::7", 10000))
    assert [(one.id, str(one.address)) for one in instances(evolve(REDIS, ports=ports))] == [
        ("hostname:redis.0:6379", "192.168.7.7:10000"),
        ("hostname:redis.0:6379:6", "[2001:db8::7]:10000"),
    ]


def test_several_names() -> None:
    """A port with two names is two instances; the first has registrator's id, the other's id says its service."""
    assert [(one.service, one.id) for one in instances(container(REDIS, NAME="db,cache"))] == [
        ("db", "hostname:redis.0:6379"),
        ("cache", "hostname:redis.0:6379:cache"),
    ]


def test_several_names_of_a_group() -> None:
    """Each of the names that several ports share is told apart by the port, in the further ids too."""
    found = instances(container(NGINX, NAME="a,b"))
    assert [one.service for one in found] == ["a-80", "b-80", "a-443", "b-443"]
    assert [one.id for one in found] == [
        "hostname:nginx.0:80",
        "hostname:nginx.0:80:b-80",
        "hostname:nginx.0:443",
        "hostname:nginx.0:443:b-443",
    ]


def test_r_f_protocols() -> None:
    """R-F: one port over TCP and UDP can be two services."""
    ports = (PortMapping(53, "udp", "0.0.0.0", 53), PortMapping(53, "tcp", "0.0.0.0", 53))
    labels = {"53_tcp_NAME": "dns-tcp", "53_udp_NAME": "dns-udp"}
    assert [one.service for one in instances(container(evolve(REDIS, ports=ports), **labels))] == ["dns-tcp", "dns-udp"]


def test_r_6_ip_versions() -> None:
    """R-6: the instance on an IPv6 address can have a name of its own."""
    ports = (PortMapping(80, "tcp", "10.0.0.1", 80), PortMapping(80, "tcp", "2001:db8::1", 80))
    found = instances(container(evolve(REDIS, ports=ports), NAME_IPV4="four", NAME_IPV6="six"))
    assert [(one.service, one.address.host) for one in found] == [("four", "10.0.0.1"), ("six", "2001:db8::1")]


def test_r_m_one_name_for_two_ports() -> None:
    """R-M: two ports with one name are told apart by the port inside, as registrator does; own names stay."""
    assert [one.service for one in instances(container(NGINX, NAME="web"))] == ["web-80", "web-443"]
    assert [one.service for one in instances(container(NGINX, **{"80-443_NAME": "web"}))] == ["web-80", "web-443"]
    own_names = {"80_NAME": "a", "443_NAME": "b"}
    assert [one.service for one in instances(container(NGINX, **own_names))] == ["a", "b"]


def test_d_3() -> None:
    """D-3: a container with two ports is one service for each."""
    assert [(one.service, one.port) for one in instances(NGINX)] == [("nginx-80", 80), ("nginx-443", 443)]


def test_rest() -> None:
    """The tag `rest` is HTTP under the service's name, any case, stripped; said words win over that."""
    (plain,) = instances(container(REDIS, NAME="hello/v1", TAGS="rest"))
    assert plain.http == {"path": "/hello/v1", "strip": True, "ignore_case": True}
    (said,) = instances(container(REDIS, NAME="hello/v1", TAGS="rest", HTTP_PATH="/api", HTTP_STRIP="false"))
    assert said.http == {"path": "/api", "strip": False, "ignore_case": True}
    (without,) = instances(container(REDIS, HTTP_HOST="a.example"))
    assert without.http == {"hosts": ["a.example"]}


def test_rest_of_several_names() -> None:
    """Each name has a path of its own."""
    found = instances(container(REDIS, NAME="a,b", TAGS="rest"))
    assert [one.http["path"] for one in found] == ["/a", "/b"]


def test_zone() -> None:
    """The zone is a field of its own, and no attribute."""
    (one,) = instances(container(REDIS, ZONE="eu-1"))
    assert (one.zone, one.attributes) == ("eu-1", {})


def test_proxy() -> None:
    """A proxy is registered with its kind when it has a name, and not at all when it has none."""
    (one,) = instances(container(REDIS, KIND="proxy", NAME="entry"))
    assert (one.kind, one.attributes) == (PROXY_KIND, {})
    unnamed = read(container(REDIS, KIND="proxy"), HOST)
    assert unnamed.instances == ()
    assert [str(one) for one in unnamed.not_registered] == ["redis.0 6379/tcp: it is a proxy without a SERVICE_NAME"]


def test_filtered_container() -> None:
    """A container that a filter leaves out has no instance, and the filter is said once, whatever its ports."""
    reading = read(NGINX, evolve(HOST, filters=(parse_filter("name!=nginx*"),)))
    assert reading.instances == ()
    assert [str(one) for one in reading.not_registered] == ["nginx.0: --filter name!=nginx* leaves it out"]


def test_name_from_compose() -> None:
    """Compose's words name the service, and are not published."""
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    one = evolve(REDIS, other_labels=labels)
    (found,) = instances(one, evolve(HOST, name_from=NameFrom.COMPOSE_PROJECT))
    assert (found.service, found.attributes) == ("shop/web", {})


def test_problems_of_what_is_not_reached() -> None:
    """Wrong labels of an unpublished port, and of a container without one, are told all the same."""
    unpublished = read(container(evolve(REDIS, ports=(PortMapping(80, "tcp"),)), WEIGHT="x"), HOST)
    portless = read(container(evolve(REDIS, ports=()), WEIGHT="x"), HOST)
    wrong = "redis.0: SERVICE_WEIGHT='x': expected a whole number within 0–999999; counted as 100"
    assert [[str(one) for one in reading.problems] for reading in (unpublished, portless)] == [[wrong], [wrong]]


def test_label_of_a_port_that_is_not_there() -> None:
    """A label for a port that the container does not have is told: perhaps a number was mistyped."""
    reading = read(container(REDIS, **{"6378_NAME": "db"}), HOST)
    assert [str(one) for one in reading.not_registered] == [
        "redis.0 6378: SERVICE_6378_NAME speaks of it, but there is no such port"
    ]


PLANTED = "correct-horse-battery"
NAMES = st.one_of(
    st.sampled_from(["SERVICE_NAME", "SERVICE_80_TAGS", "SERVICE_X", "BACKEND_DB", "PASSWORD", "service_name"]),
    st.text(st.characters(exclude_characters="=", exclude_categories=["Cs"]), min_size=1, max_size=8),
)


@given(
    said=st.dictionaries(NAMES, st.one_of(st.just(PLANTED), st.text(max_size=6))),
    policy=st.sampled_from([HOST, evolve(HOST, filters=(parse_filter("label=x"),)), evolve(HOST, internal=True)]),
)
def test_nothing_else_of_the_environment_is_told(said: dict[str, str], policy: Policy) -> None:
    """A secret in a variable without our prefixes is in no document, no problem and no reason; no text raises."""
    environment = {
        name: value for name, value in said.items() if value != PLANTED or not name.startswith(("SERVICE_", "BACKEND_"))
    }
    inspected = {
        "Id": "c1",
        "Name": "/web.1",
        "Config": {
            "Image": "web",
            "Env": [f"{name}={value}" for name, value in environment.items()] + [f"PASSWORD={PLANTED}"],
            "Labels": {name: value for name, value in environment.items() if value != PLANTED} | {"token": PLANTED},
        },
        "State": {"Running": True},
        "NetworkSettings": {
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": None},
            "Networks": {"bridge": {"IPAddress": "172.17.0.2"}},
        },
    }
    reading = read(read_container(inspected), policy)
    told = [*map(encode_instance, reading.instances), *map(str, reading.problems), *map(str, reading.not_registered)]
    assert PLANTED not in "\n".join([*told, repr(reading)])
