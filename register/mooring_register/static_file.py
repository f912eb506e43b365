"""Watches a static file and tells what it declares. A file that cannot be read leaves what it said last as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Final

from mooring.errors import DocumentError
from mooring.telemetry import get_logger
from mooring_register.observations import Declared, Observation, Unreadable
from mooring_register.static_instances import read_instances

log = get_logger()

_LOOK_SECONDS: Final = 0.5

Stamp = tuple[int, int, int] | None


class StaticFile:
    """Tells `observe` what a file declares, whenever it changed. `watch` belongs into a thread.

    `clock` gives epoch seconds.
    """

    def __init__(
        self, path: Path, host: str, observe: Callable[[Observation], None], clock: Callable[[], float]
    ) -> None:
        self._path = path
        self._host = host
        self._observe = observe
        self._clock = clock
        self._stopping = Event()

    def stop(self) -> None:
        """End `watch`."""
        self._stopping.set()

    def watch(self) -> None:
        """Look at the file twice a second until stopped."""
        seen: Stamp | str = "never"
        while not self._stopping.is_set():
            # The stamp first: a file that changes while we read it is read again.
            stamp = self._stamp()
            if stamp != seen:
                seen = stamp
                self._observe(self.read())
            self._stopping.wait(_LOOK_SECONDS)

    def read(self) -> Declared | Unreadable:
        """Read the file once."""
        now = self._clock()
        try:
            text = self._path.read_text(encoding="utf-8")
            instances, problems = read_instances(text, file=self._path.name, host=self._host, seen=now)
        except (OSError, UnicodeDecodeError) as error:
            return Unreadable(DocumentError(self._path.name, f"cannot be read: {error}"), now)
        except DocumentError as error:
            return Unreadable(error, now)
        return Declared(tuple(instances), tuple(problems), now)

    def _stamp(self) -> Stamp:
        """Return what changes when the file does, also when an editor puts another one in its place."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
