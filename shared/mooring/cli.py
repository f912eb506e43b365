"""The `mooring` command: a group whose subcommands come from whatever parts are installed (entry points).

Every option can also be given by the environment, `MOORING_<COMMAND>_<OPTION>`; a repeatable one takes its values
separated by spaces there. A command that is configured wrongly lists every problem at once and ends with status 2.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from attrs import evolve

from mooring.errors import InvalidInput, SettingsError
from mooring.model import Address, parse_address

Check = Callable[[Mapping[str, Any]], Iterable[str]]
Complete = Callable[[click.Context], Iterable[str]]
F = TypeVar("F", bound=Callable[..., Any])

_GROUP = "mooring.commands"
_PROBLEMS = "mooring.problems"
_ALIASES = "mooring.aliases"


class Parsed(click.ParamType[object]):
    """An option's value read by a function that raises `ValueError` or `InvalidInput` with a text for the user."""

    def __init__(self, parse: Callable[[str], object], metavar: str) -> None:
        self._parse = parse
        self.name = metavar

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Return the parsed value; what is parsed already (a default) stays."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except (ValueError, InvalidInput) as error:
            self.fail(str(error), param, ctx)


class Several(Parsed):
    """The values of a repeatable option that may have spaces in them: `split` divides the environment variable."""

    def __init__(self, parse: Callable[[str], object], metavar: str, split: Callable[[str], list[str]]) -> None:
        super().__init__(parse, metavar)
        self._split = split

    def split_envvar_value(self, rv: str) -> list[str]:
        """Return the values that an environment variable holds."""
        return self._split(rv)


class Option(click.Option):
    """An option whose bad value is noted, so that the command can name all bad values together.

    `alias` is the variable in which another system has the same setting: it counts where nothing of ours says it.
    """

    def __init__(self, *args: Any, alias: str = "", **kwargs: Any) -> None:  # noqa: ANN401 -- click's own
        if alias:
            kwargs["help"] = f"{kwargs['help']}  [or as: {alias}]"
        super().__init__(*args, **kwargs)
        self._alias = alias

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return what the environment says, under our name for it before any other."""
        value = super().resolve_envvar_value(ctx)
        if value is None and self._alias and (value := os.environ.get(self._alias) or None):
            note_alias(ctx, self._alias)
        return value

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Read the option; note what is wrong with it instead of ending the command."""
        try:
            return super().handle_parse_result(ctx, opts, args)
        except click.BadParameter as error:
            ctx.meta.setdefault(_PROBLEMS, []).append(error.format_message())
            ctx.params.setdefault(self.name or "", None)
            return None, args


class Command(click.Command):
    """A command of Mooring: it has the log options, and checks everything before it does anything.

    When each option was read without a problem, `complete` fills in what follows from others, and `check` looks at them
    together; both yield what is wrong.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 -- click's own
        complete: Complete = lambda _: (),
        check: Check = lambda _: (),
        **kwargs: Any,  # noqa: ANN401 -- click's own
    ) -> None:
        kwargs["params"] = [*kwargs.get("params", ()), *_log_options()]
        super().__init__(*args, **kwargs)
        self._complete = complete
        self._check = check

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read all options; raise one `UsageError` that lists every problem."""
        rest = super().parse_args(ctx, args)
        if ctx.resilient_parsing:
            return rest
        problems = ctx.meta.get(_PROBLEMS) or list(self._complete(ctx)) or list(self._check(ctx.params))
        if problems:
            raise click.UsageError("\n".join(("the configuration is wrong:", *(f"  - {one}" for one in problems))), ctx)
        return rest

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- click's own
        """Set up the logs, then run the command; a setting that turns out wrong only now ends it with status 2."""
        # Not at the top: the vocabulary alone, installed without a part, has a command line but no logs.
        from mooring.telemetry import configure, get_logger  # noqa: PLC0415

        configure(ctx.params.pop("log_level"), ctx.params.pop("log_format"))
        if aliases := ctx.meta.get(_ALIASES):
            get_logger().info("settings come from variables of other systems", variables=sorted(aliases))
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            stop_with(f"the configuration is wrong:\n  - {error}", status=2)


def note_alias(ctx: click.Context, variable: str) -> None:
    """Note that a setting comes from a variable of another system; the command logs that once, without the value."""
    ctx.meta.setdefault(_ALIASES, set()).add(variable)


def option(*names: str, **settings: Any) -> Callable[[F], F]:  # noqa: ANN401 -- click's own
    """Declare an option; its default and its environment variable show in `--help`."""
    return click.option(*names, **{"cls": Option, "show_default": True, "show_envvar": True, **settings})


def admin_file_option(command: F) -> F:
    """Give a command the option `--admin-file`, for `mooring.admin.Admin`."""
    return option(
        "--admin-file",
        type=Parsed(writable_file, "FILE"),
        help="Write here where the admin server listens, once it does; the file goes at the end.",
    )(command)


def writable_file(text: str) -> Path:
    """Read the path of a file that we are to write, and to replace.

    Raises:
        ValueError: there can be no such file.
    """
    path = Path(text)
    if path.is_dir():
        raise ValueError(f"{path} is a directory")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(f"{path.parent} is not a directory that can be written")
    return path


def _log_options() -> list[click.Parameter]:
    shown: dict[str, Any] = {"show_default": True, "show_envvar": True}
    return [
        Option(
            ["--log-level"],
            type=click.Choice(["debug", "info", "warning", "error"]),
            default="info",
            help="How much to log.",
            **shown,
        ),
        Option(
            ["--log-format"],
            type=click.Choice(["text", "json"]),
            default="text",
            help="For people or for machines.",
            **shown,
        ),
    ]


def address(text: str) -> Address:
    """Read an address to listen on: `HOST:PORT`, or `PORT` alone, which means loopback. Port 0 is any free one.

    Raises:
        ValueError: it is neither.
    """
    whole = f"127.0.0.1:{text}" if text.isdigit() else text
    host, _, port = whole.rpartition(":")
    # Nobody can connect to port 0, hence `parse_address` refuses it; listening on it has a meaning of its own.
    return evolve(parse_address(f"{host}:1"), port=0) if port == "0" else parse_address(whole)


def stop_with(message: str, status: int = 1) -> NoReturn:
    """End the command with a message for the user."""
    click.echo(f"mooring: {message}", err=True)
    sys.exit(status)


class Parts(click.Group):
    """The subcommands of the parts that are installed, each loaded only when it is asked for.

    Loaded late because one part's libraries (gRPC, Twisted) are half a second that the others need not wait.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:  # noqa: ANN401 -- click's own
        """Be ready for SIGTERM before anything is loaded: process 1, of a container, has to say what it does then."""
        if os.getpid() == 1:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        return super().make_context(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all installed subcommands."""
        return sorted({*super().list_commands(ctx), *(entry.name for entry in entry_points(group=_GROUP))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a subcommand, or None when no installed part brings it; where two do, they mean the same."""
        for entry in entry_points(group=_GROUP, name=cmd_name):
            command: click.Command = entry.load()
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=Parts, context_settings={"auto_envvar_prefix": "MOORING", "help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mooring", prog_name="mooring")
def main() -> None:
    """Fixed addresses for containers that move.

    register publishes what runs on this host, discover turns registries into one stream of facts, proxies follow the
    stream and steer connections. Try `mooring demo`: it needs neither Docker nor root.
    """
