"""The directory that a demo keeps everything in: made empty, removed at the end.

A demo that was killed cannot remove its own. Each directory therefore holds a file that its demo keeps locked while it
lives; the next demo removes those that nobody locks any more. Of two demos, each leaves the other's alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "mooring-demo-"
_LOCK: Final = "lock"


@contextmanager
def home(parent: Path | None = None) -> Iterator[Path]:
    """Make a directory below `parent` (default: where temporary files go), and remove it and forgotten ones."""
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    _remove_forgotten(parent)
    made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    # Locked under another name first: a directory whose lock is there but not yet held would look forgotten.
    lock = os.open(made / "locking", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (made / "locking").rename(made / _LOCK)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def _remove_forgotten(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # being made, being removed, or another user's
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # its demo lives
        finally:
            os.close(lock)
