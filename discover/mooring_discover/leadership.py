"""Who leads: one of the discovers of a stream holds a lead that expires, and renews it from a thread of its own.

The thread only asks Redis and notes the epoch that it was given. It does not need to be right at every moment: what
protects the stream is the epoch that each append names. Its own thread, because a listing of a hundred thousand
instances may keep the owner busy for longer than the lead lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

from mooring.errors import WorldError
from mooring.redis.stream import StreamWriter
from mooring.telemetry import get_logger
from mooring.threads import start
from mooring_discover.metrics import EPOCHS, LEADING

STANDBY_SECONDS = 0.1

log = get_logger()


class Leadership:
    """Strives for the lead until `stop`; `epoch` is what it was last given, None while another leads.

    `failure` is why Redis gave no answer to the last question, empty when it did.
    """

    def __init__(self, stream: StreamWriter, leader: str, *, expiry_seconds: float) -> None:
        """Prepare; `leader` is our name among those who strive."""
        self.epoch: int | None = None
        self.failure = "Redis was not asked yet"
        self.leader = leader
        self._stream = stream
        self._expiry_seconds = expiry_seconds
        self._changed: Callable[[], None] = lambda: None
        self._stopping = Event()
        self._thread: Thread | None = None

    def start(self, changed: Callable[[], None]) -> None:
        """Strive from now on; `changed` is called, from another thread, whenever `epoch` is another one."""
        self._changed = changed
        self._thread = start("lead", self._run)

    def stop(self, within_seconds: float) -> None:
        """Resign, so that a standby takes over at once; without waiting for longer than that, as Redis may be away."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(within_seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.ask()
            # A standby asks often: it takes over as soon as the leader resigned.
            self._stopping.wait(STANDBY_SECONDS if self.epoch is None else self._expiry_seconds / 4)
        if self.epoch is not None:
            self._resign()

    def ask(self) -> None:
        """Take or renew the lead, once."""
        try:
            epoch = self._stream.lead(self.leader, expiry_seconds=self._expiry_seconds)
        except WorldError as error:
            # Whether the lead is lost is known when Redis answers again; until then nothing can be written anyway.
            self.failure = str(error)
            return
        self.failure = ""
        if epoch != self.epoch:
            log.info("leading" if epoch is not None else "standing by", epoch=epoch, before=self.epoch)
            LEADING.set(epoch is not None)
            EPOCHS.inc(epoch is not None)
            self.epoch = epoch
            self._changed()

    def _resign(self) -> None:
        try:
            self._stream.resign(self.leader)
        except WorldError as error:
            log.info("the lead could not be given up, it expires", reason=str(error))
