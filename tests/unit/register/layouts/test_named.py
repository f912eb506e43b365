"""Choosing a layout by its name, on the command line."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from mooring_register.layouts.named import NAMES, layout_of
from mooring_register.main import register

STATIC = "instances:\n  - {service: web, address: '10.0.0.1:8080', port: '80'}\n"


@pytest.fixture
def static(tmp_path: Path) -> str:
    """Return a static file with one instance."""
    path = tmp_path / "static.yaml"
    path.write_text(STATIC)
    return str(path)


@pytest.mark.parametrize(
    ("layout", "path", "expected"),
    [
        ("registrator", "/services", ["/services/web/10.0.0.1:web:8080 10.0.0.1:8080"]),
        ("backends", "/backends", ["/backends/web/10.0.0.1:web:8080 10.0.0.1:8080", "/backends/web/port 80"]),
        ("skydns", "/a.b", ['/skydns/b/a/web/10.0.0.1:web:8080 {"host":"10.0.0.1","port":8080}']),
    ],
)
def test_dry_run(static: str, layout: str, path: str, expected: list[str]) -> None:
    """A dry run prints the keys and values of the layout that was asked for."""
    result = CliRunner().invoke(
        register,
        ["--static", static, "--host", "h1", "--dry-run", "--layout", layout, "--registry", f"etcd://x{path}"],
    )
    assert (result.exit_code, result.stdout.splitlines()) == (0, expected)


def test_dry_run_says_what_has_no_place(tmp_path: Path) -> None:
    """What has no place in the layout is told with the reason."""
    path = tmp_path / "static.yaml"
    path.write_text("instances:\n  - {service: web, address: '10.0.0.1:53', proto: udp}\n")
    result = CliRunner().invoke(register, ["--static", str(path), "--host", "h1", "--dry-run", "--layout", "embassy"])
    assert result.stdout == ""
    assert "is left out: this layout knows TCP only" in result.stderr


@pytest.mark.parametrize(
    ("layout", "problem"), [("backends", "docker-discover reads /backends only"), ("skydns", "the path is the domain")]
)
def test_a_prefix_that_cannot_be_meant(static: str, layout: str, problem: str) -> None:
    """Where the readers of a layout look elsewhere than below the usual prefix, it is refused at the start."""
    result = CliRunner().invoke(register, ["--static", static, "--registry", "etcd://x", "--layout", layout])
    assert result.exit_code == 2
    assert f"--layout {layout} with --registry etcd://x:2379/services: {problem}" in result.output


@pytest.mark.parametrize("name", NAMES)
def test_keys_lie_below_the_root(name: str) -> None:
    """What a layout's keys begin with is told, so that they can be listed."""
    assert layout_of(name, "/a").root in {"/a", "/skydns/a"}
