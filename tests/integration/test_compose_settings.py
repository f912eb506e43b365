"""What Compose itself makes of the settings of the stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.compose


def environment_of_register(folder: Path, settings: str, *files: str) -> dict[str, str | None]:
    """Return what register's container would be given, with these lines in `.env`."""
    for path in (ROOT / "compose").glob("*.yml"):
        shutil.copy(path, folder)
    (folder / ".env").write_text(settings)
    command = ["docker", "compose", *(word for file in files for word in ("--file", file)), "config", "--format=json"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MOORING_")}
    answer = subprocess.run(command, cwd=folder, env=clean, check=True, capture_output=True, text=True)
    config: dict[str, Any] = json.loads(answer.stdout)
    environment: dict[str, str | None] = config["services"]["register"]["environment"]
    return environment


def test_options_in_the_settings_file(tmp_path: Path) -> None:
    """What `.env` says to register arrives as it was written, and what it does not say is not there."""
    said = "MOORING_REGISTER_FILTER=label=web name!=x\nMOORING_REGISTER_TAGS='eu,host-{{ hostname }}'\nMOORING_TTL=7\n"
    environment = environment_of_register(tmp_path, said, "docker-compose.yml")
    assert environment["MOORING_REGISTER_FILTER"] == "label=web name!=x"
    assert environment["MOORING_REGISTER_TAGS"] == "eu,host-{{ hostname }}"
    assert environment["MOORING_REGISTER_TTL"] == "7"
    assert environment["MOORING_REGISTER_NETWORK"] is None


@pytest.mark.parametrize("files", [("docker-compose.yml",), ("docker-compose.yml", "join.yml")])
def test_further_registries(tmp_path: Path, files: tuple[str, ...]) -> None:
    """Register writes to the stack's etcd, and to whatever else is named."""
    ours = "127.0.0.1:2379" if len(files) == 1 else "10.0.0.5:2379"
    settings = f"MOORING_ETCD={ours}\nMOORING_REGISTRIES=consul://c etcd2://e/s?layout=registrator\n"
    environment = environment_of_register(tmp_path, settings, *files)
    registries = (environment["MOORING_REGISTER_REGISTRY"] or "").split()
    assert registries == [f"etcd://{ours}/services", "consul://c", "etcd2://e/s?layout=registrator"]
