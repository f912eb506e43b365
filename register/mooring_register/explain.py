"""The command `mooring explain`: looks at containers, asks the register that runs, and prints why things are so."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import click
from attrs import evolve

from mooring.cli import Command, Parsed, address, option, stop_with
from mooring.errors import WorldError
from mooring.model import Address
from mooring_register import explanation_forms as forms
from mooring_register.containers import Container, Inspected, read_container
from mooring_register.docker_listing import list_once
from mooring_register.engine import Engine
from mooring_register.explanation import as_if_it_ran, explanation_of
from mooring_register.observations import Listed
from mooring_register.options import container_options, container_settings
from mooring_register.registrar import Registrar, apply
from mooring_register.running_register import ask_register
from mooring_register.settings import Settings, container_problems
from mooring_register.sources import docker_source_of, policy_of


@click.command(
    cls=Command,
    check=container_problems,
    # In register's own container it is asked with register's own settings.
    context_settings={"auto_envvar_prefix": "MOORING_REGISTER"},
)
@click.argument("containers", nargs=-1, metavar="[CONTAINER]...")
@container_options
@option(
    "--admin",
    type=Parsed(address, "[ADDRESS:]PORT"),
    default="127.0.0.1:1934",
    help="Where the register that runs answers, if one does.",
)
@option("--json", is_flag=True, envvar="MOORING_EXPLAIN_JSON", help="One JSON object, with everything.")
def explain(containers: tuple[str, ...], *, admin: Address, json: bool, **options: Any) -> None:  # noqa: ANN401 -- click's
    """Say why containers are registered as they are, or why not: port by port, by which rule, and what is wrong.

    CONTAINER is a name, or an id or the beginning of one; without any, all that run are explained. One that does not
    run is explained as if it did. Give it the options that register has, or its environment.
    """
    settings = Settings(registries=(), static=None, admin=admin, **container_settings(options))
    try:
        report = _report(docker_source_of(settings).engine, settings, containers)
    except WorldError as error:
        stop_with(str(error))
    click.echo(forms.json_text(report) if json else forms.text(report))
    sys.exit(1 if report.unknown else 0)


def _report(engine: Engine, settings: Settings, wanted: Iterable[str]) -> forms.Report:
    now = time.time()
    policy = policy_of(settings, engine.identity())
    listed = list_once(engine, now, settings.backend_prefix)
    found = {text: engine.inspect(text) for text in wanted}
    running = {one.id: one for one in listed.inspected}
    asked = _asked(found, settings.backend_prefix) if found else running
    as_if = {one.id: _as_if_it_ran(found, one, settings.backend_prefix, now) for one in asked.values()}
    all_of_them = running | as_if
    state = apply(Registrar(policy=policy), [Listed(frozenset(all_of_them), tuple(all_of_them.values()), now)], now)
    return forms.Report(
        host=policy.host,
        ip=policy.ip,
        ip_from=_ip_from(settings, policy.ip),
        register=ask_register(settings.admin),
        containers=tuple(explanation_of(one, state, settings.backend_prefix) for one in asked.values()),
        unknown=tuple(_unknown(text, running.values()) for text, document in found.items() if document is None),
    )


def _asked(found: Mapping[str, Inspected | None], binding_prefix: str) -> dict[str, Container]:
    read = (read_container(document, binding_prefix) for document in found.values() if document is not None)
    return {one.id: one for one in read}


def _as_if_it_ran(
    found: Mapping[str, Inspected | None], container: Container, binding_prefix: str, now: float
) -> Container:
    if container.running:
        return container
    document = next(one for one in found.values() if one is not None and one["Id"] == container.id)
    # Started only now, it takes nothing from those that run.
    return evolve(read_container(as_if_it_ran(document), binding_prefix), started_at=now)


def _ip_from(settings: Settings, ip: str) -> str:
    if settings.ip:
        return "--ip"
    if settings.interface:
        return f"--interface {settings.interface}"
    return "the default route" if ip else "its address is not known: see --ip"


def _unknown(text: str, running: Iterable[Container]) -> str:
    names = sorted(one.name.removeprefix("/") for one in running)
    alike = [name for name in names if name.startswith(text)] or get_close_matches(text, names)
    meant = f"; did you mean {' or '.join(alike)}?" if text and alike else ""
    return f"there is no container {text!r}{meant}"
