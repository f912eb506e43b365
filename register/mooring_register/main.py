"""The command `mooring register`: reads the options, and hands over to what they ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mooring.cli import Command, Parsed, address, admin_file_option, note_alias, option, stop_with
from mooring.errors import SettingsError, WorldError
from mooring.etcd.address import EtcdAddress
from mooring.model import Address
from mooring.telemetry import get_logger
from mooring_register.aliases import ETCD_HOST, at_the_old_port, registry_of_etcd_host
from mooring_register.deregistration import Deregister
from mooring_register.dry_run import print_what_would_be_written
from mooring_register.engine.address import HOST_VARIABLE
from mooring_register.layouts import named as layouts
from mooring_register.options import container_options, container_settings
from mooring_register.service import Service
from mooring_register.settings import (
    DEFAULT_RESYNC_SECONDS,
    DEFAULT_TTL_SECONDS,
    LEAST_TTL_SECONDS,
    RegistryAddress,
    Settings,
    parse_registry,
    problems,
)


def _complete(context: click.Context) -> Iterator[str]:
    """Take the registry from docker-register's variable where nothing names one; note what comes from elsewhere."""
    options = context.params
    host = os.environ.get(ETCD_HOST, "")
    if host and not options["registry"]:
        has_layout = context.get_parameter_source("layout") is not ParameterSource.DEFAULT
        note_alias(context, ETCD_HOST)
        try:
            options["registry"] = (parse_registry(registry_of_etcd_host(host, has_layout=has_layout), os.environ),)
        except SettingsError as error:
            yield f"{ETCD_HOST}: {error}"
    consuls = [one for one in options["registry"] if not isinstance(one, EtcdAddress)]
    for variable in (variable for one in consuls for variable in one.variables):
        note_alias(context, variable)
    if options["docker"].named_by == HOST_VARIABLE:
        note_alias(context, HOST_VARIABLE)


@click.command(cls=Command, complete=_complete, check=problems)
@option(
    "--registry",
    multiple=True,
    type=Parsed(
        lambda text: parse_registry(text, os.environ), "etcd://HOST:PORT[,HOST:PORT]/PREFIX|consul://HOST:PORT"
    ),
    help=f"Where to write. Repeat it for several registries.  [or as: {ETCD_HOST}]",
)
@option(
    "--layout",
    type=click.Choice(layouts.NAMES),
    help="In which form to write it: Mooring's own (the default, but for consulkv://, where it is registrator's), "
    "or that of a system whose readers are to understand it.",
)
@option(
    "--static",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.yaml",
    help="Register the instances that this file lists; it is watched.",
)
@container_options
@option(
    "--ttl",
    type=click.IntRange(LEAST_TTL_SECONDS),
    metavar="SECONDS",
    default=DEFAULT_TTL_SECONDS,
    help="How long what is written outlives a register that died.",
)
@option(
    "--resync",
    type=click.FloatRange(1),
    metavar="SECONDS",
    default=DEFAULT_RESYNC_SECONDS,
    help="How often everything is compared, although nothing seems to have happened.",
)
@option(
    "--admin",
    type=Parsed(address, "[ADDRESS:]PORT"),
    default="127.0.0.1:1934",
    help="Where /healthz, /readyz, /metrics and /state are served.",
)
@admin_file_option
@option("--dry-run", is_flag=True, help="Print what would be written, and why some ports would not be; then end.")
@option(
    "--deregister",
    type=click.Choice([str(one) for one in Deregister]),
    default=str(Deregister.ALWAYS),
    help="What is taken out of the registry when it ends: all, or only what did not fail; the rest stays, as down.",
)
@option("--withdraw-on-exit", is_flag=True, help="Take everything out of the registry at the end.")
@option("--withdraw", is_flag=True, help="Take this host out of the registry, then end.")
def register(
    registry: tuple[RegistryAddress, ...],
    static: Path | None,
    dry_run: bool,
    withdraw: bool,
    **options: Any,  # noqa: ANN401 -- click's own
) -> None:
    """Publish what runs on this host, Docker's containers or a static list, in etcd under a lease, or in Consul.

    A container says how with labels (or variables): SERVICE_NAME, SERVICE_TAGS, SERVICE_80_NAME, SERVICE_IGNORE, … When
    register ends, what it wrote stays for its successor; when none comes, it expires with the lease. In Consul it
    stays for an hour more, critical.
    """
    for one in at_the_old_port(registry):
        get_logger().warning("this port was that of etcd's v2 API, which is etcd2:// here", registry=str(one))
    settings = _settings(registry, static, options)
    try:
        if dry_run:
            print_what_would_be_written(settings)
        elif withdraw:
            Service(settings).withdraw()
        else:
            Service(settings).run()
    except WorldError as error:
        stop_with(str(error))


def _settings(
    registries: tuple[RegistryAddress, ...],
    static: Path | None,
    options: dict[str, Any],
) -> Settings:
    admin: Address = options["admin"]
    return Settings(
        registries=registries,
        layout=options["layout"] or "",
        static=static,
        ttl_seconds=options["ttl"],
        resync_seconds=options["resync"],
        admin=admin,
        admin_file=options["admin_file"],
        withdraw_on_exit=options["withdraw_on_exit"],
        deregister=Deregister(options["deregister"]),
        **container_settings(options),
    )
