"""The edge to `--catalog FILE.json`: a JSON array of instance documents in place of Redis, read again on SIGHUP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mooring.catalog import Catalog, catalog_of
from mooring.documents import canonical, decode_instance
from mooring.errors import DocumentError
from mooring.model import Instance, Json
from mooring.ports import Claims, claim_ports
from mooring_proxy.following import Known, Position

INCARNATION: Final = "file"


def read_catalog(path: Path) -> tuple[Catalog, tuple[str, ...]]:
    """Return the catalog of a file, and everything that is wrong with the file, named by place."""
    try:
        documents = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return Catalog(), (f"{path}: {error}",)
    if not isinstance(documents, list):
        return Catalog(), (f"{path}: expected a JSON array of instance documents",)
    problems: list[str] = []
    instances = tuple(_instances(path, documents, problems))
    return catalog_of(instances), tuple(problems)


def _instances(path: Path, documents: list[Json], problems: list[str]) -> Iterator[Instance]:
    for number, document in enumerate(documents):
        where = f"{path}, instance {number}"
        try:
            yield decode_instance(canonical(document) if isinstance(document, dict) else "[]", where=where)
        except DocumentError as error:
            problems.append(str(error))


class CatalogFile:
    """A catalog that is read again and again; services keep their ports from one reading to the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._claims: Claims = {}
        self._readings = 0

    def read(self, now: float) -> Known:
        """Return what the file says now; `now` in epoch seconds.

        Raises:
            DocumentError: the file, or one of its documents, cannot be read.
        """
        catalog, problems = read_catalog(self._path)
        if problems:
            raise DocumentError(str(self._path), "; ".join(problems))
        self._claims = claim_ports(self._claims, catalog, now)
        self._readings += 1
        ports = {port: claim.service for port, claim in self._claims.items()}
        return Known(Position(INCARNATION, self._readings), catalog, ports)
