"""The variables that Consul's own tools read, where the address of an agent leaves something open. Pure.

The address wins. Of the token's two variables the file's wins, as with Consul. Certificates mean nothing without TLS,
which the address asks for, or `CONSUL_HTTP_SSL`, or an agent that `CONSUL_HTTP_ADDR` gives as `https://`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from attrs import evolve

from mooring.consul.address import SCHEME, UNIX_SCHEME, ConsulAddress, parse_consul_address
from mooring.errors import SettingsError

# registrator's word for what is an option here.
TLS_SCHEME: Final = "consul-tls://"
ADDRESS_VARIABLE: Final = "CONSUL_HTTP_ADDR"
_TLS_VARIABLE: Final = "CONSUL_HTTP_SSL"
_TOKEN: Final = "CONSUL_HTTP_TOKEN"  # noqa: S105 -- the name of a variable
_TOKEN_FILE: Final = {"token-file": "CONSUL_HTTP_TOKEN_FILE"}
_TLS_FILES: Final = {"ca": "CONSUL_CACERT", "cert": "CONSUL_CLIENT_CERT", "key": "CONSUL_CLIENT_KEY"}
# What Go's ParseBool takes for true, for Consul's tools do.
_TRUTHS: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})


def complete_consul_address(text: str, environment: Mapping[str, str]) -> ConsulAddress:
    """Read the address of a Consul agent, and fill in what it leaves open; see `parse_consul_address`.

    `consul-tls://` is another word for `tls=true`. An address without a host means that of `CONSUL_HTTP_ADDR`.

    Raises:
        SettingsError: everything that is wrong with the address and with what was filled in.
    """
    whole = f"{SCHEME}{text.removeprefix(TLS_SCHEME)}" if text.startswith(TLS_SCHEME) else text
    used: list[str] = []
    if environment.get(ADDRESS_VARIABLE) and whole.partition("?")[0] == SCHEME:
        whole = _located(whole, environment[ADDRESS_VARIABLE])
        used.append(ADDRESS_VARIABLE)
    if text.startswith(TLS_SCHEME):
        whole = _with(whole, {"tls": "true"})
    elif environment.get(_TLS_VARIABLE) in _TRUTHS and not _options(whole).keys() & {"ca", "tls"}:
        whole = _with(whole, {"tls": "true"})
        used.append(_TLS_VARIABLE)
    open_files = _open_files(whole, environment)
    whole = _with(whole, {option: environment[name] for option, name in open_files.items()})
    used += open_files.values()
    try:
        address = parse_consul_address(whole)
    except SettingsError as error:
        raise SettingsError(f"{error.where} ({', '.join(used)})" if used else error.where, error.reason) from None
    if environment.get(_TOKEN) and not address.token_file:
        return evolve(address, token=environment[_TOKEN], variables=(*used, _TOKEN))
    return evolve(address, variables=tuple(used))


def _located(text: str, variable: str) -> str:
    """Return an address without a host with the one that the variable gives, in one of the forms that Consul knows."""
    scheme, separator, place = variable.partition("://")
    if not separator:
        return text.replace(SCHEME, f"{SCHEME}{variable}", 1)
    if scheme == "unix":
        return text.replace(SCHEME, f"{UNIX_SCHEME}{place}", 1)
    located = text.replace(SCHEME, f"{SCHEME}{place}", 1)
    return _with(located, {"tls": "true"}) if scheme == "https" else located


def _open_files(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return, by option, the variables that name a file for which the address leaves room."""
    options = _options(text)
    uses_tls = "ca" in options or options.get("tls") == "true"
    names = {**_TOKEN_FILE, **(_TLS_FILES if uses_tls else {})}
    if {"cert", "key"} & options.keys():
        names = {option: name for option, name in names.items() if option not in {"cert", "key"}}
    return {option: name for option, name in names.items() if option not in options and environment.get(name)}


def _options(text: str) -> dict[str, str]:
    return dict(parse_qsl(text.partition("?")[2], keep_blank_values=True))


def _with(text: str, options: Mapping[str, str]) -> str:
    if missing := {name: value for name, value in options.items() if name not in _options(text)}:
        return f"{text}{'&' if '?' in text else '?'}{urlencode(missing)}"
    return text
