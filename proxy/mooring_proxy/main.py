"""`mooring proxy`: the options, and what is wrong with them together. What is started by them is in running.py."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from mooring.cli import Command, Parsed, address, admin_file_option, option
from mooring.model import Address
from mooring.redis.connection import DEFAULT_URL, checked_url
from mooring_proxy.catalog_file import read_catalog
from mooring_proxy.routing import PUBLISH_PORTS
from mooring_proxy.settings import (
    Listen,
    Settings,
    parse_host,
    parse_listen,
    parse_ports,
    parse_seconds,
    twice_listened,
)


def check(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with options that are each well-formed."""
    if params["redis"] and params["catalog"]:
        yield "--redis and --catalog exclude each other"
    elif params["catalog"]:
        yield from read_catalog(params["catalog"])[1]
    yield from twice_listened(params["listen"], params["address"])
    directory = params["state_dir"]
    if directory and not (directory.is_dir() and os.access(directory, os.W_OK)):
        yield f"--state-dir: {directory} is not a directory that can be written"
    if params["sockets"] and not params["sockets"].parent.is_dir():
        yield f"--sockets: {params['sockets'].parent} is not a directory"


@click.command(cls=Command, check=check)
@option(
    "--redis",
    type=Parsed(checked_url, "ADDRESS"),
    help="Where discover writes the stream: redis://[USER:PASSWORD@]HOST:PORT/DATABASE, rediss:// for TLS, or "
    "redis+sentinel://[USER:PASSWORD@]HOST:26379[,HOST2:26379]/PRIMARY[/DATABASE] behind sentinels.  "
    f"[default: {DEFAULT_URL}]",
)
@option("--namespace", default="mooring", help="What the names of the stream begin with.")
@option(
    "--catalog",
    type=click.Path(path_type=Path),
    help="Instead of Redis: a JSON array of instance documents, read at start and on SIGHUP.",
)
@option(
    "--publish",
    type=click.Choice(["auto", "none"]),
    default="auto",
    help="auto: listen on every service's own port.",
)
@option(
    "--publish-ports",
    type=Parsed(parse_ports, "FIRST-LAST"),
    default=f"{PUBLISH_PORTS.start}-{PUBLISH_PORTS.stop - 1}",
    help="The ports that may be published automatically.",
)
@option(
    "--listen",
    type=Parsed(parse_listen, "[ADDRESS:]PORT=SERVICE[TAG,TAG]"),
    multiple=True,
    help="Listen on this port for this service, whatever the catalog says. Repeatable.",
)
@option("--driver", type=click.Choice(["relay"]), default="relay", help="What carries the bytes.")
@option("--balance", type=click.Choice(["round-robin"]), default="round-robin", help="How a backend is picked.")
@option("--address", type=Parsed(parse_host, "IP"), default="0.0.0.0", help="The address to listen on.")  # noqa: S104
@option("--host", help="The name of this host.  [default: what the system says]")
@option(
    "--admin",
    type=Parsed(address, "[HOST:]PORT"),
    help="Where /healthz, /readyz, /metrics and /state answer.  [default: the first free port from 127.0.0.1:1936 on]",
)
@admin_file_option
@option(
    "--drain-seconds",
    type=Parsed(parse_seconds, "SECONDS"),
    default="30",
    help="How long open connections may go on after SIGTERM.",
)
@option(
    "--connect-seconds",
    type=Parsed(parse_seconds, "SECONDS"),
    default="1",
    help="How long to wait for a backend before the next is tried.",
)
@option("--state-dir", type=click.Path(path_type=Path), help="Keep the last catalog here, to start without Redis.")
@option(
    "--sockets",
    type=click.Path(path_type=Path),
    help="Where `mooring sockets` holds the listening sockets of this host's proxies.  [default: listen by itself]",
)
def proxy(
    *,
    redis: str | None,
    namespace: str,
    catalog: Path | None,
    publish: str,
    publish_ports: range,
    listen: tuple[Listen, ...],
    driver: str,  # noqa: ARG001 -- there is one so far
    balance: str,  # noqa: ARG001 -- the same
    address: str,
    host: str | None,
    admin: Address | None,
    admin_file: Path | None,
    drain_seconds: float,
    connect_seconds: float,
    state_dir: Path | None,
    sockets: Path | None,
) -> None:
    """Carry connections to where the service is now.

    Follows the stream of facts in Redis and listens on one port per service. SIGTERM lets open connections finish.
    """
    # Not at the top: whoever only asks for help need not wait for Twisted.
    from mooring_proxy.running import run  # noqa: PLC0415

    run(
        Settings(
            redis=redis or DEFAULT_URL,
            namespace=namespace,
            catalog=catalog,
            publish=publish == "auto",
            publish_ports=publish_ports,
            listen=listen,
            address=address,
            host=host or socket.gethostname(),
            admin=admin,
            admin_file=admin_file,
            drain_seconds=drain_seconds,
            connect_seconds=connect_seconds,
            state_dir=state_dir,
            sockets=sockets,
        )
    )
