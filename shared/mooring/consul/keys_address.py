"""The address of Consul's keys as people write it: `consulkv://HOST:8500/PREFIX?layout=…&token-file=FILE&…`. Pure.

What is said of the Consul itself is the same as in `consul://` (`address`, `variables`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode

from attrs import frozen

from mooring.consul.address import SCHEME, UNIX_SCHEME, ConsulAddress
from mooring.consul.variables import complete_consul_address
from mooring.errors import SettingsError

KEYS_SCHEME: Final = "consulkv://"
KEYS_UNIX_SCHEME: Final = "consulkv-unix://"
DEFAULT_PREFIX: Final = "/services"


@frozen
class ConsulKeysAddress:
    """Where a Consul is, below which prefix we live in its keys, and in which form; `layout` is empty when not given.

    `prefix` begins with a slash, which stands in no key of Consul's, and does not end with one.
    """

    consul: ConsulAddress
    prefix: str = DEFAULT_PREFIX
    layout: str = ""

    def __str__(self) -> str:
        """Return the address without its options: fit for logs."""
        if self.consul.endpoint is None:
            return f"{KEYS_UNIX_SCHEME}{self.consul.socket}:{self.prefix}"
        return f"{KEYS_SCHEME}{self.consul.endpoint}{self.prefix}"

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that something of the Consul's address comes from."""
        return self.consul.variables


def parse_consul_keys_address(text: str, environment: Mapping[str, str]) -> ConsulKeysAddress:
    """Read the address of a Consul's keys. Behind a Unix socket a colon comes before the prefix, as in registrator.

    A prefix that is left out is `/services`. Variables fill in what is left open, as for `consul://`.

    Raises:
        SettingsError: everything that is wrong with it; no option's value is repeated.
    """
    is_unix = text.startswith(KEYS_UNIX_SCHEME)
    scheme, plain, border = (KEYS_UNIX_SCHEME, UNIX_SCHEME, ":") if is_unix else (KEYS_SCHEME, SCHEME, "/")
    whole, _, query = text.removeprefix(scheme).partition("?")
    place, _, path = whole.partition(border)
    pairs = parse_qsl(query, keep_blank_values=True)
    layouts = [value for name, value in pairs if name == "layout"]
    rest = urlencode([pair for pair in pairs if pair[0] != "layout"])
    problems = [*_path_problems(path), *_option_problems(layouts, pairs)]
    try:
        consul = complete_consul_address(f"{plain}{place}{'?' if rest else ''}{rest}", environment)
    except SettingsError as error:
        where = error.where.replace(plain, scheme, 1)
        raise SettingsError(where, "; ".join([error.reason, *problems])) from None
    address = ConsulKeysAddress(consul, _prefix(path), layouts[0] if layouts else "")
    if problems:
        raise SettingsError(str(address), "; ".join(problems))
    return address


def _prefix(path: str) -> str:
    prefix = unquote(path).strip("/")
    return f"/{prefix}" if prefix else DEFAULT_PREFIX


def _path_problems(path: str) -> list[str]:
    segments = _prefix(path).removeprefix("/").split("/")
    if {"", ".", ".."}.isdisjoint(segments):
        return []
    return ["the prefix has an empty segment, or one of dots"]


def _option_problems(layouts: list[str], pairs: list[tuple[str, str]]) -> list[str]:
    problems = []
    if "" in layouts:
        problems.append("option 'layout' has no value")
    if len(layouts) > 1:
        problems.append("option 'layout' is given twice")
    if "alive" in dict(pairs):
        problems.append("option 'alive' speaks of services, and means nothing to keys")
    return problems
