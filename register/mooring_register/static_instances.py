"""Instances declared in a file: `instances:`, a list of instance documents. Pure: text in, values and problems out.

Only `service` and `address: HOST:PORT` are required; every other field of a document (DESIGN §4) may be given, with
numbers where a document has strings. One wrong entry does not cost the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from mooring.documents import FORMAT, decode_instance
from mooring.errors import DescriptorError, DocumentError, InvalidInput
from mooring.keys import check_name
from mooring.model import Address, Instance, parse_address

CAUSE = "declared"


def read_instances(text: str, *, file: str, host: str, seen: float) -> tuple[list[Instance], list[InvalidInput]]:
    """Return the instances of a YAML (or JSON) text, and what is wrong with the others.

    `file` names it in errors, `host` is who registers them, `seen` (epoch seconds) is when it was read.

    Raises:
        DocumentError: it is no such file at all.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise DocumentError(file, f"not YAML: {' '.join(str(error).split())}") from None
    entries = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise DocumentError(file, "expected `instances:` with a list of documents")
    instances: list[Instance] = []
    problems: list[InvalidInput] = []
    for number, entry in enumerate(entries, start=1):
        try:
            instances.append(_instance(entry, f"{file}: instance {number}", host, seen))
        except (DocumentError, DescriptorError) as problem:
            problems.append(problem)
    return instances, problems


def _instance(entry: object, where: str, host: str, seen: float) -> Instance:
    if not isinstance(entry, dict):
        raise DocumentError(where, f"expected a document, got {entry!r}")
    said = {str(name): value for name, value in entry.items()}
    service, proto = str(said.get("service") or ""), str(said.get("proto") or "tcp")
    if not service:
        raise DocumentError(where, "service is missing")
    address = _address(said.pop("address", None), where, proto)
    document: dict[str, Any] = {
        "v": FORMAT,
        "id": f"{address.host}:{service}:{address.port}",
        "port": address.port,
        "host": host,
        "cause": CAUSE,
        "seen_docker": seen,
        **said,
        "ipaddress": address.host,
        "host_port": address.port,
        "proto": proto,
    }
    instance = decode_instance(json.dumps(_as_strings(document), default=str), where=where)
    check_name(f"{where}: service", instance.service)
    check_name(f"{where}: id", instance.id)
    return instance


def _address(value: object, where: str, proto: str) -> Address:
    if value is None:
        raise DocumentError(where, "address is missing")
    try:
        return parse_address(str(value), proto)
    except ValueError as error:
        raise DocumentError(where, f"address: {error}") from None


def _as_strings(document: Mapping[str, Any]) -> dict[str, Any]:
    """Write numbers as the strings that a document has in their place; YAML makes numbers of ports and versions."""
    strings = {
        name: str(document[name]) for name in ("service", "id", "port", "host_port", "publish") if name in document
    }
    tags = [str(tag) for tag in document["tags"]] if isinstance(document.get("tags"), list) else document.get("tags")
    maps = {
        name: {str(key): str(value) for key, value in document[name].items()}
        for name in ("attributes", "checks")
        if isinstance(document.get(name), dict)
    }
    return {**document, **strings, "tags": tags, **maps}
