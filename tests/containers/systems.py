"""Another Debian than this machine's, with a Docker engine of another version: for tests that run it in a machine.

Made once from Debian's packages, as root, and kept under `build/`, which `make clean` removes.
"""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

from tests.containers.images import RELEASE, ROOT, bootstrap

PACKAGES = ("docker.io", "iptables")


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
            unfinished = made.with_suffix(".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            bootstrap(unfinished, *PACKAGES)
            unfinished.rename(made)
    return made


if __name__ == "__main__":
    print(f"{ensure_engine().name} is there")
