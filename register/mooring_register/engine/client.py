"""Docker's own client, at one address, with limits to its patience, and with reasons that say what to do.

The library waits for events without a limit, believes `REQUESTS_CA_BUNDLE` more than what it is told, and takes a
refused stream for one without events. Knows nothing of containers.
"""

from __future__ import annotations

import importlib
import importlib.util
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import docker
import requests
import urllib3
from docker.errors import DockerException
from docker.tls import TLSConfig

from mooring_register.engine.address import DockerAddress, Way
from mooring_register.engine.connections import keep_connections

TIMEOUT_SECONDS: Final = 10
# So long a stream may be silent before it is asked for anew: of a peer that is gone without a word nothing else tells.
IDLE_SECONDS: Final = 30

_REFUSALS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
# What a proxy answers for an engine that does not.
_AWAY: Final = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
_PERMISSION: Final = "register needs GET of /version, /info, /events and /containers/, nothing else"
_PARAMIKO: Final = "paramiko"


def _failures() -> tuple[type[Exception], ...]:
    usual = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)
    if importlib.util.find_spec(_PARAMIKO) is None:
        return usual
    return (*usual, importlib.import_module(_PARAMIKO).SSHException)


FAILURES: Final = _failures()


class DockerClient(docker.APIClient):
    """A client of one engine; making it asks the engine for its version. Raises FAILURES."""

    def __init__(self, address: DockerAddress) -> None:
        files = (address.cert, address.key) if address.cert else None
        tls = TLSConfig(client_cert=files, ca_cert=address.ca, verify=True) if address.ca else False
        super().__init__(base_url=str(address), version="auto", timeout=TIMEOUT_SECONDS, tls=tls)
        keep_connections(self, TIMEOUT_SECONDS)
        if address.way is Way.SSH:
            # On a connection that is gone the library would wait for another channel for an hour.
            adapter: Any = self.get_adapter(self.base_url)
            adapter.ssh_client.get_transport().channel_timeout = TIMEOUT_SECONDS

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # noqa: ANN401 -- theirs
        """Send a request; a stream too gives up, and an answer that refuses one is an error."""
        if options.get("timeout") is None:
            options["timeout"] = (TIMEOUT_SECONDS, IDLE_SECONDS)
        response: requests.Response = super().send(request, **{**options, "verify": self.verify})
        if options.get("stream"):
            response.raise_for_status()
        return response


def reason_of(error: BaseException) -> str:
    """Return why an engine did not answer; of an answer that forbids something, what has to be allowed."""
    response = _response(error)
    if response is not None and response.status_code in _REFUSALS:
        path = response.request.path_url.partition("?")[0]
        return f"GET {path} is answered with {response.status_code}: {_PERMISSION}"
    return str(error)


def is_about_what_was_asked(error: BaseException) -> bool:
    """Say whether another question to the same engine may well be answered."""
    response = _response(error)
    if response is None:
        return isinstance(error, requests.ReadTimeout)
    return response.status_code not in (*_REFUSALS, *_AWAY)


def _response(error: BaseException) -> requests.Response | None:
    """Return the answer that an error is about. The library wraps some in others."""
    seen: BaseException | None = error
    while seen is not None:
        found = getattr(seen, "response", None)
        if isinstance(found, requests.Response):
            return found
        seen = seen.__cause__
    return None


def missing(address: DockerAddress) -> Iterator[str]:
    """Yield what an address needs and this process does not have: readable files, a library."""
    if address.way is Way.SSH and importlib.util.find_spec(_PARAMIKO) is None:
        yield f"{address}: ssh:// needs a library that is not installed; it comes with mooring-register[ssh]"
    unreadable = [f"{file}: {reason}" for file in (address.ca, address.cert, address.key) if (reason := _unread(file))]
    yield from unreadable
    if address.ca and not unreadable:
        yield from _unusable(address)


def _unread(file: str) -> str:
    try:
        if file:
            Path(file).read_bytes()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _unusable(address: DockerAddress) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(address.ca)
    except ssl.SSLError:
        yield f"{address.ca}: there is no certificate in it"
    try:
        if address.cert:
            # Nobody is there to be asked for a key's password.
            context.load_cert_chain(address.cert, address.key, password="")
    except (ssl.SSLError, ValueError):
        yield f"{address.cert}, {address.key}: no certificate and its key, or the key has a password"
