"""The images' recipes agree with each other and with what the parts say of themselves."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("register", "discover", "proxy")
RECIPES = {
    **{part: ROOT / part / "Dockerfile" for part in PARTS},
    **{server: ROOT / "compose" / server / "Dockerfile" for server in ("etcd", "redis")},
}


def stages(part: str) -> list[str]:
    """Return the stages of a recipe as text, comments left out."""
    lines = [line for line in RECIPES[part].read_text().splitlines() if line and not line.startswith("#")]
    return re.split(r"^(?=FROM )", "\n".join(lines), flags=re.MULTILINE)[1:]


def test_the_parts_begin_with_the_same_two_stages() -> None:
    """A letter's difference would have every host keep, and every build make, three interpreters."""
    interpreters, tools = zip(*(stages(part)[:2] for part in PARTS), strict=True)
    assert len(set(interpreters)) == 1
    assert len(set(tools)) == 1


@pytest.mark.parametrize("name", RECIPES)
def test_an_image_is_made_from_debian_alone(name: str) -> None:
    """The base is Debian's slim image; every other stage is one of its own."""
    bases = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", RECIPES[name].read_text(), re.MULTILINE)
    assert {base for base, _ in bases} - {stage for _, stage in bases} == {"debian:trixie-slim"}


@pytest.mark.parametrize("part", PARTS)
def test_an_image_says_of_its_part_what_the_part_says(part: str) -> None:
    """Description and version are those of the distribution."""
    project = tomllib.loads((ROOT / part / "pyproject.toml").read_text())["project"]
    labels = dict(re.findall(r'image\.(\w+)="([^"]*)"', stages(part)[-1]))
    assert labels["title"] == project["name"]
    assert (labels["description"], labels["version"]) == (project["description"], project["version"])


@pytest.mark.parametrize("part", PARTS)
def test_only_a_proxy_says_that_it_is_one(part: str) -> None:
    """The image of the proxy has the label by which register knows a proxy, and no other image has it."""
    assert ('LABEL SERVICE_KIND="proxy"' in stages(part)[-1]) is (part == "proxy")


def test_only_what_is_named_goes_into_a_build() -> None:
    """Everything is kept out but what a recipe copies: no .git, no .venv, no secret that lies around."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    copied = {
        source
        for recipe in RECIPES.values()
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", recipe.read_text(), re.MULTILINE)
        for source in line.split()
    }
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    for name in let_in:
        assert any(
            fnmatch(name, source) or f"{name}/".startswith(f"{source}/") or source.startswith(f"{name}/")
            for source in copied
        ), name
