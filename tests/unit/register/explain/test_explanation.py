"""Why a container is registered as it is, or why not, each with the rule that decided."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve

from mooring_register.addresses.reach import Policy
from mooring_register.containers import Container, Network, PortMapping, read_container
from mooring_register.explain.explanation import Explanation, PortLeftOut, Problem, as_if_it_ran, explanation_of
from mooring_register.explain.forms import Report, RunningRegister, json_text, text
from mooring_register.labels.filters import parse_filter
from mooring_register.labels.naming import NameFrom
from mooring_register.labels.templates import Wording, parse_attribute, parse_name, parse_tags
from mooring_register.observations import Listed
from mooring_register.registrar import Registrar, apply

HOST = Policy(host="host1", ip="10.0.0.5")
WEB = Container(
    id="ab12cd34ef56ab12cd34ef56",
    name="/web.1",
    image="team/whoami:1",
    started_at=1.0,
    networks=(Network("bridge", "172.17.0.4"),),
    ports=(PortMapping(80, "tcp", "0.0.0.0", 8000),),
)


def explained(container: Container, policy: Policy = HOST, *others: Container) -> Explanation:
    """Explain a container that runs among others."""
    everything = (container, *others)
    listed = Listed(frozenset(one.id for one in everything), everything, 2.0)
    return explanation_of(container, apply(Registrar(policy=policy), [listed], 2.0), "BACKEND_")


def words(explanation: Explanation) -> dict[str, tuple[str, str]]:
    """Return the words of the only port that is registered, each with its value and source."""
    (port,) = explanation.registered
    return {one.word: (one.value, one.source) for one in port.words}


def rule(explanation: Explanation) -> str:
    """Return why the only port that is left out is."""
    (left,) = explanation.left_out
    return left.rule


def test_each_word_tells_where_it_comes_from() -> None:
    """Said by a label, by a variable, or by nobody: then the rule is told."""
    one = evolve(
        WEB,
        labels={"SERVICE_80_NAME": "web", "SERVICE_TAGS": r"a,b\,c"},
        environment={"SERVICE_TAGS": "c", "SERVICE_PUBLISH": "81", "SERVICE_REGION": "eu"},
    )
    assert words(explained(one)) == {
        "service": ("web", "label SERVICE_80_NAME"),
        "id": ("host1:web.1:80", "the host, the container and the port"),
        "address": ("10.0.0.5:8000", "published on all addresses, hence the host's"),
        "tags": (r"a,b\,c", "label SERVICE_TAGS"),
        "publish": ("81", "variable SERVICE_PUBLISH"),
        "region": ("eu", "variable SERVICE_REGION"),
    }


def test_a_name_that_nobody_says_tells_what_it_is_made_of() -> None:
    """Whoever wonders about a service's name learns which option or image it comes from, and why it has a number."""
    two = evolve(WEB, ports=(*WEB.ports, PortMapping(81, "tcp", "0.0.0.0", 8001)))
    assert words(explained(WEB))["service"] == ("whoami", "image team/whoami:1")
    by_name = evolve(HOST, name_from=NameFrom.CONTAINER)
    assert words(explained(WEB, by_name))["service"] == ("web.1", "--name-from container")
    sources = [one.words[0].source for one in explained(two).registered]
    assert sources == ["image team/whoami:1, with the port: several share the name"] * 2


def test_what_the_operator_adds_tells_its_option() -> None:
    """A name, a tag or a word that a template makes is told under the option that has the template."""
    attribute = (parse_attribute("team={{ service }}-team"), parse_attribute("region=us"))
    policy = evolve(HOST, wording=Wording(parse_tags("x,{{ host }}"), parse_name("prod-{{ service }}"), attribute))
    said = {"SERVICE_TAGS": "a", "SERVICE_REGION": "eu"}
    one = evolve(WEB, labels=said, ports=(PortMapping(53, "udp", "0.0.0.0", 53),))
    told = words(explained(one, policy))
    assert told["service"] == ("prod-whoami", "--name-template, of image team/whoami:1")
    assert told["tags"] == ("a,x,host1,udp", "label SERVICE_TAGS, --tags, its protocol")
    by_port = evolve(HOST, wording=Wording(name=parse_name("{{ service }}-{{ port }}")))
    assert words(explained(WEB, by_port))["service"] == ("whoami-80", "--name-template, of image team/whoami:1")
    assert (told["team"], told["region"]) == (("prod-whoami-team", "--attribute team"), ("eu", "label SERVICE_REGION"))


@pytest.mark.parametrize(
    ("container", "policy", "address", "why"),
    [
        (
            evolve(WEB, ports=(PortMapping(80, "tcp", "10.1.1.1", 8000),)),
            HOST,
            "10.1.1.1:8000",
            "published on this address alone",
        ),
        (
            WEB,
            evolve(HOST, internal=True),
            "172.17.0.4:80",
            "--internal, its own address in network bridge",
        ),
        (evolve(WEB, network_mode="host"), HOST, "10.0.0.5:80", "the host's network, its address"),
        (
            evolve(WEB, other_labels={"address": "10.9.9.9/24"}),
            evolve(HOST, ip_label="address"),
            "10.9.9.9:8000",
            "label address",
        ),
    ],
    ids=["one-address", "internal", "host-network", "label"],
)
def test_an_address_tells_its_rule(container: Container, policy: Policy, address: str, why: str) -> None:
    """Of all the ways to an address the one that was taken is named."""
    assert words(explained(container, policy))["address"] == (address, why)


def test_an_address_in_the_network_of_another_container_names_that_one() -> None:
    """The port is published by somebody else, and that is where to look."""
    guest = evolve(WEB, id="g", name="/guest", network_mode=f"container:{WEB.id}", networks=(), started_at=2.0)
    explanation = explained(guest, HOST, WEB)
    assert explanation.network == "that of web.1"
    assert words(explanation)["address"][1].endswith(", in the network of web.1")


@pytest.mark.parametrize(
    ("container", "policy", "why"),
    [
        (evolve(WEB, labels={"SERVICE_80_IGNORE": "1"}), HOST, "SERVICE_80_IGNORE is set"),
        (WEB, evolve(HOST, explicit=True), "it has no SERVICE_NAME, and only explicit ones are wanted"),
        (WEB, evolve(HOST, filters=(parse_filter("name=db*"),)), "it is not what --filter name=db* asks for"),
        (evolve(WEB, ports=(PortMapping(80, "tcp"),)), HOST, "it is not published on the host"),
        (
            evolve(WEB, ports=(PortMapping(80, "tcp"),), ports_pending=True),
            HOST,
            "Docker has not published it yet",
        ),
        (evolve(WEB, labels={"SERVICE_KIND": "proxy"}), HOST, "it is a proxy without a SERVICE_NAME"),
        (evolve(WEB, labels={"SERVICE_NAME": "a//b"}), HOST, "its name or id cannot be used"),
        (evolve(WEB, ports=()), HOST, "it has no port: none is exposed, none published"),
    ],
    ids=["ignored", "explicit", "filter", "unpublished", "pending", "proxy", "name", "no-port"],
)
def test_a_port_that_is_left_out_tells_the_rule(container: Container, policy: Policy, why: str) -> None:
    """Each way of not being registered has its sentence, and nothing of it is registered."""
    explanation = explained(container, policy)
    assert explanation.registered == ()
    assert rule(explanation) == why


def test_an_id_that_another_container_holds_is_told_with_its_holder() -> None:
    """Two containers claim one id: the later one learns from whom."""
    said = {"SERVICE_NAME": "web", "SERVICE_ID": "one"}
    first = evolve(WEB, id="f", name="/first", labels=said, started_at=0.5)
    explanation = explained(evolve(WEB, labels=said), HOST, first)
    assert explanation.registered == ()
    assert explanation.left_out == (PortLeftOut(port="80/tcp", rule="id one of service web is held by first"),)


@pytest.mark.parametrize(
    ("container", "why"),
    [
        (evolve(WEB, paused=True), "paused"),
        (evolve(WEB, health="unhealthy"), "unhealthy"),
        (evolve(WEB, restarting=True, exit_code=3), "exited 3"),
    ],
    ids=["paused", "unhealthy", "restarting"],
)
def test_a_container_that_is_not_well_tells_so_and_what_it_would_be(container: Container, why: str) -> None:
    """What is against it all stands above its ports, which are explained all the same."""
    explanation = explained(container)
    assert explanation.against == why
    assert words(explanation)["service"][0] == "whoami"


def test_what_is_wrong_with_a_label_is_told_with_its_value_and_not_as_a_word() -> None:
    """The label, its value and what was expected; what could not be meant is no word of the port."""
    explanation = explained(evolve(WEB, labels={"SERVICE_PUBLISH": "http", "SERVICE_CHECK_HTP": "/"}))
    assert Problem(where="SERVICE_PUBLISH='http'", reason="expected a port within 1–65535, got 'http'") in (
        explanation.problems
    )
    assert any(one.where == "SERVICE_CHECK_HTP='/'" for one in explanation.problems)
    assert words(explanation).keys() == {"service", "id", "address"}


def test_bindings_tell_their_variable_and_never_a_value_that_is_none() -> None:
    """What a container consumes is told from where; what bears the prefix by chance may be a password."""
    wishes = {"BACKEND_DB": "db[master];5432", "BACKEND_TOO": "db[master];5432", "BACKEND_KEY": "geheim"}
    explanation = explained(evolve(WEB, wishes=wishes, other_labels={"BACKEND_DB": "db[master];5432"}))
    told = {one.name: (one.source, one.wish, one.addresses, one.rule) for one in explanation.bindings}
    assert told == {
        "BACKEND_DB": ("label", "db[master] on 5432/tcp", ("172.17.0.4",), ""),
        "BACKEND_TOO": ("variable", "", (), "another one asks for the same"),
        "BACKEND_KEY": ("variable", "", (), "it cannot be meant, see the problems"),
    }
    assert "geheim" not in repr(explanation)


UNHEALTHY = {"Status": "unhealthy"}
STOPPED: dict[str, Any] = {
    "Id": "c" * 64,
    "Name": "/db",
    "Config": {
        "Image": "db",
        "ExposedPorts": {"5432/tcp": {}, "9000/tcp": {}, "9001/tcp": {}},
        "Env": ["SERVICE_TAGS=a", "SECRET=geheim"],
    },
    "State": {"Running": False, "ExitCode": 137, "StartedAt": "2026-11-20T10:00:00.5Z", "Health": UNHEALTHY},
    "HostConfig": {
        "NetworkMode": "default",
        "PortBindings": {"5432/tcp": [{"HostIp": "", "HostPort": "15432"}], "9000/tcp": [{"HostPort": ""}]},
    },
    "NetworkSettings": {"Ports": {}, "Networks": {"bridge": {"IPAddress": ""}}},
}


def test_a_container_that_does_not_run_is_explained_as_if_it_did() -> None:
    """Fixed ports are told as they would be; a port of Docker's choice has no number before it runs."""
    as_if = read_container(as_if_it_ran(STOPPED))
    state = apply(Registrar(policy=HOST), [Listed(frozenset([as_if.id]), (as_if,), 1.0)], 1.0)
    explanation = explanation_of(read_container(STOPPED), state, "BACKEND_")
    assert (explanation.state, explanation.against) == ("exited 137", "it does not run")
    assert words(explanation)["address"][0] == "10.0.0.5:15432"
    assert {left.port for left in explanation.left_out} == {"9000/tcp", "9001/tcp"}


def report(explanation: Explanation, register: RunningRegister) -> Report:
    """Return a report of one container."""
    return Report(host="host1", ip="10.0.0.5", ip_from="--ip", register=register, containers=(explanation,))


SILENT = RunningRegister(address="127.0.0.1:1934", reason="Connection refused")


def test_text_without_a_register_says_that_none_answers() -> None:
    """What nobody wrote is not said to be registered."""
    shown = text(report(explained(WEB), SILENT))
    assert "no register answers on 127.0.0.1:1934 (Connection refused)" in shown
    assert "  80/tcp would be registered as whoami\n" in shown
    assert "      address  10.0.0.5:8000   (published on all addresses, hence the host's)" in shown


def test_text_with_a_register_says_what_that_one_has() -> None:
    """The state that it wants it in, or that it does not know it; how each registry stands, conflicts included."""
    registries = [
        {"registry": "etcd://a", "holds the host": True, "undelivered seconds": 0.0},
        {"registry": "etcd://b", "problem": "no answer", "undelivered seconds": 12.3, "conflicts": ["held by host2"]},
    ]
    lines = ["whoami host1:web.1:80 10.0.0.5:8000 draining"]
    state = {"instances": lines, "registries": registries, "draining seconds": {"web.1": 12.0, "other": 3.0}}
    register = RunningRegister(address="127.0.0.1:1934", state=state)
    shown = text(report(explained(WEB), register))
    assert "  draining: it was told to end; still running in 12 s it is up again" in shown
    assert "80/tcp registered (draining) as whoami" in shown
    assert "etcd://a: holds the host; everything is written" in shown
    assert "etcd://b: does not hold the host; no answer; not everything is written, for 12 s; conflict: held" in shown
    ended = explained(evolve(WEB, restarting=True))
    assert "80/tcp registered (draining) as whoami" in text(report(ended, register))
    unknown = evolve(register, state={"instances": []})
    assert "80/tcp would be registered as whoami" in text(report(ended, unknown))
    assert "80/tcp unknown to the register that runs, would be registered" in text(report(explained(WEB), unknown))


def test_json_has_everything_as_documented() -> None:
    """The names of the fields are what scripts rely on."""
    lines = ["whoami host1:web.1:80 10.0.0.5:8000 up"]
    register = RunningRegister(address="127.0.0.1:1934", state={"instances": lines})
    told = json.loads(json_text(report(explained(WEB), register)))
    assert told.keys() == {"host", "ip", "ip_from", "register", "containers", "unknown"}
    assert told["register"] == {"address": "127.0.0.1:1934", "answers": True, "reason": "", "registries": []}
    (one,) = told["containers"]
    assert one["in_register"] == {"host1:web.1:80": "up"}
    assert one["registered"][0]["words"][0] == {"word": "service", "value": "whoami", "source": "image team/whoami:1"}


def test_what_strangers_wrote_moves_no_cursor() -> None:
    """A label may hold anything, also what a terminal would obey."""
    one = evolve(WEB, labels={"SERVICE_NOTE": "\x1b[2J"}, other_labels={"service_name\x1b": "x"})
    shown = text(report(explained(one), SILENT))
    assert "label service_name" in shown
    assert "\x1b" not in shown
