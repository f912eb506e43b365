"""The layouts by the names that `--layout` knows, and which prefix each needs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from mooring.etcd.address import DEFAULT_PREFIX
from mooring_register.layouts.foreign import Backends, Embassy, Registrator, skydns
from mooring_register.layouts.layout import Layout
from mooring_register.layouts.native import Native

NATIVE: Final = "native"

_LAYOUTS: Final[Mapping[str, Callable[[str], Layout]]] = {
    NATIVE: Native,
    "registrator": Registrator,
    "embassy": Embassy,
    "backends": Backends,
    "skydns": skydns,
}
NAMES: Final = tuple(_LAYOUTS)

# Whose readers look below one path only, or take the path for something else than a prefix.
_WANTS_ANOTHER_PREFIX: Final = {
    "backends": "docker-discover reads /backends only, for example etcd://HOST:PORT/backends",
    "skydns": "the path is the domain, for example etcd://HOST:PORT/cluster.local",
}


def layout_of(name: str, prefix: str) -> Layout:
    """Return the layout of that name, which is one of `NAMES`, below a prefix."""
    return _LAYOUTS[name](prefix)


def reason_against(name: str, prefix: str) -> str:
    """Return why a prefix cannot be meant with this layout, or nothing."""
    return _WANTS_ANOTHER_PREFIX.get(name, "") if prefix == DEFAULT_PREFIX else ""
