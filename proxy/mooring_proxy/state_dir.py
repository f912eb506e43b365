"""The edge to `--state-dir`: the last catalog as a file, so that a proxy can start without Redis.

Written by a thread of its own, the newest value only, at most once a second: encoding a large catalog takes longer than
a reactor may stand still. If we crash here: the file is replaced by one rename, so it is the old text or the new one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from threading import Condition
from typing import Final

from mooring.errors import DocumentError
from mooring.telemetry import get_logger
from mooring_proxy import metrics
from mooring_proxy.following import Known
from mooring_proxy.stored_table import decode_known, encode_known

FILE_NAME: Final = "catalog.json"
WRITE_SECONDS: Final = 1.0
# Proxies that share a directory are often process 1, each in its container: the number alone would be everybody's name.
_DRAFT_NAME: Final = f"{FILE_NAME}.{secrets.token_hex(4)}.new"

log = get_logger()


def load(directory: Path) -> Known | None:
    """Return what was stored; None when nothing was, or nothing that can be read, which is said."""
    try:
        return decode_known((directory / FILE_NAME).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, DocumentError) as error:
        metrics.BROKEN.inc()
        log.error("the stored table cannot be used", problem=str(error))  # noqa: TRY400 -- no bug, no stack
        return None


def save(directory: Path, known: Known) -> None:
    """Store it in place of what was stored.

    Raises:
        OSError: the directory cannot be written.
    """
    draft = directory / _DRAFT_NAME
    with draft.open("w", encoding="utf-8") as file:
        file.write(encode_known(known))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(directory / FILE_NAME)


class Saver:
    """Stores the newest catalog that it was given, until `stop`."""

    def __init__(self, directory: Path, save: Callable[[Path, Known], None] = save) -> None:
        self._directory = directory
        self._save = save
        self._changed = Condition()
        self._newest: Known | None = None
        self._stopping = False

    def put(self, known: Known) -> None:
        """Have this stored soon, unless a newer one comes first."""
        with self._changed:
            self._newest = known
            self._changed.notify_all()

    def stop(self) -> None:
        """End `run` after what was put last is stored."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def run(self) -> None:
        """Store until `stop`; what fails is said, and tried again with the next value."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._stopping)
                known, self._newest = self._newest, None
            if known is not None:
                self._try(known)
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, WRITE_SECONDS)
                if self._stopping and self._newest is None:
                    return

    def _try(self, known: Known) -> None:
        try:
            self._save(self._directory, known)
        except OSError as error:
            log.error("the table cannot be stored", problem=str(error))  # noqa: TRY400 -- no bug, no stack
        except Exception:
            # Nobody's traffic ends because a later start will know less.
            log.exception("bug: the table cannot be stored")
