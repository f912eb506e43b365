"""The command line: bad configuration is named whole, at once, and ends with status 2."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mooring.cli import Command, Parsed, Several, address, admin_file_option, main, note_alias, option
from mooring.errors import SettingsError
from mooring.model import Address


def _check(params: Mapping[str, object]) -> Iterable[str]:
    if params["listen"] == params["admin"]:
        yield "--listen and --admin are the same"


@click.command(cls=Command, check=_check)
@option("--listen", type=Parsed(address, "ADDRESS"), default="127.0.0.1:80", help="Where to listen.")
@option("--admin", type=Parsed(address, "ADDRESS"), default="127.0.0.1:81", help="Where to tell.")
@option("--name", multiple=True, help="Who.")
@option("--count", type=int, default=1, help="How many.")
def sample(**settings: object) -> None:
    """Print what was understood."""
    click.echo(repr(sorted(settings.items())))


@click.group(context_settings={"auto_envvar_prefix": "MOORING"})
def group() -> None:
    """Stand where `mooring` stands."""


group.add_command(sample)


def test_every_bad_option_is_listed_together_with_status_2() -> None:
    """Two bad values are two lines of one message, and the command does not run."""
    result = CliRunner().invoke(group, ["sample", "--listen", "nowhere", "--count", "many"])
    assert result.exit_code == 2
    assert "--listen" in result.output
    assert "nowhere" in result.output
    assert "--count" in result.output
    assert "[" not in result.stdout


def test_a_check_of_several_options_is_a_problem_like_any_other() -> None:
    """What only shows when options are seen together is listed in the same way."""
    result = CliRunner().invoke(group, ["sample", "--listen", "81"])
    assert result.exit_code == 2
    assert "--listen and --admin are the same" in result.output


def test_values_arrive_parsed() -> None:
    """A value is what its type makes of it, a bare port means loopback."""
    result = CliRunner().invoke(group, ["sample", "--listen", "8080", "--name", "a", "--name", "b"])
    assert result.exit_code == 0
    assert repr(Address("127.0.0.1", 8080)) in result.output
    assert "('a', 'b')" in result.output


def test_the_environment_sets_every_option() -> None:
    """`MOORING_<COMMAND>_<OPTION>` works, repeated values separated by spaces."""
    environment = {
        "MOORING_SAMPLE_LISTEN": "0.0.0.0:90",
        "MOORING_SAMPLE_NAME": "a b",
        "MOORING_SAMPLE_LOG_LEVEL": "debug",
    }
    result = CliRunner().invoke(group, ["sample"], env=environment)
    assert result.exit_code == 0
    assert repr(Address("0.0.0.0", 90)) in result.output
    assert "('a', 'b')" in result.output


def test_several_values_with_spaces_in_one_variable() -> None:
    """An option may say itself how its variable is divided."""

    @click.command(cls=Command)
    @option("--word", multiple=True, type=Several(str.upper, "WORD", lambda text: text.split(";")))
    def words(word: tuple[str, ...], **_: object) -> None:
        click.echo(repr(word))

    result = CliRunner().invoke(words, auto_envvar_prefix="X", env={"X_WORD": "a b;c"})
    assert result.stdout == "('A B', 'C')\n"


def _complete(context: click.Context) -> Iterable[str]:
    if context.params["port"] is None:
        yield "--port is missing"
    elif os.environ.get("OTHER_NAME"):
        note_alias(context, "OTHER_NAME")
        context.params["name"] = os.environ["OTHER_NAME"]


@click.command(cls=Command, complete=_complete)
@option("--port", alias="OTHER_PORT", type=click.IntRange(1, 9), help="Which.")
@option("--name", help="Who.")
def aliased(**settings: object) -> None:
    """Print what was understood."""
    click.echo(repr(sorted(settings.items())))


@pytest.mark.parametrize(
    ("arguments", "environment", "port"),
    [
        (["--port", "1"], {"X_PORT": "2", "OTHER_PORT": "3"}, 1),
        ([], {"X_PORT": "2", "OTHER_PORT": "3"}, 2),
        ([], {"X_PORT": "", "OTHER_PORT": "3"}, 3),
    ],
)
def test_an_alias_counts_last(arguments: list[str], environment: dict[str, str], port: int) -> None:
    """The option wins over our variable, and our variable over that of another system."""
    result = CliRunner().invoke(aliased, arguments, auto_envvar_prefix="X", env=environment)
    assert f"('port', {port})" in result.stdout
    assert ("OTHER_PORT" in result.stderr) is (port == 3)


def test_aliases_that_counted_are_logged_once_without_values() -> None:
    """One line names the variables of other systems that something came from; what they hold is not told."""
    result = CliRunner().invoke(aliased, env={"OTHER_PORT": "3", "OTHER_NAME": "s3cret"})
    assert "('name', 's3cret'), ('port', 3)" in result.stdout
    assert result.stderr.count("settings come from variables of other systems") == 1
    assert "['OTHER_NAME', 'OTHER_PORT']" in result.stderr
    assert "s3cret" not in result.stderr


@pytest.mark.parametrize("environment", [{}, {"OTHER_PORT": "99"}, {"OTHER_PORT": ""}])
def test_what_is_wrong_with_an_alias(environment: dict[str, str]) -> None:
    """A wrong value is a problem wherever it came from, and what cannot be completed is one too."""
    result = CliRunner().invoke(aliased, env=environment)
    assert result.exit_code == 2
    assert "--port" in result.stderr


def test_help_names_the_alias() -> None:
    """Whoever asks for help learns under which other name a setting is read."""
    assert "Which.  [or as: OTHER_PORT]" in CliRunner().invoke(aliased, ["--help"]).stdout


def test_a_bad_value_in_the_environment_is_listed_too() -> None:
    """A problem is a problem wherever the value came from."""
    result = CliRunner().invoke(group, ["sample"], env={"MOORING_SAMPLE_COUNT": "many", "MOORING_SAMPLE_LISTEN": "?"})
    assert result.exit_code == 2
    assert "many" in result.output
    assert "'?'" in result.output


def test_help_shows_defaults_and_variables() -> None:
    """A newcomer reads from `--help` what happens without an option and how to set it from outside."""
    result = CliRunner().invoke(group, ["sample", "--help"])
    assert "MOORING_SAMPLE_LISTEN" in result.output
    assert "127.0.0.1:80" in result.output


@pytest.mark.parametrize("command", ["register", "discover", "proxy", "demo", "status", "events", "verify"])
def test_every_part_brings_its_command(command: str) -> None:
    """With all parts installed, `mooring` has all their commands, each with help."""
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0, result.output
    assert "--log-level" in result.output


def test_a_command_that_two_parts_bring_is_there_once() -> None:
    """Both discover and the proxy bring the commands that read the stream, and mean the same by them."""
    brought = [entry for entry in entry_points(group="mooring.commands") if entry.name == "status"]
    assert {entry.value for entry in brought} == {"mooring.commands.status:status"}
    assert len(brought) == 2
    assert main.list_commands(click.Context(main)).count("status") == 1


def test_an_unknown_command_is_refused() -> None:
    """A typing error ends with status 2 and names itself."""
    result = CliRunner().invoke(main, ["registre"])
    assert result.exit_code == 2
    assert "registre" in result.output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("81", Address("127.0.0.1", 81)),
        ("10.0.0.5:81", Address("10.0.0.5", 81)),
        ("[::1]:0", Address("::1", 0)),
        ("0", Address("127.0.0.1", 0)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
    ],
)
def test_an_address_to_listen_on_is_a_port_of_loopback_or_whole_and_0_is_any(text: str, expected: Address) -> None:
    """What is listened on may leave the port to the system; what is connected to may not."""
    assert address(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", ":0", "host:65536", "a:b:0"])
def test_what_is_no_address_to_listen_on_is_refused(text: str) -> None:
    """Port 0 does not make an address of anything."""
    with pytest.raises(ValueError, match="expected"):
        address(text)


@click.command(cls=Command)
@admin_file_option
def telling(admin_file: Path | None) -> None:
    """Print what was understood, unless it is forbidden."""
    if admin_file is not None and admin_file.name == "forbidden":
        raise SettingsError("--admin-file", f"{admin_file}: forbidden")
    click.echo(admin_file)


group.add_command(telling)


def test_a_file_to_write_is_understood_without_being_made(tmp_path: Path) -> None:
    """Reading the options leaves the file alone."""
    result = CliRunner().invoke(group, ["telling"], env={"MOORING_TELLING_ADMIN_FILE": str(tmp_path / "admin")})
    assert (result.exit_code, result.output) == (0, f"{tmp_path / 'admin'}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "reason"), [(".", "is a directory"), ("gone/admin", "is not a directory that can be written")]
)
def test_a_file_that_cannot_be_written_is_a_problem(tmp_path: Path, place: str, reason: str) -> None:
    """A directory, or a file where there is none to put it in, ends the command with status 2 before it runs."""
    result = CliRunner().invoke(group, ["telling", "--admin-file", str(tmp_path / place)])
    assert result.exit_code == 2
    assert reason in result.output


def test_a_setting_that_turns_out_wrong_late_ends_the_command_with_status_2(tmp_path: Path) -> None:
    """The message is that of a setting which was wrong from the start."""
    result = CliRunner().invoke(group, ["telling", "--admin-file", str(tmp_path / "forbidden")])
    assert result.exit_code == 2
    assert f"the configuration is wrong:\n  - --admin-file: {tmp_path}/forbidden: forbidden" in result.output
