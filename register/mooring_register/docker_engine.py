"""A real Docker engine as an `Engine`: answers become values, errors ours. Decides nothing about containers.

Uses the library's low-level client: its high-level one inspects every container of a listing and trips over those that
vanish meanwhile. Each thread has a client of its own, thrown away after an error, so that the socket is opened by its
path again: an engine that restarted left another one there.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException, NotFound

from mooring.errors import Unavailable
from mooring_register.containers import Inspected, parse_time
from mooring_register.engine import ACTIONS, DockerEvent, Events, Identity, Summary

TIMEOUT_SECONDS: Final = 10

_FAILURES: Final = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)
_HEALTH = re.compile(r"\((?P<health>[^)]*)\)")
_ADDRESSES: Final = ("IPAddress", "GlobalIPv6Address")
_NANOSECONDS: Final = 10**9

T = TypeVar("T")


class DockerEngine:
    """An `Engine` at an address: `unix:///var/run/docker.sock`, `tcp://HOST:PORT`. Made without contacting it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._local = threading.local()

    def identity(self) -> Identity:
        """See `Engine.identity`."""
        answer = self._ask(lambda client: client.info())
        return Identity(str(answer["ID"]), str(answer["Name"]), parse_time(str(answer["SystemTime"])))

    def running(self) -> tuple[Summary, ...]:
        """See `Engine.running`."""
        answer = self._ask(lambda client: client.containers(all=False))
        return tuple(Summary(one["Id"], fingerprint(one)) for one in answer)

    def inspect(self, container_id: str) -> Inspected | None:
        """See `Engine.inspect`."""
        try:
            answer: Inspected = self._ask(lambda client: client.inspect_container(container_id))
        except _Absent:
            return None
        return answer

    def events(self, since_nano: int) -> Events:
        """See `Engine.events`."""
        # Seconds as a float lose the event: nanoseconds do not fit.
        seconds, nanoseconds = divmod(since_nano, _NANOSECONDS)
        filters = {"type": ["container", "network"], "event": list(ACTIONS)}
        client = self._client()
        try:
            stream = client.events(since=f"{seconds}.{nanoseconds:09d}", filters=filters, decode=True)
        except _FAILURES as error:
            self._forget()
            raise Unavailable(f"{self._address}: {error}") from None
        return _DockerEvents(stream, self._address)

    def _ask(self, question: Callable[[Any], T]) -> T:
        try:
            return question(self._client())
        except NotFound:
            raise _Absent from None
        except _FAILURES as error:
            if not isinstance(error, APIError):
                self._forget()
            raise Unavailable(f"{self._address}: {error}") from None

    def _client(self) -> Any:  # noqa: ANN401 -- the stubs lack what the low-level client inherits
        client = getattr(self._local, "client", None)
        if client is None:
            try:
                client = docker.APIClient(base_url=self._address, version="auto", timeout=TIMEOUT_SECONDS)
            except _FAILURES as error:
                raise Unavailable(f"{self._address}: {error}") from None
            self._local.client = client
        return client

    def _forget(self) -> None:
        client = getattr(self._local, "client", None)
        self._local.client = None
        if client is not None:
            client.close()


class _Absent(Exception):
    """There is no container of that id."""


class _DockerEvents:
    """The events of one connection."""

    def __init__(self, stream: Any, address: str) -> None:  # noqa: ANN401 -- the library's own, without stubs
        self._stream = stream
        self._address = address

    def __iter__(self) -> Iterator[DockerEvent]:
        """See `Events`."""
        try:
            for document in self._stream:
                event = read_event(document)
                if event is not None:
                    yield event
        except (*_FAILURES, ValueError) as error:
            raise Unavailable(f"{self._address}: {error}") from None

    def close(self) -> None:
        """See `Events.close`."""
        # The library looks for the socket inside of the response, and does not find it when that has ended.
        with contextlib.suppress(OSError, AttributeError, DockerException):
            self._stream.close()


def read_event(document: Mapping[str, Any]) -> DockerEvent | None:
    """Read one event; None for one that concerns no container."""
    actor = document.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    is_network = document.get("Type") == "network"
    container_id = attributes.get("container") if is_network else actor.get("ID")
    if not container_id:
        return None
    # `health_status: healthy` says more than the filter's `health_status`.
    action = str(document.get("Action") or "")
    return DockerEvent(action, str(container_id), int(document.get("timeNano") or 0), attributes)


def fingerprint(listed: Mapping[str, Any]) -> str:
    """Return what changes in a listing's entry when the container does. Of `Up 5 minutes (healthy)` health counts."""
    health = _HEALTH.search(listed.get("Status") or "")
    networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = {name: [(one or {}).get(key) for key in _ADDRESSES] for name, one in networks.items()}
    ports = sorted(json.dumps(port, sort_keys=True) for port in listed.get("Ports") or [])
    said = [listed.get("Names"), listed.get("State"), health and health["health"], ports, addresses]
    return json.dumps(said, sort_keys=True)
