"""The page for those who come from other systems names all that these have, and only what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from mooring_register.labels.templates import parse_attribute, parse_name, parse_tags, parse_template
from mooring_register.main import register

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/from-registrator.md").read_text()
README = (ROOT / "register/README.md").read_text()
ENGINES = (ROOT / "docs/register/engines.md").read_text()
TEMPLATES = (ROOT / "docs/register/templates.md").read_text()
OPTIONS = {spelling for option in register.params for spelling in option.opts}

# Their command lines, whole: facts about them, which do not change any more.
REGISTRATOR = {
    *("-ip", "-internal", "-explicit", "-useIpFromLabel", "-tags", "-resync", "-ttl", "-ttl-refresh", "-cleanup"),
    *("-retry-attempts", "-retry-interval", "-deregister"),
}
DOCKER_REGISTER = {"HOST_IP", "ETCD_HOST", "DOCKER_HOST"}
EMBASSY_REGISTERS = {"-prefix", "-docker", "-interface", "-resync", "-etcd-cacert", "-etcd-cert", "-etcd-keycert"}


def section(name: str) -> str:
    """Return the part of the page under a heading."""
    return PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def left(name: str) -> set[str]:
    """Return what stands in the left column of a section's tables."""
    rows = (line.split("|")[1] for line in section(name).splitlines() if line.startswith("| "))
    return {one for row in rows for one in re.findall(r"`([^`]+)`", row)}


@pytest.mark.parametrize(
    ("name", "known"),
    [("registrator", REGISTRATOR), ("docker-register", DOCKER_REGISTER), ("embassy", EMBASSY_REGISTERS)],
)
def test_all_that_they_have_is_named(name: str, known: set[str]) -> None:
    """Whoever looks for a flag or a variable of theirs finds its row."""
    assert known <= left(name)


def test_every_option_that_the_page_names_exists() -> None:
    """What is to be written instead is there."""
    named = set(re.findall(r"[` ](--[a-z-]+)", PAGE))
    assert len(named) > 10
    assert named <= OPTIONS


def test_every_variable_that_the_page_calls_the_same_is_read() -> None:
    """A variable of theirs that is said to be read stands in the help, or where register's pages list such ones."""
    said = set(re.findall(r"`((?:HOST_IP|ETCD_HOST|DOCKER_\w+|CONSUL_\w+))`", PAGE))
    help_text = CliRunner().invoke(register, ["--help"]).stdout
    assert {"HOST_IP", "ETCD_HOST", "CONSUL_HTTP_TOKEN", "DOCKER_HOST"} <= said
    assert {name for name in said if name not in help_text and name not in README + ENGINES} == set()


def test_every_template_of_the_page_can_be_read() -> None:
    """What is written instead of Go's templates, in the right column, is none that cannot be meant."""
    rows = [line for line in section("registrator").splitlines() if line.startswith("| `{{")]
    shown = [one for row in rows for one in re.findall(r"\{\{ [^{}]+ \}\}", re.split(r"(?<!\\)\|", row)[2])]
    assert len(shown) > 5
    for one in shown:
        parse_template("--tags", one.replace("\\|", "|"))


def test_every_template_that_is_shown_can_be_read() -> None:
    """Nobody copies a template only to be told that it cannot be meant."""
    parsers = {"tags": parse_tags, "name-template": parse_name, "attribute": parse_attribute}
    shown = re.findall(r"--(tags|name-template|attribute) '([^']+)'", TEMPLATES)
    assert {option for option, _ in shown} == parsers.keys()
    for option, text in shown:
        parsers[option](text)
