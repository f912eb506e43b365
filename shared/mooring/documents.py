"""The wire form of instances and bindings: JSON documents, in a registry and in the stream alike (DESIGN §4).

The fields that embassy reads (`ipaddress`, `host_port`, `port`, `tags`) keep its meaning and are strings. Encoding is
canonical: equal values give equal bytes. Reading is strict about what we use and keeps what we do not know, but for
`env` (service-registrar publishes whole environments, secrets included) and anything long.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Final, NoReturn

from mooring.errors import DescriptorError, DocumentError
from mooring.keys import check_name
from mooring.model import DEFAULT_WEIGHT, Address, Binding, Instance, Json, State, check_host, parse_port

FORMAT: Final = 1

# Above this an unknown field is somebody's payload, not somebody's metadata, and would be copied to every proxy.
UNKNOWN_FIELD_MOST_BYTES: Final = 1024

_TEXTS: Final = ("cause", "kind", "zone", "host", "container", "name", "image", "health", "started", "path")
_OPTIONAL: Final = ("container_address", *_TEXTS)
_KNOWN: Final = frozenset(
    {"v", "id", "service", "ipaddress", "host_port", "port", "proto", "publish", "state", "weight", "tags"}
    | {"attributes", "checks", "http", "seen_docker", "seen_registry", "env", *_OPTIONAL}
)

Document = Mapping[str, Json]


def canonical(document: Document) -> str:
    """Return the one JSON text of a document: sorted, compact, raw UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def encode_instance(instance: Instance) -> str:
    """Return the canonical document of an instance; fields that say nothing are left out."""
    document: dict[str, Json] = dict(instance.extra)
    document |= {
        "v": FORMAT,
        "id": instance.id,
        "service": instance.service,
        "ipaddress": instance.address.host,
        "host_port": str(instance.address.port),
        "proto": instance.address.proto,
        "state": instance.state.value,
        "weight": instance.weight,
        "tags": list(instance.tags),
    }
    optional: dict[str, Json] = {name: getattr(instance, name) for name in _OPTIONAL}
    optional |= {"attributes": dict(instance.attributes), "checks": dict(instance.checks), "http": dict(instance.http)}
    optional |= {name: str(getattr(instance, name) or "") for name in ("port", "publish")}
    document |= {name: value for name, value in optional.items() if value}
    for name, seen in (("seen_docker", instance.seen_docker), ("seen_registry", instance.seen_registry)):
        if seen is not None:
            document[name] = round(seen, 6)
    return canonical(document)


def decode_instance(text: str | bytes, *, where: str, service: str = "", instance_id: str = "") -> Instance:
    """Read an instance's document.

    `where` names the key, for the error. `service` and `instance_id` are what the key says; the document wins where
    it is one of ours (it has a `v`), the key where it is foreign.

    Raises:
        DocumentError: it is not JSON, a field that we need is missing, or one has the wrong form.
    """
    fields = _Fields(_load(text, where), where)
    ours = "v" in fields.document
    port = fields.port("port")
    host_port = fields.port("host_port") or port
    if host_port is None:
        raise DocumentError(where, "neither host_port nor port")
    return Instance(
        service=_name(where, "service", fields.text("service") if ours else service),
        id=_name(where, "id", fields.text("id") if ours else instance_id),
        address=Address(_host(fields), host_port, _proto(fields)),
        state=_state(fields),
        port=port,
        publish=fields.port("publish"),
        container_address=fields.text("container_address"),
        weight=_weight(fields),
        tags=fields.texts("tags"),
        attributes=fields.mapping("attributes"),
        checks=fields.mapping("checks"),
        http=_http(fields),
        seen_docker=fields.seconds("seen_docker"),
        seen_registry=fields.seconds("seen_registry"),
        extra=_unknown(fields.document),
        **{name: fields.text(name) for name in _TEXTS},
    )


def encode_binding(binding: Binding) -> str:
    """Return the canonical document of a binding."""
    return canonical(
        {
            "v": FORMAT,
            "service": binding.service,
            "port": str(binding.port),
            "proto": binding.proto,
            "tags": list(binding.tags),
            "options": dict(binding.options),
            "addresses": list(binding.addresses),
            "host": binding.host,
            "container": binding.container,
        }
    )


def decode_binding(text: str | bytes, *, key: str) -> Binding:
    """Read a binding's document; `key` is `<host>/<container id>/<NAME>`.

    Raises:
        DocumentError: as `decode_instance`.
    """
    fields = _Fields(_load(text, key), key)
    port = fields.port("port")
    if port is None:
        raise DocumentError(key, "port is missing")
    return Binding(
        key=key,
        service=fields.needed("service"),
        port=port,
        proto=_proto(fields),
        tags=fields.texts("tags"),
        options=fields.mapping("options"),
        addresses=fields.texts("addresses"),
        host=fields.text("host"),
        container=fields.text("container"),
    )


def load(text: str | bytes) -> Json:
    """Return what a JSON text says, if all of it can be written again as JSON in UTF-8.

    The library reads more: numbers that are none or beyond measure, and halves of characters. They would
    break whoever reads what we write.

    Raises:
        ValueError: it is not such a text.
    """
    text = text.decode() if isinstance(text, bytes) else text
    try:
        value: Json = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if "\\u" in text:
        canonical({"": value}).encode()
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is too large a number")
    return value


def _load(text: str | bytes, where: str) -> Document:
    try:
        document = load(text)
    except ValueError as error:
        raise DocumentError(where, f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise DocumentError(where, f"expected a JSON object, got {type(document).__name__}")
    version = document.get("v", FORMAT)
    if version != FORMAT:
        raise DocumentError(where, f"format {version!r}, this Mooring reads {FORMAT}")
    return document


def _unknown(document: Document) -> dict[str, Json]:
    return {
        name: value
        for name, value in document.items()
        if name not in _KNOWN and len(canonical({name: value}).encode()) <= UNKNOWN_FIELD_MOST_BYTES
    }


def _name(where: str, field: str, name: str) -> str:
    try:
        return check_name(field, name)
    except DescriptorError as error:
        raise DocumentError(where, f"{field}: {error.reason}") from None


def _host(fields: _Fields) -> str:
    try:
        return check_host(fields.needed("ipaddress"))
    except ValueError:
        raise fields.error("ipaddress", "a host name or an IP address") from None


def _proto(fields: _Fields) -> str:
    proto = fields.text("proto") or "tcp"
    if proto not in ("tcp", "udp"):
        raise fields.error("proto", "tcp or udp")
    return proto


def _state(fields: _Fields) -> State:
    try:
        return State(fields.text("state") or State.UP)
    except ValueError:
        raise fields.error("state", "one of " + ", ".join(State)) from None


def _weight(fields: _Fields) -> int:
    weight = fields.document.get("weight", DEFAULT_WEIGHT)
    if not isinstance(weight, int) or isinstance(weight, bool) or weight < 0:
        raise fields.error("weight", "a whole number, 0 or more")
    return weight


def _http(fields: _Fields) -> dict[str, Json]:
    http = fields.document.get("http") or {}
    if not isinstance(http, dict):
        raise fields.error("http", "an object")
    return http


class _Fields:
    """The fields of one document, read by type. Every error names the document, the field and what was expected."""

    def __init__(self, document: Document, where: str) -> None:
        self.document = document
        self.where = where

    def error(self, name: str, expected: str) -> DocumentError:
        return DocumentError(self.where, f"{name}: expected {expected}, got {self.document.get(name)!r}")

    def text(self, name: str) -> str:
        value = self.document.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.error(name, "a string")
        return value

    def needed(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise DocumentError(self.where, f"{name} is missing")
        return value

    def port(self, name: str) -> int | None:
        text = self.text(name)
        try:
            return parse_port(text) if text else None
        except ValueError:
            raise self.error(name, "a port within 1–65535, as a string") from None

    def seconds(self, name: str) -> float | None:
        value = self.document.get(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.error(name, "epoch seconds")
        try:
            return float(value)
        except OverflowError:
            raise DocumentError(self.where, f"{name}: too large a number") from None

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.document.get(name) or []
        if not isinstance(value, list):
            raise self.error(name, "a list of strings")
        return tuple(self._string(name, item) for item in value)

    def mapping(self, name: str) -> dict[str, str]:
        value = self.document.get(name) or {}
        if not isinstance(value, dict):
            raise self.error(name, "an object of strings")
        return {key: self._string(name, item) for key, item in value.items()}

    def _string(self, name: str, value: Json) -> str:
        if not isinstance(value, str):
            raise self.error(name, "strings only")
        return value
