"""The two sources of a register behind one face: Docker's containers, or a static file.

Says which host and engine they speak for, and starts the threads that feed the owner. An edge: it chooses, it does not
decide.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from mooring.errors import SettingsError
from mooring.threads import start
from mooring_register.addresses.host_network import default_source, host_name, interface_address
from mooring_register.addresses.reach import Policy
from mooring_register.deregistration import Deregister
from mooring_register.engine.address import DockerAddress
from mooring_register.engine.docker_engine import DockerEngine
from mooring_register.engine.feed import DockerFeed
from mooring_register.engine.listing import list_once
from mooring_register.engine.seam import Identity
from mooring_register.observations import Observation
from mooring_register.settings import Settings
from mooring_register.static_file import StaticFile

Observe = Callable[[Observation], None]


class Source(Protocol):
    """What is to be registered comes from here."""

    def identity(self) -> Identity:
        """Return who speaks; raises `Unavailable` when nobody does."""

    def start(self, host: str, observe: Observe) -> None:
        """Tell everything to `observe`, from threads of its own, until `stop`."""

    def once(self, host: str) -> Observation:
        """Return everything that is there now, but for what is `unanswered` then; raises `Unavailable`."""

    def unanswered(self) -> Mapping[str, str]:
        """Return the containers that exist and about which nothing is answered, with the reason."""

    def heard_at(self) -> float | None:
        """Return when an event was last heard (epoch seconds), None when none was."""

    def stop(self) -> None:
        """End the threads."""


class DockerSource:
    """The containers of a Docker engine."""

    def __init__(
        self, address: DockerAddress, resync_seconds: float, binding_prefix: str, deregister: Deregister
    ) -> None:
        self.engine = DockerEngine(address)
        self._deregister = deregister
        self._resync_seconds = resync_seconds
        self._binding_prefix = binding_prefix
        self._feed: DockerFeed | None = None
        self._unanswered: Mapping[str, str] = {}

    def identity(self) -> Identity:
        """See `Source.identity`."""
        return self.engine.identity()

    def start(self, host: str, observe: Observe) -> None:  # noqa: ARG002 -- containers do not know their host's name
        """See `Source.start`."""
        self._feed = DockerFeed(
            self.engine,
            observe,
            resync_seconds=self._resync_seconds,
            clock=time.time,
            binding_prefix=self._binding_prefix,
            lists_exited=self._deregister is Deregister.ON_SUCCESS,
        )
        start("docker-events", self._feed.follow)
        start("docker-inspector", self._feed.inspect)

    def once(self, host: str) -> Observation:  # noqa: ARG002 -- the same
        """See `Source.once`."""
        looked = list_once(self.engine, time.time(), self._binding_prefix)
        self._unanswered = looked.unanswered
        return looked.listed

    def unanswered(self) -> Mapping[str, str]:
        """See `Source.unanswered`."""
        return self._feed.unanswered if self._feed is not None else self._unanswered

    def heard_at(self) -> float | None:
        """See `Source.heard_at`."""
        return self._feed.heard_at if self._feed is not None else None

    def stop(self) -> None:
        """See `Source.stop`."""
        if self._feed is not None:
            self._feed.stop()


class StaticSource:
    """The instances of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: StaticFile | None = None

    def identity(self) -> Identity:
        """See `Source.identity`. The engine's id is made from the host's name when that is known."""
        return Identity("", host_name(), time.time())

    def start(self, host: str, observe: Observe) -> None:
        """See `Source.start`."""
        self._file = StaticFile(self._path, host, observe, time.time)
        start("static-file", self._file.watch)

    def once(self, host: str) -> Observation:
        """See `Source.once`."""
        return StaticFile(self._path, host, lambda _: None, time.time).read()

    def unanswered(self) -> Mapping[str, str]:
        """See `Source.unanswered`. A file says everything or nothing."""
        return {}

    def heard_at(self) -> float | None:
        """See `Source.heard_at`. A file tells no events."""
        return None

    def stop(self) -> None:
        """See `Source.stop`."""
        if self._file is not None:
            self._file.stop()


def source_of(settings: Settings) -> Source:
    """Return the source that was asked for, without contacting it."""
    if settings.static is not None:
        return StaticSource(settings.static)
    return docker_source_of(settings)


def docker_source_of(settings: Settings) -> DockerSource:
    """Return the engine's containers as a source, without contacting the engine."""
    return DockerSource(settings.docker, settings.resync_seconds, settings.backend_prefix, settings.deregister)


def engine_id(identity: Identity, host: str) -> str:
    """Return what tells this source from another one that claims the same host, across restarts."""
    return identity.id or f"static:{host}"


def policy_of(settings: Settings, identity: Identity) -> Policy:
    """Return under which name and address this host registers.

    Raises:
        SettingsError: the address is needed and cannot be told.
    """
    host = settings.host or identity.host
    return Policy(
        host=host,
        ip=_ip(settings, identity),
        internal=settings.internal,
        explicit=settings.explicit,
        networks=settings.networks,
        ip_label=settings.ip_label,
        filters=settings.filters,
        name_from=settings.name_from,
        wording=settings.wording,
    )


def _ip(settings: Settings, identity: Identity) -> str:
    if settings.ip:
        return settings.ip
    if settings.interface:
        return interface_address(settings.interface)
    if settings.static is not None:
        return ""
    try:
        return _told_by_the_network(settings.docker, identity)
    except SettingsError:
        # Only containers in the host's own network need it then, and those say that they lack it.
        if settings.internal:
            return ""
        raise


def _told_by_the_network(docker: DockerAddress, identity: Identity) -> str:
    if not docker.is_on_this_host:
        reason = f"needed: nobody here knows the address of the host that {docker} is on; or --internal"
        raise SettingsError("--ip", reason)
    # Docker gives a container its own host name unless it shares the host's network.
    if identity.host != host_name():
        reason = f"needed: this is {host_name()!r}, not in the network of the engine's host {identity.host!r}"
        raise SettingsError("--ip", f"{reason}; or --internal, or run register with the host's network")
    return default_source()
