"""The names of everything: keys in a registry, names in Redis, and how a service or an id is written into them.

A service is segments joined by `/`. In a key each byte outside `A-Za-z0-9._~-` is percent-encoded; in JSON names are
raw. An id may hold any character; only `/`, `%` and `|` are encoded, because they would break a key apart.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from attrs import frozen

from mooring.errors import DescriptorError

NAME_MOST_BYTES: Final = 255

BINDINGS_PREFIX: Final = "/mooring/bindings/"
HOSTS_PREFIX: Final = "/mooring/hosts/"
KEYS_PREFIX: Final = "/mooring/keys/"
STORE_KEY: Final = "/mooring/store"


def check_name(where: str, name: str) -> str:
    """Return a service's name or an instance's id unchanged.

    Raises:
        DescriptorError: it is empty, has an empty segment or a control byte, is no Unicode text, or is over 255 bytes
            long.
    """
    if not name:
        raise DescriptorError(where, "is empty")
    if any(not segment for segment in name.split("/")):
        raise DescriptorError(where, f"{name!r} has an empty segment")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in name):  # noqa: PLR2004 -- ASCII controls
        raise DescriptorError(where, f"{name!r} has a control character")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in name):  # noqa: PLR2004 -- the surrogates
        raise DescriptorError(where, f"{name!r} has half a character")
    if len(name.encode()) > NAME_MOST_BYTES:
        raise DescriptorError(where, f"{name[:40]!r}… is over {NAME_MOST_BYTES} bytes long")
    return name


def encode_service(service: str) -> str:
    """Return a service's name as it stands in a key; its slashes stay."""
    return "/".join(quote(segment, safe="") for segment in service.split("/"))


def encode_id(instance_id: str) -> str:
    """Return an instance's id as the last segment of a key."""
    return instance_id.replace("%", "%25").replace("/", "%2F").replace("|", "%7C")


def instance_key(prefix: str, service: str, instance_id: str) -> str:
    """Return `<prefix>/<service>/<id>`, where register writes an instance."""
    return f"{prefix.rstrip('/')}/{encode_service(service)}/{encode_id(instance_id)}"


def parse_instance_key(prefix: str, key: str) -> tuple[str, str]:
    """Return (service, id) of a key below `prefix`: the last segment is the id, the rest is the service.

    The service is empty when the key has one segment only.
    """
    below = key.removeprefix(prefix.rstrip("/")).strip("/")
    service, _, instance_id = below.rpartition("/")
    return unquote(service), unquote(instance_id)


def host_key(host: str) -> str:
    """Return the key that says who writes for a host."""
    return HOSTS_PREFIX + encode_id(host)


def binding_key(host: str, container: str, name: str) -> str:
    """Return `<host>/<container id>/<NAME>`: what names a binding; in a registry it stands below `BINDINGS_PREFIX`."""
    return "/".join(encode_id(part) for part in (host, container, name))


def catalog_field(service: str, instance_id: str) -> str:
    """Return `<service>|<id>`: an instance's field in the catalog's hash, and its key in an entry."""
    return f"{encode_service(service)}|{encode_id(instance_id)}"


@frozen
class RedisNames:
    """The names of one stream and of what stands beside it, all under one namespace."""

    namespace: str = "mooring"

    @property
    def events(self) -> str:
        """The stream of facts."""
        return f"{self.namespace}:events"

    @property
    def catalog(self) -> str:
        """Hash: catalog field → instance document."""
        return f"{self.namespace}:catalog"

    @property
    def bindings(self) -> str:
        """Hash: binding key → binding document."""
        return f"{self.namespace}:bindings"

    @property
    def ports(self) -> str:
        """Hash: `<port>/<proto>` → service."""
        return f"{self.namespace}:ports"

    @property
    def head(self) -> str:
        """Hash: incarnation, epoch, sequence, and whether the catalog is complete."""
        return f"{self.namespace}:head"

    @property
    def settings(self) -> str:
        """Hash: path → value."""
        return f"{self.namespace}:settings"

    @property
    def leader(self) -> str:
        """String with an expiry: who leads."""
        return f"{self.namespace}:leader"

    def proxy(self, proxy_id: str) -> str:
        """Hash with an expiry: what one proxy has applied."""
        return f"{self.namespace}:proxies:{proxy_id}"
