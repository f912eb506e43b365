"""The command `mooring stop`: reads the options, prints a line for each step."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

import click

from mooring.cli import Command, Parsed, address, option
from mooring.keys import RedisNames
from mooring.model import Address
from mooring.redis.client import RedisStream
from mooring.redis.connection import DEFAULT_URL, checked_url
from mooring_register.engine.address import DockerAddress
from mooring_register.options import docker_option
from mooring_register.stop.engine import StoppingEngine
from mooring_register.stop.progress import Patience
from mooring_register.stop.register_client import RegisterClient
from mooring_register.stop.stopping import Outside, Stopping


@click.command(cls=Command)
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
@option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    default=30,
    help="How long what is open to a container may last before it is stopped all the same.",
)
@option(
    "--settle",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=2,
    help="How long it drains at least, for proxies and readers that are not seen from here.",
)
@option(
    "--redis",
    multiple=True,
    type=Parsed(checked_url, "ADDRESS"),
    default=[DEFAULT_URL],
    help="Where the proxies announce what they have applied. Repeatable: each host may have a Redis of its own.",
)
@option("--namespace", default=RedisNames().namespace, help="What all names in Redis begin with.")
# In register's own container it is configured already, as register is.
@docker_option(envvar=["MOORING_STOP_DOCKER", "MOORING_REGISTER_DOCKER"])
@option(
    "--admin",
    type=Parsed(address, "[ADDRESS:]PORT"),
    envvar=["MOORING_STOP_ADMIN", "MOORING_REGISTER_ADMIN"],
    default="127.0.0.1:1934",
    help="Where this host's register answers.",
)
@option("--force", is_flag=True, help="Stop a container also if register could not be told before.")
def stop(
    containers: tuple[str, ...],
    *,
    redis: tuple[str, ...],
    namespace: str,
    docker: DockerAddress,
    admin: Address,
    **options: Any,  # noqa: ANN401 -- click's own
) -> None:
    """Stop containers without breaking a connection: drain them, wait for what is open, then stop them.

    CONTAINER is a name, an id, or the beginning of one. Ends with status 0 when all of them are stopped, 1 when one is
    not, 2 when the configuration is wrong.
    """
    timeout, settle = float(options["timeout"]), float(options["settle"])
    with ExitStack() as ending:
        streams = {url: RedisStream.from_url(url, RedisNames(namespace)) for url in redis}
        for one in streams.values():
            ending.callback(one.close)
        outside = Outside(
            engine=StoppingEngine(docker),
            register=RegisterClient(admin),
            streams=streams,
            say=lambda name, text: click.echo(f"{name}: {text}"),
        )
        done = Stopping(outside, Patience(timeout, min(settle, timeout)), force=options["force"]).run(containers)
    sys.exit(0 if done else 1)
