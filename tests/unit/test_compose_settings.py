"""Which of register's options the stack of Compose sets, and which it hands on."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from mooring_register.main import register

ROOT = Path(__file__).parents[2]
PREFIX = "MOORING_REGISTER_"
# Decided by the stack itself: its source is the socket that it mounts, its discover reads the native form only (further
# registries have `?layout=`), its admin server is where the health check asks, and it does not look just once.
NOT_FOR_THE_STACK = {"STATIC", "DOCKER", "LAYOUT", "ADMIN", "ADMIN_FILE", "DRY_RUN", "WITHDRAW"}


def environment_of_register() -> dict[str, str | None]:
    """Return what the file says of register's environment; None is handed on as it is outside."""
    stack = yaml.safe_load((ROOT / "compose/docker-compose.yml").read_text())
    said: dict[str, str | None] = stack["services"]["register"]["environment"]
    return said


def test_every_option_of_register_can_be_said_to_the_stack() -> None:
    """Whoever runs the stack can tell register whatever the stack does not decide, and nothing that there is not."""
    options = {(one.name or "").upper() for one in register.params if isinstance(one, click.Option)}
    said = {name.removeprefix(PREFIX) for name in environment_of_register() if name.startswith(PREFIX)}
    assert not said & NOT_FOR_THE_STACK
    assert said | NOT_FOR_THE_STACK == options


def test_what_is_handed_on_has_no_value() -> None:
    """A name without a value is not there when nothing is said outside; an empty value would be a setting."""
    values = environment_of_register().values()
    assert None in values
    assert "" not in values
