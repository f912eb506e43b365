"""Runs the holder of sockets until SIGTERM. Nothing is decided here."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Final, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.task import LoopingCall

from mooring.admin import Admin
from mooring.cli import stop_with
from mooring.model import Address
from mooring.telemetry import get_logger
from mooring_proxy.limits import allow_many_descriptors
from mooring_proxy.low_ports import allow_low_ports
from mooring_proxy.reactors import asked, on_signal
from mooring_proxy.sockets.holder import Holder
from mooring_proxy.twisted_logs import send_logs_to

LOOK_SECONDS: Final = 1.0
# Whoever may ask for sockets may bind any port that we may bind: nobody but our own user.
SOCKET_MODE: Final = 0o600

log = get_logger()


def run(path: Path, keep_seconds: float, admin_address: Address, admin_file: Path | None) -> None:
    """Hold sockets until SIGTERM or SIGINT."""
    send_logs_to(log)
    allow_many_descriptors()
    allow_low_ports()
    reactor = cast("PosixReactorBase", global_reactor)
    holder = Holder(keep_seconds, clock=time.monotonic, now=time.time)
    own(path)
    reactor.listenUNIX(str(path), holder, mode=SOCKET_MODE)
    admin = open_admin(admin_address, admin_file, reactor, holder)
    admin.start()
    log.info("holder of sockets started", path=str(path), admin=str(admin.address))
    for number in (signal.SIGTERM, signal.SIGINT):
        reactor.callWhenRunning(on_signal, reactor, number, reactor.stop)
    LoopingCall(holder.look).start(LOOK_SECONDS, now=False)
    reactor.run()
    admin.stop()
    holder.close()
    log.info("holder of sockets ended")


def own(path: Path) -> None:
    """Make the path ours, and take away what an earlier holder left there; a living one's is an error, status 1.

    The lock is the kernel's: it ends with the process that has it, however that ends and in whichever container.
    """
    try:
        lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, SOCKET_MODE)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        stop_with(f"--path {path}: another holder of sockets has it")
    except OSError as error:
        stop_with(f"--path {path}: {error}")


def open_admin(address: Address, file: Path | None, reactor: PosixReactorBase, holder: Holder) -> Admin:
    """Return the admin server; what it listens at is an error, status 1, when it is taken."""
    try:
        return Admin(address, ready=lambda: None, state=partial(asked, reactor, holder.state), file=file)
    except OSError as error:
        stop_with(f"--admin {address}: {error}")
