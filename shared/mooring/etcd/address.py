"""The address of an etcd as people write it: `etcd://HOST:2379[,HOST2:2379]/PREFIX?ca=FILE&user=NAME&…`. Pure.

Files are named here and read by `client`, so that an address can be looked at where its files are not. The address of
an etcd by its v2 API differs in the scheme alone (`mooring.etcd2.address`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, unquote

from attrs import field, frozen

from mooring.errors import SettingsError
from mooring.model import Address, parse_address

SCHEME: Final = "etcd://"
DEFAULT_PORT: Final = 2379
DEFAULT_PREFIX: Final = "/services"
OPTIONS: Final = ("ca", "cert", "key", "user", "password-file")
_BESIDE: Final = (
    ("cert", "key"),
    ("key", "cert"),
    ("cert", "ca"),
    ("user", "password-file"),
    ("password-file", "user"),
)


@frozen
class EtcdAddress:
    """Where an etcd is, below which prefix we live in it, and how we prove who we are.

    `prefix` begins with a slash and does not end with one. `ca`, `cert`, `key` and `password_file` are names of files,
    empty when not given; a `ca` means TLS. `layout` is the form of what is written there, for those who write.
    """

    endpoints: tuple[Address, ...]
    prefix: str = DEFAULT_PREFIX
    ca: str = ""
    cert: str = ""
    key: str = ""
    user: str = ""
    password_file: str = field(default="", repr=False)
    layout: str = ""
    scheme: str = SCHEME

    def __str__(self) -> str:
        """Return the address without its options: fit for logs, and the same for all who share the store."""
        return f"{self.scheme}{','.join(map(str, self.endpoints))}{self.prefix}"


def parse_etcd_address(text: str, scheme: str = SCHEME, options: Sequence[str] = OPTIONS) -> EtcdAddress:
    """Read the address of an etcd. A port that is left out is 2379, a prefix that is left out `/services`.

    `options` are those that may be given.

    Raises:
        SettingsError: a part of it is wrong; the message says which, and repeats no option's value.
    """
    if not text.startswith(scheme):
        raise SettingsError(_shown(text), f"expected {scheme}HOST:PORT[,HOST:PORT…]/PREFIX")
    rest, _, query = text.removeprefix(scheme).partition("?")
    hosts, _, path = rest.partition("/")
    if "@" in hosts:
        raise SettingsError(scheme + "…", "user and password do not belong before the host: ?user=…&password-file=…")
    return EtcdAddress(
        endpoints=tuple(_endpoint(text, host) for host in hosts.split(",")),
        prefix=_prefix(text, path),
        scheme=scheme,
        **{name.replace("-", "_"): value for name, value in _given(text, query, options).items()},
    )


def _shown(text: str) -> str:
    """Return an address without what may be secret in it."""
    return text.partition("?")[0].rpartition("@")[2]


def _endpoint(text: str, host: str) -> Address:
    has_port = ":" in host.rpartition("]")[2]
    try:
        return parse_address(host if has_port else f"{host}:{DEFAULT_PORT}")
    except ValueError as error:
        raise SettingsError(_shown(text), f"endpoint {host!r}: {error}") from None


def _prefix(text: str, path: str) -> str:
    prefix = unquote(path).rstrip("/")
    if not prefix:
        return DEFAULT_PREFIX
    if "" in prefix.split("/"):
        raise SettingsError(_shown(text), f"prefix {'/' + path!r} has an empty segment")
    return "/" + prefix


def _given(text: str, query: str, options: Sequence[str]) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    for name, value in given.items():
        if name not in options:
            raise SettingsError(_shown(text), f"option {name!r} is unknown; there are {', '.join(options)}")
        if not value:
            raise SettingsError(_shown(text), f"option {name!r} has no value")
        if len([one for one, _ in pairs if one == name]) > 1:
            raise SettingsError(_shown(text), f"option {name!r} is given twice")
    for name, needed in _BESIDE:
        if name in given and needed not in given:
            raise SettingsError(_shown(text), f"option {name!r} needs {needed!r} beside it")
    return given
