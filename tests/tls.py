"""TLS for tests: certificates that live as long as a test, and a door with TLS before a server that knows none."""

from __future__ import annotations

import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from select import select
from threading import Thread
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"


def make_certificates(folder: Path) -> Path:
    """Make an authority that signs a server's and a client's certificate, and another one that signs nothing."""
    new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    # Python 3.13 wants to be told what an authority may do, and whose a certificate is.
    signs = "-addext keyUsage=critical,keyCertSign,cRLSign -days 2"
    for authority in ("ca", "other"):
        _openssl(folder, f"req -x509 {new} {signs} -keyout {authority}.key -out {authority}.pem -subj /CN={authority}")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nauthorityKeyIdentifier=keyid\n")
    for name in ("server", "client"):
        _openssl(folder, f"req {new} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        _openssl(
            folder,
            f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile names",
        )
    return folder


def _openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


class TlsDoor:
    """Takes TLS on a port of its own and hands on what is said to a port of the loopback, in the clear."""

    def __init__(self, target_port: int, certificates: Path) -> None:
        self._target_port = target_port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        self._listener = socket.create_server((HOST, 0))
        self._open: list[socket.socket] = []
        self._threads = [Thread(target=self._accept, daemon=True)]
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        """Open."""
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, and end what goes through it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = Thread(target=self._join, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _join(self, client: socket.socket) -> None:
        # One thread for both directions: a conversation in TLS is not to be used by two.
        with suppress(OSError), self._context.wrap_socket(client, server_side=True) as near:
            self._open.append(near)
            with socket.create_connection((HOST, self._target_port)) as far:
                while True:
                    for source in [near] if near.pending() else select([near, far], [], [])[0]:
                        some = source.recv(65536)
                        if not some:
                            return
                        (far if source is near else near).sendall(some)
