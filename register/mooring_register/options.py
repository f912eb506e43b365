"""The options that decide what a container comes to, declared once for every command that looks at containers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from mooring.cli import Parsed, Several, option
from mooring.errors import SettingsError
from mooring_register.containers import DEFAULT_BINDING_PREFIX
from mooring_register.engine.address import EXPECTED as EXPECTED_ENGINE
from mooring_register.engine.address import DockerAddress, completed, parse_docker_address
from mooring_register.engine.client import missing
from mooring_register.labels.filters import EXPECTED, parse_filter
from mooring_register.labels.naming import NameFrom
from mooring_register.labels.templates import Wording, parse_attribute, parse_name, parse_tags, split_words
from mooring_register.settings import parse_ip

F = TypeVar("F", bound=Callable[..., Any])


def _completed(_context: click.Context, _option: click.Parameter, given: DockerAddress | None) -> DockerAddress:
    """Return the engine to ask, whoever named it; what it needs is there."""
    try:
        address = completed(given, os.environ, str(Path.home() / ".docker"))
    except SettingsError as error:
        raise click.BadParameter(str(error)) from None
    if lacking := list(missing(address)):
        raise click.BadParameter("; ".join(lacking))
    return address


def docker_option(**settings: Any) -> Callable[[F], F]:  # noqa: ANN401 -- click's own
    """Declare `--docker`; the command is given a `DockerAddress`."""
    return option(
        "--docker",
        type=Parsed(parse_docker_address, "ADDRESS"),
        callback=_completed,
        help=f"The Docker engine to ask: {EXPECTED_ENGINE}.  [default: DOCKER_HOST, else {DockerAddress()}]",
        **settings,
    )


_OPTIONS: Final = (
    docker_option(),
    option("--host", metavar="NAME", help="This host's name in the registry.  [default: the engine's]"),
    option(
        "--ip",
        type=Parsed(parse_ip, "ADDRESS"),
        alias="HOST_IP",
        help="The address under which published ports are reached.  [default: the source address of the default route]",
    ),
    option("--interface", metavar="NAME", help="Take --ip from this network interface."),
    option(
        "--internal", is_flag=True, help="Register containers' own addresses and exposed ports, not published ones."
    ),
    option(
        "--network",
        multiple=True,
        metavar="NAME",
        help="With --internal: of a container's several networks take the address in this one. Repeatable, best first.",
    ),
    option(
        "--ip-from-label",
        metavar="LABEL",
        help="Take a container's address from this label of it, up to its last slash, if it has one.",
    ),
    option("--explicit", is_flag=True, help="Register only ports with a SERVICE_NAME."),
    option(
        "--filter",
        multiple=True,
        type=Parsed(parse_filter, "WORD=WANTED"),
        help=f"Register only containers that it holds for: {EXPECTED}. Repeatable.",
    ),
    option(
        "--name-from",
        type=click.Choice([str(one) for one in NameFrom]),
        default=str(NameFrom.IMAGE),
        help="After what a service is named when its container does not say SERVICE_NAME.",
    ),
    option(
        "--name-template",
        type=Parsed(parse_name, "TEMPLATE"),
        help="What a service is called, as Jinja2, such as '{{ compose.project }}-{{ service }}'.",
    ),
    option(
        "--tags",
        type=Parsed(parse_tags, "TEMPLATE[,TEMPLATE]"),
        default="",
        help="Tags that every instance has beside its container's, as Jinja2, such as 'eu,host-{{ hostname }}'.",
    ),
    option(
        "--attribute",
        multiple=True,
        type=Several(parse_attribute, "KEY=TEMPLATE", split_words),
        help="What a container's SERVICE_KEY says when the container does not, as Jinja2. Repeatable.",
    ),
    option(
        "--backend-prefix",
        metavar="PREFIX",
        default=DEFAULT_BINDING_PREFIX,
        help="What the names of variables and labels begin with in which a container says what it consumes.",
    ),
)


def container_options(command: F) -> F:
    """Give a command these options; `container_settings` reads them."""
    return reduce(lambda decorated, decorate: decorate(decorated), reversed(_OPTIONS), command)


def container_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what these options say, by the names of the fields of `Settings`."""
    return {
        "docker": options["docker"],
        "host": options["host"] or "",
        "ip": options["ip"] or "",
        "interface": options["interface"] or "",
        "internal": options["internal"],
        "networks": options["network"],
        "ip_label": options["ip_from_label"] or "",
        "explicit": options["explicit"],
        "filters": options["filter"],
        "name_from": NameFrom(options["name_from"]),
        "wording": Wording(options["tags"] or (), options["name_template"], options["attribute"]),
        "backend_prefix": options["backend_prefix"],
    }
