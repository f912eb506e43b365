"""`mooring sockets`: the options of the holder of listening sockets. What it does is in holder.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from mooring.cli import Command, Parsed, address, admin_file_option, option
from mooring.model import Address
from mooring_proxy.settings import parse_seconds

DEFAULT_PATH: Final = "/run/mooring/sockets"


def check(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with options that are each well-formed."""
    directory = params["path"].parent
    if not directory.is_dir():
        yield f"--path: {directory} is not a directory"


@click.command(cls=Command, check=check)
@option(
    "--path",
    type=click.Path(path_type=Path),
    default=DEFAULT_PATH,
    help="The Unix socket where this host's proxies ask.",
)
@option(
    "--keep-seconds",
    type=Parsed(parse_seconds, "SECONDS"),
    default="60",
    help="How long to hold what a proxy wanted that is gone.",
)
@option(
    "--admin",
    type=Parsed(address, "[HOST:]PORT"),
    default="127.0.0.1:1933",
    help="Where /healthz, /readyz, /metrics and /state answer.",
)
@admin_file_option
def sockets(*, path: Path, keep_seconds: float, admin: Address, admin_file: Path | None) -> None:
    """Hold the listening sockets of this host's proxies.

    A proxy may be restarted, the only one too, and nobody is refused: clients wait until the next one accepts.
    """
    # Not at the top: whoever only asks for help need not wait for Twisted.
    from mooring_proxy.sockets.running import run  # noqa: PLC0415

    run(path, keep_seconds, admin, admin_file)
