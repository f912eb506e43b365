"""The images that tests run containers from: Debian's base, a whoami on top of it, and Mooring's own.

Where a container registry can be reached the base is pulled; where not, it is made from Debian's packages with
mmdebstrap (as root) and given the name that the published one has. Building again what is there costs a moment.
Mooring's own are built by `make images`, as their users build them, so that nobody has a cache of his own.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
from docker.errors import APIError, ImageNotFound

RELEASE = "trixie"
REPOSITORY, TAG = "debian", f"{RELEASE}-slim"
WHOAMI = "mooring-whoami"
BUILD_SECONDS = 300
TOLD_BYTES = 4000
ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
MOORING = tuple(f"mooring-{part}" for part in ("register", "discover", "proxy", "etcd", "redis"))
# As in the published slim image: documents and translations are not unpacked, now or later.
LEFT_OUT = ("doc", "info", "linda", "lintian", "locale", "man")
KEPT = ("doc/*/copyright", "locale/locale.alias")


class ImageError(Exception):
    """An image can be had neither way."""


def exists(client: docker.DockerClient, name: str) -> bool:
    """Tell whether the engine has an image of this name."""
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def bootstrap(root: Path, *packages: str) -> None:
    """Make Debian's minimal root file system as the published slim image has it, as a tar or in a folder.

    Raises:
        ImageError: mmdebstrap is missing or failed.
    """
    program = shutil.which("mmdebstrap")
    if program is None:
        raise ImageError("no mmdebstrap on PATH")
    options = [
        *(f"--dpkgopt=path-exclude=/usr/share/{path}/*" for path in LEFT_OUT),
        *(f"--dpkgopt=path-include=/usr/share/{path}" for path in KEPT),
        *(f"--include={package}" for package in packages),
        "--aptopt=Acquire::Retries 5",
    ]
    # Into a folder: its mounts are made and undone in namespaces of its own.
    command = [program, "--quiet", "--variant=minbase", *options, RELEASE, str(root)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
    if outcome.returncode != 0:
        raise ImageError(f"mmdebstrap ended with status {outcome.returncode}: {outcome.stderr.strip()}")


def ensure_base(client: docker.DockerClient) -> None:
    """Have the base image: keep it, else pull it, else make it.

    Raises:
        ImageError: it could be neither pulled nor made; says why for both.
    """
    if exists(client, f"{REPOSITORY}:{TAG}"):
        return
    try:
        client.images.pull(REPOSITORY, TAG)
    except APIError as not_pulled:
        with tempfile.TemporaryDirectory() as folder:
            tar = Path(folder) / "root.tar"
            try:
                bootstrap(tar)
            except ImageError as error:
                message = f"{REPOSITORY}:{TAG} cannot be pulled ({not_pulled.explanation}) nor made ({error})"
                raise ImageError(message) from error
            client.api.import_image_from_file(str(tar), repository=REPOSITORY, tag=TAG)


def ensure_whoami(client: docker.DockerClient) -> None:
    """Build the whoami image from the file as it is now. Raises docker's BuildError, ImageError."""
    ensure_base(client)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(COMPOSE / "whoami/Dockerfile", folder)
        shutil.copy(COMPOSE / "mooring_stack/whoami.py", folder)
        client.images.build(path=folder, tag=WHOAMI, network_mode="host", rm=True)


def ensure_mooring(client: docker.DockerClient) -> None:
    """Build Mooring's five images from the sources as they are now, and let the holder of sockets be of that build too.

    Raises:
        ImageError: a build failed; tells the end of what it printed.
    """
    ensure_base(client)
    command = ["make", "--no-print-directory", "--directory", str(ROOT), "images"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
    if outcome.returncode != 0:
        raise ImageError(f"make images ended with status {outcome.returncode}: {outcome.stderr[-TOLD_BYTES:]}")
    client.images.get("mooring-proxy").tag("mooring-sockets")


@contextmanager
def engine() -> Iterator[docker.DockerClient]:
    """Give a client of this machine's engine, patient enough for a build."""
    client = docker.DockerClient.from_env(timeout=BUILD_SECONDS)
    try:
        yield client
    finally:
        client.close()


def main() -> None:
    """Have all images, and say how long it took."""
    with engine() as client:
        ensures = {f"{REPOSITORY}:{TAG}": ensure_base, WHOAMI: ensure_whoami, "mooring-*": ensure_mooring}
        for name, ensure in ensures.items():
            started = time.monotonic()
            ensure(client)
            print(f"{name}: there after {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
