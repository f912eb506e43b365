"""The command `mooring explain`: looks at containers, asks the register that runs, and prints why things are so."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final

import click
from attrs import evolve

from mooring.cli import Command, Parsed, address, option, stop_with
from mooring.errors import WorldError
from mooring.model import Address
from mooring_register.containers import Inspected, read_container
from mooring_register.engine.listing import Looked, list_once
from mooring_register.engine.seam import Engine, Unanswered
from mooring_register.explain import forms
from mooring_register.explain.explanation import as_if_it_ran, explanation_of
from mooring_register.explain.running_register import ask_register
from mooring_register.observations import Listed
from mooring_register.options import container_options, container_settings
from mooring_register.registrar import Registrar, apply
from mooring_register.settings import Settings, container_problems
from mooring_register.sources import docker_source_of, policy_of

# What an engine answers, as a failure of its own, to the beginning of several ids.
_AMBIGUOUS: Final = "Multiple IDs found"


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


def _report(engine: Engine, settings: Settings, wanted: tuple[str, ...]) -> forms.Report:
    now, prefix = time.time(), settings.backend_prefix
    policy = policy_of(settings, engine.identity())
    looked = list_once(engine, now, prefix)
    running = {one.id: one for one in looked.listed.inspected}
    found, unknown = _find(engine, wanted or looked.unanswered, looked)
    asked = {one["Id"]: read_container(one, prefix) for one in found} if wanted else running
    # Started only now, those that do not run take nothing from those that do.
    as_if = {
        one["Id"]: evolve(read_container(as_if_it_ran(one), prefix), started_at=now)
        for one in found
        if not asked[one["Id"]].running
    }
    everything = {**running, **asked, **as_if}
    state = apply(Registrar(policy=policy), [Listed(frozenset(everything), tuple(everything.values()), now)], now)
    return forms.Report(
        host=policy.host,
        ip=policy.ip,
        ip_from=_ip_from(settings, policy.ip),
        register=ask_register(settings.admin),
        containers=tuple(explanation_of(one, state, prefix) for one in asked.values()),
        unknown=tuple(unknown),
    )


def _find(engine: Engine, wanted: Iterable[str], looked: Looked) -> tuple[list[Inspected], list[str]]:
    """Return what is known of those that are wanted, and a sentence about each of which nothing is."""
    names = sorted(one.name.removeprefix("/") for one in looked.listed.inspected)
    found: list[Inspected] = []
    unknown: list[str] = []
    for text in wanted:
        if reason := looked.unanswered.get(text):
            unknown.append(_unanswered(text, reason))
            continue
        try:
            document = engine.inspect(text)
        except Unanswered as error:
            unknown.append(_unanswered(text, str(error)))
            continue
        if document is None:
            unknown.append(_unknown(text, names))
        else:
            found.append(document)
    return found, unknown


def _unanswered(text: str, reason: str) -> str:
    if _AMBIGUOUS in reason:
        return f"the ids of several containers begin with {text!r}"
    return f"the engine gives no answer about {text!r}: {reason}"


def _ip_from(settings: Settings, ip: str) -> str:
    if settings.ip:
        return "--ip"
    if settings.interface:
        return f"--interface {settings.interface}"
    return "the default route" if ip else "its address is not known: see --ip"


def _unknown(text: str, names: Sequence[str]) -> str:
    alike = [name for name in names if name.startswith(text)] or get_close_matches(text, names)
    meant = f"; did you mean {' or '.join(alike)}?" if alike else ""
    return f"there is no container {text!r}{meant}"
