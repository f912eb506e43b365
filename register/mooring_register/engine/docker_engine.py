"""A real Docker engine as an `Engine`: answers become values, errors ours. Decides nothing about containers.

Uses the library's low-level client: its high-level one inspects every container of a listing and trips over those that
vanish meanwhile. Each thread has a client of its own, and each subscription to events, thrown away after an error, so
that the socket is opened by its path again: an engine that restarted left another one there. Nothing is waited for
without a limit: a proxy, a network or an engine may stop in the middle of everything.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from docker.errors import DockerException, NotFound

from mooring.errors import Unavailable
from mooring_register.containers import Inspected, parse_time
from mooring_register.engine.address import DockerAddress
from mooring_register.engine.client import FAILURES, DockerClient, is_about_what_was_asked, reason_of
from mooring_register.engine.seam import ACTIONS, DockerEvent, Events, Identity, Summary, Unanswered

_EXITED = re.compile(r"Exited \((?P<code>[0-9]+)\)")
_HEALTH = re.compile(r"\((?P<health>[^)]*)\)")
_ADDRESSES: Final = ("IPAddress", "GlobalIPv6Address")
_NANOSECONDS: Final = 10**9

T = TypeVar("T")


class DockerEngine:
    """An `Engine` at an address. Made without contacting it."""

    def __init__(self, address: DockerAddress) -> None:
        self._address = address
        self._local = threading.local()

    def identity(self) -> Identity:
        """See `Engine.identity`."""
        answer = self._ask(lambda client: client.info())
        return Identity(str(answer["ID"]), str(answer["Name"]), parse_time(str(answer["SystemTime"])))

    def running(self) -> tuple[Summary, ...]:
        """See `Engine.running`."""
        answer = self._ask(lambda client: client.containers(all=False))
        return tuple(Summary(one["Id"], fingerprint(one), listed_name(one)) for one in answer)

    def exited(self) -> Mapping[str, int]:
        """See `Engine.exited`."""
        answer = self._ask(lambda client: client.containers(all=True, filters={"status": ["exited"]}))
        codes = {one["Id"]: _EXITED.match(one.get("Status") or "") for one in answer}
        return {container_id: int(code["code"]) for container_id, code in codes.items() if code is not None}

    def signals(self, since_nano: int, until_nano: int) -> tuple[DockerEvent, ...]:
        """See `Engine.signals`."""
        filters = {"type": ["container"], "event": ["kill"]}
        since, until = _seconds(since_nano), _seconds(until_nano)
        events = self._ask(lambda client: [*client.events(since, until, filters=filters, decode=True)])
        return tuple(event for event in map(read_event, events) if event is not None)

    def inspect(self, container_id: str) -> Inspected | None:
        """See `Engine.inspect`."""
        try:
            answer: Inspected = self._ask(lambda client: client.inspect_container(container_id))
        except _Absent:
            return None
        except _NotAnswered as error:
            # An engine that stands still as a whole does not answer a new client either.
            self._client()
            raise Unanswered(str(error)) from None
        return answer

    def events(self, since_nano: int) -> Events:
        """See `Engine.events`."""
        filters = {"type": ["container", "network"], "event": list(ACTIONS)}
        client = self._connect()
        try:
            stream = client.events(since=_seconds(since_nano), filters=filters, decode=True)
        except FAILURES as error:
            client.close()
            raise self._unavailable(error) from None
        return _DockerEvents(client, stream)

    def _ask(self, question: Callable[[Any], T]) -> T:
        try:
            return question(self._client())
        except NotFound:
            raise _Absent from None
        except FAILURES as error:
            # Also after an answer: an engine that was exchanged may not speak the version that the last one did.
            self._forget()
            if is_about_what_was_asked(error):
                raise _NotAnswered(f"{self._address}: {reason_of(error)}") from None
            raise self._unavailable(error) from None

    def _client(self) -> DockerClient:
        client: DockerClient | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._connect()
        return client

    def _connect(self) -> DockerClient:
        try:
            return DockerClient(self._address)
        except FAILURES as error:
            raise self._unavailable(error) from None

    def _forget(self) -> None:
        client = getattr(self._local, "client", None)
        self._local.client = None
        if client is not None:
            client.close()

    def _unavailable(self, error: Exception) -> Unavailable:
        return Unavailable(f"{self._address}: {reason_of(error)}")


class _Absent(Exception):
    """There is no container of that id."""


class _NotAnswered(Unavailable):
    """This question was not answered; another one may be."""


class _DockerEvents:
    """The events of one connection, with the client that it belongs to."""

    def __init__(self, client: DockerClient, stream: Any) -> None:  # noqa: ANN401 -- the library's own, without stubs
        self._client = client
        self._stream = stream

    def __iter__(self) -> Iterator[DockerEvent]:
        """See `Events`. Whatever ends it: whether the engine is still there is told by the next question."""
        # The library itself swallows most ways in which a connection ends; these are the others.
        with contextlib.suppress(*FAILURES, ValueError):
            for document in self._stream:
                event = read_event(document)
                if event is not None:
                    yield event
        self._client.close()

    def close(self) -> None:
        """See `Events.close`."""
        try:
            self._stream.close()
        except DockerException:
            # Over SSH the library cannot end a stream, only all of them.
            self._client.close()
        except (OSError, AttributeError):
            # It looks for the socket inside of the response, and does not find it when that has ended.
            return


def _seconds(nanoseconds: int) -> Any:  # noqa: ANN401 -- the stubs know neither this form nor another that is exact
    """Return a time as Docker takes it. Seconds as a float would lose the event: nanoseconds do not fit."""
    seconds, rest = divmod(nanoseconds, _NANOSECONDS)
    return f"{seconds}.{rest:09d}"


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


def listed_name(listed: Mapping[str, Any]) -> str:
    """Return the name of a listing's entry. Those by which other containers are linked to it have another's before."""
    names = [str(name).removeprefix("/") for name in listed.get("Names") or []]
    return next((name for name in names if "/" not in name), "")


def fingerprint(listed: Mapping[str, Any]) -> str:
    """Return what changes in a listing's entry when the container does. Of `Up 5 minutes (healthy)` health counts."""
    health = _HEALTH.search(listed.get("Status") or "")
    networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = {name: [(one or {}).get(key) for key in _ADDRESSES] for name, one in networks.items()}
    ports = sorted(json.dumps(port, sort_keys=True) for port in listed.get("Ports") or [])
    said = [listed.get("Names"), listed.get("State"), health and health["health"], ports, addresses]
    return json.dumps(said, sort_keys=True)
