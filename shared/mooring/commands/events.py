"""`mooring events`: the stream as a table or as JSON lines, and following it whatever happens to it."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, TypeAlias

import click

from mooring.backoff import Backoff
from mooring.cli import Command, Parsed, option, stop_with
from mooring.commands.choosing import Choice, Since, parse_since
from mooring.commands.entry_forms import TITLES, Notice, document, json_line, lines_of, read
from mooring.commands.reading import begin, go_on
from mooring.commands.stream_options import stream_options
from mooring.commands.tailing import NO_STREAM, Cursor, Told
from mooring.errors import InvalidInput, Unavailable
from mooring.facts import FACT_TYPES
from mooring.keys import RedisNames
from mooring.redis.client import RedisStream
from mooring.redis.stream import StreamReader
from mooring.selector import Selector, parse_selector
from mooring.tables import Columns

NEWEST: Final = 20

Tell: TypeAlias = Callable[[Iterable[Told]], None]


@click.command(cls=Command)
@stream_options("events")
@option("--follow", "-f", is_flag=True, help="Go on showing what comes, until Ctrl-C.")
@option("--json", is_flag=True, help="One JSON object per line, with all fields decoded.")
@option(
    "--count",
    "-n",
    type=click.IntRange(min=0),
    help=f"How many of the newest to show.  [default: {NEWEST}, with --since all]",
)
@option(
    "--since",
    type=Parsed(parse_since, "SEQUENCE|DURATION"),
    help="Show entries from this one on, or what was appended within 30s, 10m, 2h, 1d.",
)
@option(
    "--service",
    type=Parsed(parse_selector, "SERVICE[TAG,TAG]"),
    help="Only what concerns this service; /PATH and * as in a proxy's --listen.",
)
@option(
    "--type",
    type=click.Choice(sorted(FACT_TYPES)),
    metavar="TYPE",
    multiple=True,
    help="Only this type, like instance-removed. Repeatable.",
)
def events(
    *,
    redis: str,
    namespace: str,
    follow: bool,
    json: bool,
    count: int | None,
    since: Since | None,
    service: Selector | None,
    type: tuple[str, ...],  # noqa: A002 -- the option's name, which is also its environment variable's
) -> None:
    """Show what happened: the newest entries of the stream, oldest first.

    With --follow also when the stream is trimmed, begun anew or away for a while: it is told, and goes on.
    """
    most = NEWEST if count is None and since is None else count
    choice = Choice(count=most, since=since, types=frozenset(type), selector=service)
    tell = teller(json=json)
    stream = RedisStream.from_url(redis, RedisNames(namespace))
    if not follow:
        tell_once(stream, choice, tell)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        follow_for_ever(stream, choice, tell)


def teller(*, json: bool) -> Tell:
    """Return what prints entries and notices, at once."""
    columns = Columns(TITLES)

    def tell(told: Iterable[Told]) -> None:
        items = [one if isinstance(one, Notice) else read(one) for one in told]
        lines = [json_line(document(item)) for item in items] if json else lines_of(columns, items, None)
        if lines:
            click.echo("\n".join(lines))

    return tell


def tell_once(stream: StreamReader, choice: Choice, tell: Tell) -> None:
    """Tell what is there and end, with status 1 when Redis does not answer or there is no stream."""
    try:
        _, told = begin(stream, choice)
    except (Unavailable, InvalidInput) as error:
        stop_with(str(error))
    if told == [Notice(NO_STREAM)]:
        stop_with(NO_STREAM)
    tell(told)


def follow_for_ever(stream: StreamReader, choice: Choice, tell: Tell) -> None:
    """Tell what is there, and then what comes; that Redis is away is told once, and so is that it is back."""
    cursor: Cursor | None = None
    start = backoff = Backoff(most_seconds=2.0)
    while True:
        try:
            cursor, told = begin(stream, choice) if cursor is None else go_on(stream, cursor, choice)
        except (Unavailable, InvalidInput) as error:
            if backoff == start:
                tell([Notice(f"{error}: trying on")])
            time.sleep(backoff.delay_seconds(random.random()))  # noqa: S311 -- jitter
            backoff = backoff.next()
            continue
        tell(told if backoff == start else [Notice("Redis answers again"), *told])
        backoff = start
