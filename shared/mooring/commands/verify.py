"""`mooring verify`: whether the stream is a legal history without a hole, whose fold is what stands beside it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Final

import attrs
import click
from attrs import frozen

from mooring.catalog import Catalog
from mooring.cli import Command, option, stop_with
from mooring.commands.entry_forms import json_line
from mooring.commands.stream_options import stream_options
from mooring.commands.tailing import NO_STREAM
from mooring.errors import InvalidInput, Unavailable
from mooring.keys import RedisNames
from mooring.redis.client import RedisStream
from mooring.redis.history import Report, objections, port_objections, report_of
from mooring.redis.stream import StreamReader
from mooring.redis.whole import Whole, read_whole
from mooring.tables import harmless

# A long row of facts is written in several steps, and the ports follow with the last. Damage is still there a moment
# later; whatever is on its way has arrived.
AGAIN_SECONDS: Final = 0.5


@frozen
class Verdict:
    """What was found: objections, or else what the history holds."""

    objections: tuple[str, ...]
    report: Report | None = None
    catalog: Mapping[str, int] = attrs.field(factory=dict)


@click.command(cls=Command)
@stream_options("verify")
@option("--json", is_flag=True, help="The verdict as one JSON object.")
def verify(*, redis: str, namespace: str, json: bool) -> None:
    """Check the whole stream, and that catalog, ports and head are what it says.

    Ends with status 1 and every objection when something is wrong. discover may be at work meanwhile.
    """
    stream = RedisStream.from_url(redis, RedisNames(namespace))
    try:
        verdict = verdict_of(stream)
        if verdict.objections:
            time.sleep(AGAIN_SECONDS)
            verdict = verdict_of(stream)
    except Unavailable as error:
        stop_with(str(error))
    click.echo(json_line(document(verdict)) if json else text(verdict))
    sys.exit(1 if verdict.objections else 0)


def verdict_of(stream: StreamReader) -> Verdict:
    """Read all of a stream and judge it.

    Raises:
        Unavailable: Redis does not answer.
    """
    try:
        whole = read_whole(stream)
    except InvalidInput as error:
        return Verdict((str(error),))
    return Verdict((NO_STREAM,)) if whole is None else judge(whole)


def judge(whole: Whole) -> Verdict:
    """Return the verdict on a stream and what stands beside it."""
    found = objections(whole.head, whole.entries, whole.catalog)
    if whole.catalog is None:
        return Verdict((whole.unreadable, *found))
    # Until everything is written for the first time, nobody has been given a port yet.
    found += port_objections(whole.catalog, whole.ports) if whole.head.complete else ()
    return Verdict(found) if found else Verdict((), report_of(whole.head, whole.entries), _sizes(whole.catalog))


def _sizes(catalog: Catalog) -> dict[str, int]:
    return {
        "instances": sum(map(len, catalog.services.values())),
        "services": len(catalog.services),
        "bindings": len(catalog.bindings),
        "settings": len(catalog.settings),
    }


def text(verdict: Verdict) -> str:
    """Return the verdict for people."""
    report = verdict.report
    if report is None:
        return "\n".join(
            (*map(harmless, verdict.objections), f"the stream is damaged: objections {len(verdict.objections)}")
        )
    sizes = ", ".join(f"{name} {number}" for name, number in verdict.catalog.items())
    span = f"entries {report.first}–{report.sequence}" if report.sequence else "no entry yet"
    return f"well: {span} of incarnation {report.incarnation} fold to the catalog: {sizes}"


def document(verdict: Verdict) -> dict[str, object]:
    """Return the verdict for machines."""
    report = attrs.asdict(verdict.report) if verdict.report else None
    return {
        "well": not verdict.objections,
        "objections": list(verdict.objections),
        "history": report,
        "catalog": dict(verdict.catalog),
    }
