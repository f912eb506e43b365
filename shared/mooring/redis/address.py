"""The address of a Redis behind sentinels, as people write it. Pure.

`redis+sentinel://[USER:PASSWORD@]HOST:26379[,HOST2:26379…]/PRIMARY[/DATABASE]?OPTION=…`, and `rediss+sentinel://` for
TLS to the sentinels and to the primary. The form is that of redis-sentinel-url, RedisVL and Prefect. The addresses of
a single Redis are the library's own (connection.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode

from attrs import field, frozen

from mooring.errors import SettingsError
from mooring.model import Address, parse_address

DEFAULT_PORT: Final = 26379
_SCHEME: Final = re.compile(r"(?P<plain>rediss?)\+sentinel://", re.IGNORECASE)
_OWN: Final = "sentinel_"
_OWN_OPTIONS: Final = ("sentinel_username", "sentinel_password")


@frozen
class SentinelAddress:
    """Who knows the primary, by which name they know it, and how both are spoken to.

    `primary_url` is what the library reads for every option but the host. `username` and `password` are for the
    sentinels; empty when they ask for none.
    """

    sentinels: tuple[Address, ...]
    primary: str
    primary_url: str = field(repr=False)
    username: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Return it as it may be logged: without users, passwords and options."""
        return f"{self.primary} at the sentinels {', '.join(map(str, self.sentinels))}"


def names_sentinels(text: str) -> bool:
    """Whether an address is of this form."""
    return _SCHEME.match(text) is not None


def parse_sentinel_address(text: str) -> SentinelAddress:
    """Read an address that `names_sentinels`. A port that is left out is 26379, a database that is left out 0.

    Raises:
        SettingsError: everything that is wrong with it, with no password repeated.
    """
    scheme = _SCHEME.match(text)
    rest, _, query = text[scheme.end() if scheme else 0 :].partition("?")
    hosts, _, path = rest.partition("/")
    who, at, hosts = hosts.rpartition("@")
    pairs = parse_qsl(query, keep_blank_values=True)
    problems = tuple(_problems(hosts, path, [name for name, _ in pairs]))
    if problems:
        raise SettingsError("the address of Redis", "; ".join(problems))
    primary, _, database = path.rstrip("/").partition("/")
    theirs = urlencode([(name, value) for name, value in pairs if not name.startswith(_OWN)])
    ours = dict(pairs)
    return SentinelAddress(
        tuple(_sentinel(host) for host in hosts.split(",")),
        unquote(primary),
        f"{scheme['plain'].lower() if scheme else 'redis'}://{who}{at}primary/{database or 0}?{theirs}",
        ours.get("sentinel_username", ""),
        ours.get("sentinel_password", ""),
    )


def _problems(hosts: str, path: str, options: list[str]) -> Iterator[str]:
    if "@" in path:
        # The first slash of a password ended the hosts: what stands there must not be shown.
        yield "a slash in a user or a password is written %2F"
        return
    for host in hosts.split(","):
        try:
            _sentinel(host)
        except ValueError as error:
            yield f"sentinel {host!r}: {error}"
    primary, _, database = path.rstrip("/").partition("/")
    if not primary:
        yield "the primary's name is missing: …HOST:26379/PRIMARY"
    if database and not database.isdecimal():
        yield f"expected the number of a database, got {database!r}"
    for name in options:
        if name.startswith(_OWN) and name not in _OWN_OPTIONS:
            yield f"option {name!r} is unknown; there are {', '.join(_OWN_OPTIONS)}"


def _sentinel(host: str) -> Address:
    has_port = ":" in host.rpartition("]")[2]
    return parse_address(host if has_port else f"{host}:{DEFAULT_PORT}")
