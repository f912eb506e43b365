"""The command `mooring discover`: reads the settings, puts the parts together, ends in order."""

from __future__ import annotations

import os
import random
import secrets
import signal
import socket
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import click

from mooring.admin import Admin, Ready, State
from mooring.cli import Command, Parsed, address, admin_file_option, option, stop_with
from mooring.errors import SettingsError
from mooring.etcd.address import SCHEME, EtcdAddress, parse_etcd_address
from mooring.etcd.client import connect_to
from mooring.keys import RedisNames
from mooring.model import Address
from mooring.redis.client import RedisStream
from mooring.redis.connection import DEFAULT_URL, checked_url
from mooring.redis.stream import StreamWriter
from mooring.telemetry import get_logger
from mooring.threads import end_watchdog, start, watchdog
from mooring_discover.leadership import Leadership
from mooring_discover.metrics import INSTANCES, SUSPECTS
from mooring_discover.owner import Clock, Owner
from mooring_discover.publisher import Publisher
from mooring_discover.sources.etcd import EtcdSource
from mooring_discover.sources.source import Source
from mooring_discover.status import readiness, status, suspected
from mooring_discover.suspects import Policy

# The slowest turn writes a hundred thousand instances; it reports progress after each batch.
TURN_MOST_SECONDS = 60.0
STOP_SECONDS = 1.0
SIGNAL_SECONDS = 0.2  # the longest that a signal goes unnoticed

log = get_logger()


def source_address(text: str) -> EtcdAddress:
    """Read the address of a source.

    Raises:
        SettingsError: it is none that this version can follow.
    """
    if not text.startswith(SCHEME):
        raise SettingsError(text.partition("?")[0], f"only {SCHEME}HOST:PORT/PREFIX can be followed so far")
    return parse_etcd_address(text)


def check(options: Mapping[str, Any]) -> Iterable[str]:
    """Yield what is wrong with options that were each read without a problem."""
    sources: tuple[EtcdAddress, ...] = options["source"]
    names = [str(one) for one in sources]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"--source: {name} is given more than once"
    for one in sources:
        try:
            connect_to(one).close()
        except SettingsError as error:
            yield f"--source: {error}"


@click.command(cls=Command, check=check)
@option(
    "--source",
    multiple=True,
    required=True,
    type=Parsed(source_address, "ADDRESS"),
    help="A registry to follow: etcd://HOST:2379[,HOST2:2379]/PREFIX?ca=FILE&cert=FILE&key=FILE&user=NAME&"
    "password-file=FILE. Repeatable; where two know one instance, the first is shown.",
)
@option(
    "--redis",
    default=DEFAULT_URL,
    type=Parsed(checked_url, "ADDRESS"),
    help="Where the stream is written: redis://[USER:PASSWORD@]HOST:PORT/DATABASE, rediss:// for TLS; behind sentinels "
    "redis+sentinel://[USER:PASSWORD@]HOST:26379[,HOST2:26379]/PRIMARY[/DATABASE], rediss+sentinel://.",
)
@option("--namespace", default="mooring", help="What all names in Redis begin with.")
@option(
    "--hold-seconds",
    type=click.FloatRange(min=0),
    default=30.0,
    help="How long what vanished without a word stays, as a suspect; and how long an empty registry is not believed.",
)
@option(
    "--ttl",
    type=click.IntRange(min=2),
    default=15,
    help="The registers' --ttl in seconds: so long after a registry's silence its expiries are not believed.",
)
@option(
    "--lead-seconds",
    type=click.FloatRange(min=0.5),
    default=2.0,
    help="A standby takes over when the leader was not heard of for so long.",
)
@option(
    "--stream-length",
    type=click.IntRange(min=1000),
    default=100_000,
    help="About how many entries the stream keeps.",
)
@option(
    "--admin",
    default="127.0.0.1:1935",
    type=Parsed(address, "[HOST:]PORT"),
    help="Where /healthz, /readyz, /metrics and /state answer; port 0 takes any free one.",
)
@admin_file_option
def discover(
    *,
    source: tuple[EtcdAddress, ...],
    redis: str,
    namespace: str,
    hold_seconds: float,
    ttl: int,
    lead_seconds: float,
    stream_length: int,
    admin: Address,
    admin_file: Path | None,
) -> None:
    """Turn the changes of registries into one stream of facts in Redis, with the catalog beside it.

    Several may run on one stream: one leads and writes, the others stand by. See what it writes with
    `mooring events`.
    """
    sources = [EtcdSource(str(one), connect_to(one), one.prefix) for one in source]
    policy = Policy(hold_seconds=hold_seconds, ttl_seconds=float(ttl))
    stream = RedisStream.from_url(redis, RedisNames(namespace))
    run(
        sources,
        stream,
        policy,
        lead_seconds=lead_seconds,
        stream_length=stream_length,
        admin_address=admin,
        admin_file=admin_file,
    )


def run(
    sources: Sequence[Source],
    stream: StreamWriter,
    policy: Policy,
    *,
    lead_seconds: float,
    stream_length: int,
    admin_address: Address,
    admin_file: Path | None,
) -> None:
    """Run until SIGTERM or SIGINT."""
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    turned = partial(watchdog, TURN_MOST_SECONDS)
    publisher = Publisher(
        stream, new_incarnation=lambda: uuid.uuid4().hex, stream_length=stream_length, progress=turned
    )
    leadership = Leadership(stream, _who_we_are(), expiry_seconds=lead_seconds)
    clock = Clock(time.time, time.monotonic, random.random)
    owner = Owner([source.name for source in sources], publisher, leadership, policy, clock)
    server = _admin(
        admin_address,
        admin_file,
        ready=partial(readiness, owner, leadership),
        state=partial(status, owner, leadership, publisher, sources),
    )
    INSTANCES.set_function(lambda: sum(map(len, owner.known.shown.services.values())))
    SUSPECTS.set_function(lambda: len(suspected(owner.known)))
    leadership.start(owner.wake)
    for source in sources:
        source.start(owner.tell)
    turning = start("owner", partial(owner.run, stopping, turned))
    log.info("following", sources=[source.name for source in sources], admin=str(server.address))
    # Not for ever at once: a signal that another thread takes, or that comes just before the wait, wakes nobody here.
    while not stopping.wait(SIGNAL_SECONDS):
        pass
    _end(sources, owner, turning, leadership)
    stream.close()
    server.stop()
    log.info("ended")


def _end(sources: Sequence[Source], owner: Owner, turning: Thread, leadership: Leadership) -> None:
    """End in order: the owner's last turn, the lead, so that a standby has it at once, and then the sources.

    Whatever a server that does not answer holds up is left behind; the threads are daemons.
    """
    until = time.monotonic() + STOP_SECONDS
    owner.wake()
    turning.join(STOP_SECONDS)
    end_watchdog()
    leadership.stop(max(0.0, until - time.monotonic()))
    for source in sources:
        source.stop(max(0.0, until - time.monotonic()))


def _admin(where: Address, file: Path | None, *, ready: Ready, state: State) -> Admin:
    try:
        server = Admin(where, ready=ready, state=state, file=file)
    except OSError as error:
        stop_with(f"--admin {where}: {error.strerror or error}", status=2)
    server.start()
    return server


def _who_we_are() -> str:
    """Return a name for the lead: readable, and of no other process ever."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
