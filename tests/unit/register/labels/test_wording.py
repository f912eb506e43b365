"""What the operator's templates see of a container, and what they make of it."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.documents import encode_instance
from mooring.model import Address, Instance
from mooring_register.addresses.reach import Place, Policy
from mooring_register.containers import Container, Network, PortMapping, read_container
from mooring_register.desired import Reading, read
from mooring_register.labels.templates import NAMES, Wording, parse_attribute, parse_name, parse_tags
from mooring_register.labels.wording import Image, image, view

HOST = Policy(host="h1", ip="192.168.1.10")
WEB = Container(
    id="e20f9c1a76565d62ae24a3bb877b17b862b6eab94f4e95a0e07ccf25087aaf4f",
    name="/web.1",
    hostname="myhost",
    image="registry:5000/team/app:1.2",
    environment={"SERVICE_REGION": "eu"},
    other_labels={
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "front",
        "list": "a,b",
        "one": r"a\,b",
    },
    networks=(Network("back", "172.18.0.2"), Network("six", "", "fd00::2")),
    started="2026-11-20T10:00:00Z",
    ports=(PortMapping(80, "tcp", "0.0.0.0", 8080),),
)
TWO = evolve(WEB, ports=(*WEB.ports, PortMapping(443, "tcp", "0.0.0.0", 8443)))


def worded(one: Container, *, tags: str = "", name: str = "", attributes: tuple[str, ...] = ()) -> Reading:
    """Return what a container comes to with these templates."""
    wording = Wording(
        parse_tags(tags), parse_name(name) if name else None, tuple(parse_attribute(text) for text in attributes)
    )
    return read(one, evolve(HOST, wording=wording))


def instances(reading: Reading) -> list[Instance]:
    """Return the instances of a reading without problems."""
    assert reading.problems == ()
    return list(reading.instances)


def problems(reading: Reading) -> list[str]:
    """Return the problems of a reading as people see them."""
    return [str(one) for one in reading.problems]


def labelled(one: Container, **labels: str) -> Container:
    """Return a container with these labels (without their `SERVICE_`)."""
    return evolve(one, labels={f"SERVICE_{key}": value for key, value in labels.items()})


def test_every_name_is_there() -> None:
    """What the templates may use is what they are given, and no more."""
    place = Place(80, "tcp", Address("192.168.1.10", 8080))
    assert view(WEB, "h1", place).keys() | {"service", "is_named"} == NAMES


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("id[:12]", "e20f9c1a7656"),
        pytest.param("'host-' ~ hostname", "host-myhost", id="R-F host-{{.Config.Hostname}}"),
        ("name", "web.1"),
        ("image", "registry:5000/team/app:1.2"),
        ("image.registry", "registry:5000"),
        ("image.repository", "team/app"),
        ("image.name ~ '-' ~ image.tag", "app-1.2"),
        ("labels['com.docker.compose.project']", "shop"),
        ("environment.SERVICE_REGION", "eu"),
        ("compose.project ~ '/' ~ compose.service", "shop/front"),
        ("networks.back", "172.18.0.2"),
        ("networks.six", "fd00::2"),
        ("networks | join('+')", "back+six"),
        ("started[:4]", "2026"),
        ("host", "h1"),
        ("service", "app"),
        ("is_named", "False"),
        ("port ~ '/' ~ proto", "80/tcp"),
        ("ip", "192.168.1.10"),
        ("published", "8080"),
        ("address", "192.168.1.10:8080"),
    ],
)
def test_what_a_template_sees(expression: str, expected: str) -> None:
    """Each name holds what it says."""
    (one,) = instances(worded(WEB, tags="{{ " + expression + " }}"))
    assert one.tags == (expected,)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("app", ("", "app", "app", "")),
        ("team/app:1", ("", "team/app", "app", "1")),
        ("localhost/app", ("localhost", "app", "app", "")),
        ("example.org/a/b/c@sha256:12", ("example.org", "a/b/c", "c", "")),
        ("registry:5000/app:1@sha256:12", ("registry:5000", "app", "app", "1")),
        ("", ("", "", "", "")),
    ],
)
def test_images(reference: str, expected: tuple[str, str, str, str]) -> None:
    """An image's reference is taken apart as Docker does."""
    assert image(reference) == Image(reference, *expected)


def test_tags_are_added() -> None:
    """The operator's tags come after the container's, each once, before the protocol's."""
    one = labelled(evolve(WEB, ports=(PortMapping(53, "udp", "0.0.0.0", 53),)), TAGS="a,eu")
    (found,) = instances(worded(one, tags="eu,host-{{ hostname }},{{ 'x' if host == 'h2' }}"))
    assert found.tags == ("a", "eu", "host-myhost", "udp")


def test_a_template_may_come_to_several_tags() -> None:
    r"""What a template comes to is divided as SERVICE_TAGS is: at commas, but not at `\,`."""
    (found,) = instances(worded(WEB, tags=r"{{ labels.list }},{{ labels.one }},c\,d"))
    assert found.tags == ("a", "b", "a,b", "c,d")
    (found,) = instances(worded(WEB, tags="{% for one in networks %}net-{{ one }},{% endfor %}"))
    assert found.tags == ("net-back", "net-six")


def test_the_tag_rest_from_the_operator() -> None:
    """Whoever gives the tag, `rest` means the same."""
    (one,) = instances(worded(WEB, tags="rest"))
    assert one.http == {"path": "/app", "strip": True, "ignore_case": True}


def test_a_bad_tag_costs_itself() -> None:
    """R-F: a tag that fails for one port is missing there and reported; other tags and other ports have theirs."""
    one = labelled(TWO, **{"80_NAME": "http", "80_TAGS": "own"})
    reading = worded(one, tags="ok,{{ labels.none if port == 80 else 'fine' }}")
    assert [(found.service, found.tags) for found in reading.instances] == [
        ("http", ("own", "ok")),
        ("app-443", ("ok", "fine")),
    ]
    where = "web.1: port 80/tcp: --tags \"{{ labels.none if port == 80 else 'fine' }}\""
    assert problems(reading) == [f"{where}: UndefinedError: 'dict object' has no attribute 'none'"]


@pytest.mark.parametrize(
    ("name", "services"),
    [
        ("prod/{{ service }}", ["prod/app-80", "prod/app-443"]),
        ("{{ compose.service }}", ["front-80", "front-443"]),
        ("{{ service }}-p{{ port }}", ["app-p80", "app-p443"]),
        ("{{ service }}-{{ published }}", ["app-8080", "app-8443"]),
    ],
)
def test_a_name_by_template(name: str, services: list[str]) -> None:
    """The template makes the name; unless it tells the ports apart itself, they are told apart as usual."""
    found = instances(worded(TWO, name=name))
    assert [one.service for one in found] == services
    assert [one.id for one in found] == ["h1:web.1:80", "h1:web.1:443"]


def test_a_name_by_template_of_what_has_names() -> None:
    """A container's own names are what the template sees, and it is told that they are its own."""
    template = "{{ service if is_named else compose.service }}"
    assert [one.service for one in instances(worded(WEB, name=template))] == ["front"]
    found = instances(worded(labelled(WEB, NAME="a,b"), name=template))
    assert [(one.service, one.id) for one in found] == [("a", "h1:web.1:80"), ("b", "h1:web.1:80:b")]
    (named,) = instances(worded(labelled(WEB, **{"80_NAME": "http"}), name="prod-{{ service }}"))
    assert named.service == "prod-http"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("{{ labels[service] }}", "UndefinedError: 'dict object' has no attribute 'app'"),
        ("{{ compose.service if port == 443 }}", "is empty"),
        ("a//b", "'a//b-80' has an empty segment"),
    ],
)
def test_a_bad_name(name: str, problem: str) -> None:
    """A port for which the name fails is not registered under another one, and the reason is told."""
    reading = worded(TWO, name=name)
    assert problem in problems(reading)[0]
    assert "h1:web.1:80" not in [one.id for one in reading.instances]


def test_default_attributes() -> None:
    """An attribute by template is what the container would have said; what it says itself wins."""
    attributes = ("team={{ labels.list }}", "region=us", "url=http://{{ service }}.example", "none={{ '' }}")
    (one,) = instances(worded(WEB, attributes=attributes))
    assert one.attributes == {"region": "eu", "team": "a,b", "url": "http://app.example"}


def test_default_words() -> None:
    """Words that mean something of their own may have defaults too, each overruled by whatever the container says."""
    attributes = ("zone={{ host }}-z", "weight=50", "check_http=/{{ service }}", "check_interval=5s")
    first, second = instances(worded(labelled(TWO, **{"443_WEIGHT": "7"}), attributes=attributes))
    assert (first.zone, first.weight, first.checks) == ("h1-z", 50, {"http": "/app-80", "interval": "5s"})
    assert (second.weight, second.checks["http"]) == (7, "/app-443")


def test_a_bad_default() -> None:
    """A default that fails, or means nothing, is reported under its option; all else stands."""
    reading = worded(WEB, attributes=("team={{ labels.none }}", "weight=heavy", "zone=z"))
    where = "web.1: port 80/tcp: --attribute team '{{ labels.none }}'"
    assert problems(reading) == [
        f"{where}: UndefinedError: 'dict object' has no attribute 'none'",
        "web.1: --attribute weight='heavy': expected a whole number within 0–999999; counted as 100",
    ]
    (one,) = reading.instances
    assert (one.zone, one.weight, one.attributes) == ("z", 100, {"region": "eu"})


PLANTED = "correct-horse-battery"
EXPRESSIONS = st.lists(
    st.sampled_from(
        [
            *(
                "environment",
                "environment.PASSWORD",
                "environment['PASSWORD']",
                "environment.values() | list",
                "labels",
            ),
            *("environment | tojson", "image", "image.__class__", "networks | list", "compose", "id", "service", " ~ "),
            *("environment.items() | list", "self", "namespace", "| string", "| default('none')", "|pprint", "| upper"),
            *("labels | mIndex('PASSWORD')", "environment | mIndex('PASSWORD')", "| urlize", "| join", "hostname"),
        ]
    ),
    min_size=1,
    max_size=3,
).map(" ".join)


@given(EXPRESSIONS, EXPRESSIONS)
def test_no_template_tells_the_environment(tag: str, name: str) -> None:
    """Whatever the operator's templates ask for, a variable without our prefix is in nothing that is told."""
    inspected = {
        "Id": "c1",
        "Name": "/web.1",
        "Config": {
            "Image": "web",
            "Hostname": "web",
            "Env": [f"PASSWORD={PLANTED}", f"service_x={PLANTED}", f"BACKEND_URL={PLANTED}", "SERVICE_REGION=eu"],
            "Labels": {"x": "1"},
        },
        "State": {"Running": True},
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}},
    }
    try:
        reading = worded(
            read_container(inspected),
            tags="{{ " + tag + " }}",
            name="{{ " + name + " }}",
            attributes=("x={{ " + tag + " }}",),
        )
    except ValueError:
        return
    told = [*map(encode_instance, reading.instances), *problems(reading), *map(str, reading.not_registered)]
    assert PLANTED.upper() not in "\n".join([*told, repr(reading.instances)]).upper()
