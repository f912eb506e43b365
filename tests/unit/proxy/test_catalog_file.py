"""The catalog file: what it says, and everything that is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mooring.errors import DocumentError
from mooring_proxy.catalog_file import CatalogFile, read_catalog

ONE = {"v": 1, "id": "one", "service": "web", "ipaddress": "10.0.0.1", "host_port": "80", "port": "8080"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Name a file."""
    return tmp_path / "catalog.json"


def test_services_hold_their_ports_from_reading_to_reading(file: Path) -> None:
    """Who was there first keeps the port when another asks for it too, and for a while when gone."""
    catalog = CatalogFile(file)
    file.write_text(json.dumps([ONE]))
    assert catalog.read(0.0).ports == {"8080/tcp": "web"}
    file.write_text(json.dumps([{**ONE, "service": "api"}, ONE]))
    assert catalog.read(1.0).ports == {"8080/tcp": "web"}
    file.write_text("[]")
    third = catalog.read(2.0)
    assert (third.ports, third.position.sequence) == ({"8080/tcp": "web"}, 3)
    assert catalog.read(10_000.0).ports == {}


@pytest.mark.parametrize("text", ["{", "{}", "null", '"a"'])
def test_what_is_no_array_is_refused(file: Path, text: str) -> None:
    """The error names the file."""
    file.write_text(text)
    with pytest.raises(DocumentError, match=r"catalog\.json"):
        CatalogFile(file).read(0.0)


def test_every_problem_is_named(file: Path) -> None:
    """All broken documents at once, each by its place in the file; the good ones are read."""
    file.write_text(json.dumps([{**ONE, "weight": "much"}, ONE, 7, {}]))
    catalog, problems = read_catalog(file)
    assert len(list(catalog.instances())) == 1
    assert [f"instance {number}" in problem for number, problem in zip((0, 2, 3), problems, strict=True)] == [True] * 3


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    """As any other problem."""
    assert "catalog.json" in read_catalog(file)[1][0]
