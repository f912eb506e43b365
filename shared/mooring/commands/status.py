"""`mooring status`: how the stream, its sources and its proxies stand, on one screen, with what is wrong first."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import click

from mooring.catalog import Catalog
from mooring.cli import Command, option
from mooring.commands.entry_forms import json_line
from mooring.commands.overview import (
    Overview,
    first_lacking,
    proxy_of,
    services_of,
    sources_of,
    states_of,
)
from mooring.commands.problems import problems
from mooring.commands.reading import appended_at
from mooring.commands.status_forms import document, screen
from mooring.commands.stream_options import stream_options
from mooring.errors import InvalidInput, Unavailable
from mooring.keys import RedisNames
from mooring.redis.client import RedisStream
from mooring.redis.stream import Head, StreamReader
from mooring.redis.whole import read_catalog

AGAIN_SECONDS: Final = 2.0


@click.command(cls=Command)
@stream_options("status")
@option("--follow", "-f", is_flag=True, help=f"Look again every {AGAIN_SECONDS:.0f} s, until Ctrl-C.")
@option("--json", is_flag=True, help="One JSON object, with everything; with --follow one per line.")
def status(*, redis: str, namespace: str, follow: bool, json: bool) -> None:
    """Show on one screen how everything stands, what is wrong first.

    Ends with status 0 when all is well, 1 when there are problems, 2 when the configuration is wrong.
    """
    names = RedisNames(namespace)
    stream = RedisStream.from_url(redis, names)
    if not follow:
        sys.exit(1 if show(stream, namespace, json=json) else 0)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        while True:
            show(stream, namespace, json=json, clear=sys.stdout.isatty())
            time.sleep(AGAIN_SECONDS)


def show(stream: StreamReader, namespace: str, *, json: bool, clear: bool = False) -> int:
    """Look once, print what was seen, and return how many problems there are."""
    overview = look(stream, time.time())
    found = problems(overview)
    text = json_line(document(overview, found)) if json else screen(overview, found, namespace, None)
    if clear and not json:
        click.clear()
    click.echo(text)
    return len(found)


def look(stream: StreamReader, at: float) -> Overview:
    """Read everything that Redis holds; what could not be read is told in the overview. `at` is now."""
    try:
        # Before the head: what a proxy applied after that does not count as lacking.
        announced = stream.announced()
        head, lead = stream.head(), stream.leader()
        catalog, unreadable = read_catalog(stream)
        ports = stream.ports()
        proxies = tuple(
            proxy_of(name, said, head, waiting_seconds=_waiting_seconds(stream, said, head, at))
            for name, said in sorted(announced.items())
        )
    except (Unavailable, InvalidInput) as error:
        return Overview(at=at, failure=str(error))
    return Overview(
        at=at,
        failure=unreadable,
        head=head,
        lead=lead,
        sources=sources_of(head),
        services=services_of(catalog or Catalog(), ports),
        states=states_of(catalog or Catalog()),
        bindings=len(catalog.bindings) if catalog else 0,
        proxies=proxies,
    )


def _waiting_seconds(stream: StreamReader, said: Mapping[str, str], head: Head | None, at: float) -> float | None:
    lacks = first_lacking(said, head)
    return None if lacks is None else max(0.0, at - appended_at(stream, lacks))
