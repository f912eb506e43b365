"""Puts a proxy together, runs it, and takes it apart on SIGTERM. Nothing is decided here.

The main thread is the reactor's. Beside it: the stream's reader, the presence, the state directory, the admin server.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.posixbase import PosixReactorBase

from mooring import threads
from mooring.admin import Admin
from mooring.cli import stop_with
from mooring.errors import DocumentError
from mooring.keys import RedisNames
from mooring.model import Address
from mooring.redis.client import RedisStream
from mooring.telemetry import get_logger
from mooring_proxy import metrics, state_dir
from mooring_proxy.balancers.round_robin import RoundRobin
from mooring_proxy.catalog_file import CatalogFile
from mooring_proxy.drivers.relay import RelayDriver
from mooring_proxy.following import Updated
from mooring_proxy.limits import allow_many_descriptors
from mooring_proxy.local_hosts import is_local
from mooring_proxy.low_ports import allow_low_ports
from mooring_proxy.presence import Presence, presence
from mooring_proxy.proxy import Proxy
from mooring_proxy.reactors import asked, on_signal
from mooring_proxy.routing import Rules
from mooring_proxy.settings import Settings
from mooring_proxy.sockets.own import OwnSockets
from mooring_proxy.sockets.shared import SharedSockets
from mooring_proxy.sockets.source import SocketSource
from mooring_proxy.stream import StreamFollower
from mooring_proxy.twisted_logs import send_logs_to

ADMIN_HOST: Final = "127.0.0.1"
ADMIN_PORTS: Final = range(1936, 2000)
# A proxy that has a stored table waits this long for a newer one.
STORED_AFTER_SECONDS: Final = 3.0

log = get_logger()


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain; a second signal ends the draining."""
    send_logs_to(log)
    allow_many_descriptors()
    allow_low_ports()
    running = Running(cast("PosixReactorBase", global_reactor), settings)
    admin = open_admin(settings.admin, settings.admin_file, running)
    running.run(admin)


def rules(settings: Settings) -> Rules:
    """Return what the routing has to know of the settings."""
    return Rules(
        address=settings.address,
        publish=settings.publish,
        publish_ports=settings.publish_ports,
        static=tuple(one.on(settings.address) for one in settings.listen),
        is_local=is_local,
    )


def open_admin(address: Address | None, file: Path | None, running: Running) -> Admin:  # noqa: RET503 -- stop_with ends the process
    """Return the admin server on its address, or on the first free port when there is none; bound, not started."""
    wanted = (address,) if address else tuple(Address(ADMIN_HOST, port) for port in ADMIN_PORTS)
    problem: OSError | None = None
    for one in wanted:
        try:
            return Admin(one, ready=running.why_not_ready, state=running.state, file=file)
        except OSError as error:
            problem = error
    stop_with(f"--admin {wanted[0]}: {problem}")


class Running:
    """One running proxy: its parts, started and stopped in order."""

    def __init__(self, reactor: PosixReactorBase, settings: Settings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._sockets: SocketSource = SharedSockets(reactor, settings.sockets) if settings.sockets else OwnSockets()
        self._driver = RelayDriver(
            reactor, balancer=RoundRobin, connect_seconds=settings.connect_seconds, sockets=self._sockets
        )
        self._saver = state_dir.Saver(settings.state_dir) if settings.state_dir else None
        self._proxy = Proxy(
            reactor,
            self._driver,
            rules(settings),
            now=time.time,
            keep=self._saver.put if self._saver else lambda _: None,
        )
        self._stops: list[Callable[[], object]] = []
        self._draining = False

    def why_not_ready(self) -> str | None:
        """Return why not, or None; from any thread."""
        return "draining" if self._draining else self._proxy.standing.why_not_ready

    def state(self) -> Mapping[str, object]:
        """Return the proxy's state; from any thread but the reactor's."""
        return asked(self._reactor, lambda: {**self._proxy.state(), "sockets": self._sockets.report()})

    def run(self, admin: Admin) -> None:
        """Start everything, and return when everything has ended."""
        self._sockets.start(f"{self._settings.host}:{admin.address.port}")
        self._proxy.start()
        admin.start()
        self._stops.append(admin.stop)
        log.info("proxy started", admin=str(admin.address), address=self._settings.address)
        self._reactor.callWhenRunning(self._take_signals)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._drain)
        if self._settings.catalog:
            self._follow_file(CatalogFile(self._settings.catalog))
        else:
            self._follow_stream(f"{self._settings.host}:{admin.address.port}")
        self._reactor.run()

    def _take_signals(self) -> None:
        """Take the reactor's signals over. It set up that any signal wakes it, in whichever thread it arrives."""
        for number in (signal.SIGTERM, signal.SIGINT):
            on_signal(self._reactor, number, self._stop_or_abort)

    # ----------------------------------------------------------------------------------------------- following
    def _follow_file(self, file: CatalogFile) -> None:
        def read() -> None:
            try:
                self._proxy.updated(Updated(file.read(time.time())))
            except DocumentError as error:
                metrics.BROKEN.inc()
                log.error("the catalog file cannot be used, keeping the table", problem=str(error))  # noqa: TRY400

        on_signal(self._reactor, signal.SIGHUP, read)
        self._reactor.callWhenRunning(read)

    def _follow_stream(self, proxy_id: str) -> None:
        # A terminal that closes is no reason to end a proxy, and there is no file to be read again.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if self._saver and self._settings.state_dir:
            self._reactor.callLater(STORED_AFTER_SECONDS, self._use_stored, self._settings.state_dir)
            saving = threads.start("state-dir", self._saver.run)
            # Stops are called in reverse: first it is told to end, then waited for.
            self._stops += [saving.join, self._saver.stop]
        follower = StreamFollower(self._stream(), self._proxy, clock=time.monotonic, jitter=random.random)
        announcer = Presence(self._stream(), proxy_id, self._presence)
        threads.start("stream", follower.run)
        threads.start("presence", announcer.run)
        self._stops += [follower.stop, announcer.stop]

    def _stream(self) -> RedisStream:
        return RedisStream.from_url(self._settings.redis, RedisNames(self._settings.namespace))

    def _presence(self) -> Mapping[str, str]:
        """Return what to announce, all of one moment; from any thread but the reactor's."""
        return asked(
            self._reactor,
            lambda: presence(
                self._proxy.standing,
                host=self._settings.host,
                driver=self._driver.name,
                connections=self._driver.connections(),
                leaving=self._driver.leaving(),
            ),
        )

    def _use_stored(self, directory: Path) -> None:
        known = None if self._proxy.standing.complete else state_dir.load(directory)
        if known is not None:
            self._proxy.use_stored(known)

    # ------------------------------------------------------------------------------------------------- the end
    def _stop_or_abort(self) -> None:
        if self._draining:
            log.warning("asked to stop again, ending open connections")
            self._driver.abort()
        else:
            self._reactor.stop()

    def _drain(self) -> Deferred[None]:
        self._draining = True
        log.info("draining", connections=self._driver.connections(), most_seconds=self._settings.drain_seconds)
        return self._driver.stop(self._settings.drain_seconds).addCallback(self._end)

    def _end(self, _: None) -> None:
        for stop in reversed(self._stops):
            stop()
        log.info("proxy ended")
