"""Where a Docker engine is, as people write it for `--docker` and in the variables that Docker's own tools read. Pure.

Files are named here and read by `docker_engine`, so that an address can be looked at where its files are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl

from attrs import evolve, field, frozen

from mooring.errors import SettingsError
from mooring.model import Address, parse_address

EXPECTED: Final = "unix:///PATH, tcp://HOST:PORT or ssh://[USER@]HOST[:PORT]"
DEFAULT_SOCKET: Final = "/var/run/docker.sock"
OPTION: Final = "--docker"
HOST_VARIABLE: Final = "DOCKER_HOST"
_PORT: Final = 2375
_TLS_PORT: Final = 2376
_SSH_PORT: Final = 22
_OPTIONS: Final = ("ca", "cert", "key")
_USER = re.compile(r"[A-Za-z0-9._-]+")


class Way(StrEnum):
    """How an engine is reached."""

    UNIX = "unix"
    TCP = "tcp"
    SSH = "ssh"


@frozen
class DockerAddress:
    """Where an engine is, and how each side proves who it is.

    `place` is the path of a socket, `HOST:PORT`, or `USER@HOST:PORT`. `ca`, `cert` and `key` are names of files, empty
    when not given; a `ca` means TLS. `named_by` is the setting that the address comes from, empty for the default.
    """

    way: Way = Way.UNIX
    place: str = DEFAULT_SOCKET
    ca: str = ""
    cert: str = ""
    key: str = ""
    named_by: str = field(default="", eq=False)

    def __str__(self) -> str:
        """Return the address without its files: fit for logs, and what Docker's library takes."""
        return f"{self.way}://{self.place}"

    @property
    def is_on_this_host(self) -> bool:
        """Whether it is reached without leaving this machine."""
        return self.way is Way.UNIX or (self.way is Way.TCP and parse_address(self.place).is_loopback)


def parse_docker_address(text: str) -> DockerAddress:
    """Read the address of an engine, as it was given for `--docker`.

    `http://` is another word for `tcp://`, and `https://` one that insists on TLS. A port that is left out is Docker's:
    2375, with TLS 2376; over SSH it is 22.

    Raises:
        SettingsError: a part of it is wrong; the message says which, and repeats neither a password nor an option.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        raise SettingsError(_shown(text), f"expected {EXPECTED}")
    match scheme:
        case "unix":
            return _unix(text, rest)
        case "ssh":
            return _ssh(text, rest)
        case "tcp" | "http" | "https":
            return _tcp(text, rest, insists_on_tls=scheme == "https")
        case _:
            raise SettingsError(f"{scheme}://", f"this way to an engine is not known; expected {EXPECTED}")


def completed(given: DockerAddress | None, environment: Mapping[str, str], home: str) -> DockerAddress:
    """Return the engine that was given, else that of `DOCKER_HOST`, else the default, with TLS as the variables say.

    `DOCKER_TLS_VERIFY` or `DOCKER_CERT_PATH` turn TLS on where an address over TCP does not do so itself; the engine's
    certificate is checked in either case. `home` is the folder in which Docker's tools keep theirs (`~/.docker`).

    Raises:
        SettingsError: `DOCKER_HOST` is wrong.
    """
    address = given
    if address is None:
        named = environment.get(HOST_VARIABLE, "")
        try:
            address = evolve(parse_docker_address(named), named_by=HOST_VARIABLE) if named else DockerAddress()
        except SettingsError as error:
            raise SettingsError(HOST_VARIABLE, str(error)) from None
    folder = environment.get("DOCKER_CERT_PATH", "")
    if address.way is not Way.TCP or address.ca or not (folder or environment.get("DOCKER_TLS_VERIFY")):
        return address
    folder = folder.rstrip("/") or home
    return evolve(address, ca=f"{folder}/ca.pem", cert=f"{folder}/cert.pem", key=f"{folder}/key.pem")


def _shown(text: str) -> str:
    """Return an address without what may be secret in it."""
    return text.partition("?")[0].rpartition("@")[2]


def _unix(text: str, path: str) -> DockerAddress:
    if path and not path.startswith("/"):
        raise SettingsError(_shown(text), "the path of a socket begins with a slash: unix:///var/run/docker.sock")
    if found := re.search(r"[?#;\x00-\x1f]", path):
        raise SettingsError(_shown(text), f"{found[0]!r} does not belong into the path of a socket")
    return DockerAddress(Way.UNIX, path or DEFAULT_SOCKET, named_by=OPTION)


def _ssh(text: str, rest: str) -> DockerAddress:
    user, has_user, place = rest.rstrip("/").rpartition("@")
    if has_user and _USER.fullmatch(user) is None:
        raise SettingsError(
            f"ssh://{_shown(place)}", "what stands before the @ is no user's name; passwords are not read"
        )
    if re.search(r"[/?#]", place):
        raise SettingsError(f"ssh://{_shown(place)}", "nothing may follow the host: keys are those of ~/.ssh")
    return DockerAddress(Way.SSH, f"{user}{has_user}{_address(text, place, _SSH_PORT)}", named_by=OPTION)


def _tcp(text: str, rest: str, *, insists_on_tls: bool) -> DockerAddress:
    place, _, query = rest.partition("?")
    if "@" in place:
        raise SettingsError(_shown(text), "user and password do not belong before the host")
    options = _options(text, query)
    address = _address(text, place.rstrip("/"), _TLS_PORT if options or insists_on_tls else _PORT)
    if insists_on_tls and not options:
        raise SettingsError(_shown(text), "https:// needs the authority that signed the engine's certificate: ?ca=FILE")
    return DockerAddress(Way.TCP, str(address), **options, named_by=OPTION)


def _address(text: str, place: str, default_port: int) -> Address:
    has_port = ":" in place.rpartition("]")[2]
    try:
        return parse_address(place if has_port else f"{place}:{default_port}")
    except ValueError as error:
        raise SettingsError(_shown(text), str(error)) from None


def _options(text: str, query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    for name, value in options.items():
        if name not in _OPTIONS:
            raise SettingsError(_shown(text), f"option {name!r} is unknown; there are {', '.join(_OPTIONS)}")
        if not value or len([given for given, _ in pairs if given == name]) > 1:
            raise SettingsError(_shown(text), f"option {name!r} has no value, or several")
    if ("cert" in options) != ("key" in options):
        raise SettingsError(_shown(text), "'cert' and 'key' need each other")
    if options and "ca" not in options:
        raise SettingsError(_shown(text), "'cert' and 'key' need 'ca' beside them")
    return options
