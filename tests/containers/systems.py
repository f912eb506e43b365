"""Another Debian than this machine's, with a Docker engine of another version: for tests that run it in a machine.

Made once from Debian's packages, as root, and kept under `build/`, which `make clean` removes.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

from tests.containers.images import BUILD_SECONDS, KEPT, LEFT_OUT, ROOT, ImageError

RELEASE = "trixie"
PACKAGES = "docker.io,iptables"


def ensure_engine() -> Path:
    """Have a file system with Debian trixie's engine (26.1), and return where it lies.

    Raises:
        ImageError: mmdebstrap is missing or failed.
    """
    made = ROOT / "build" / f"engine-{RELEASE}"
    made.parent.mkdir(exist_ok=True)
    # Several processes of one run may want it at the same time.
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _make(made.with_suffix(".new"))
            made.with_suffix(".new").rename(made)
    return made


def _make(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    program = shutil.which("mmdebstrap")
    if program is None:
        raise ImageError("no mmdebstrap on PATH")
    unpacked = [
        *(f"--dpkgopt=path-exclude=/usr/share/{path}/*" for path in LEFT_OUT),
        *(f"--dpkgopt=path-include=/usr/share/{path}" for path in KEPT),
    ]
    # Into a folder: its mounts are made and undone in namespaces of its own.
    command = [program, "--quiet", "--variant=minbase", f"--include={PACKAGES}", *unpacked, RELEASE, str(folder)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
    if outcome.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        raise ImageError(f"mmdebstrap ended with status {outcome.returncode}: {outcome.stderr.strip()}")
