"""A small service that says who it is, and logs what became of every connection the moment it happens.

The demo runs it as plain processes, the tests in containers. It knows nothing of Mooring and needs only the standard
library, because the image of the tests holds this one file and Debian's smallest Python.

It answers one GET per connection with `instance=<name> pid=<pid> path=<path>` and closes. Its log on standard output
is evidence: each line is one unbuffered write, so that a test can tell after a `kill -9` what had reached the instance.

    1763634000.123456 accepted port=40312
    1763634000.123611 received port=40312 bytes=74 request=17
    1763634000.123702 answered port=40312 status=200 request=17

`port` is the client's, `request` its `X-Request-Id` or `-`. On SIGTERM it serves on for the grace, then for those who
wait already, and ends with status 0; a second SIGTERM ends the grace.
"""

import argparse
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

HEAD_LIMIT_BYTES = 16 * 1024
# Longer than any client of a test takes; half of what Docker gives a container to stop in.
CLIENT_TIMEOUT_SECONDS = 60.0
REASONS = {200: "OK", 400: "Bad Request", 405: "Method Not Allowed"}


@dataclass(frozen=True)
class Settings:
    """Where to listen (port 0: any free one), which name to answer with, how long SIGTERM leaves it serving."""

    address: str
    port: int
    name: str
    grace_seconds: float


@dataclass(frozen=True)
class Request:
    """The little that is read of a request's head."""

    method: str
    path: str
    request_id: str


def request_in(head: bytes) -> Request | None:
    """Read what has come so far. None: no request begins like this, or its first line is not whole yet."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(lines) == 1 or len(words) != 3 or not words[2].startswith("HTTP/"):  # noqa: PLR2004 -- method, path, version
        return None
    fields = (line.partition(":") for line in lines[1:-1])
    ids = [value.strip() for name, _, value in fields if name.lower() == "x-request-id"]
    return Request(words[0], words[1], ids[0] if ids else "-")


def response(request: Request | None, name: str) -> tuple[int, bytes]:
    """Answer a request: the status and the bytes. None stands for a request that made no sense."""
    if request is None:
        status, text = 400, "this is not HTTP\n"
    elif request.method not in {"GET", "HEAD"}:
        status, text = 405, "GET or HEAD only\n"
    else:
        status, text = 200, f"instance={name} pid={os.getpid()} path={request.path}\n"
    body = text.encode()
    head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return status, head.encode() + (b"" if request and request.method == "HEAD" else body)


def log(text: str) -> None:
    """Write one line in one piece: several threads do, and none may lose it in a buffer when it is killed."""
    os.write(1, f"{time.time():.6f} {text}\n".encode())


def read_head(connection: socket.socket, port: int) -> bytes:
    """Read until the empty line, the client's end, or the limit; every arrival of bytes is logged."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < HEAD_LIMIT_BYTES:
        arrived = connection.recv(4096)
        if not arrived:
            break
        head += arrived
        request = request_in(head)
        log(f"received port={port} bytes={len(arrived)} request={request.request_id if request else '-'}")
    return head


def converse(connection: socket.socket, port: int, name: str) -> None:
    """Serve one client: one request, one answer, and a close that leaves the answer time to arrive."""
    connection.settimeout(CLIENT_TIMEOUT_SECONDS)
    try:
        head = read_head(connection, port)
        if not head:
            log(f"closed port={port} without a request")
            return
        request = request_in(head)
        status, answer = response(request, name)
        connection.sendall(answer)
        log(f"answered port={port} status={status} request={request.request_id if request else '-'}")
        # Closing over unread bytes would reset the connection and could take the answer with it.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    except OSError as error:
        log(f"failed port={port} reason={error}")
    finally:
        connection.close()


@contextmanager
def termination() -> Iterator[socket.socket]:
    """Give a socket on which a byte can be read for each SIGTERM or SIGINT."""
    readable, writable = socket.socketpair()
    writable.setblocking(False)  # asked for by set_wakeup_fd
    signal.set_wakeup_fd(writable.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # the byte is the news; the handler only keeps us alive
    with readable, writable:
        yield readable


def accept(listener: socket.socket, name: str) -> None:
    """Take the next client, if one still waits, into a thread of its own."""
    try:
        connection, peer = listener.accept()
    except BlockingIOError:
        return
    log(f"accepted port={peer[1]}")
    threading.Thread(target=converse, args=(connection, peer[1], name)).start()


def serve(listener: socket.socket, ending: socket.socket, settings: Settings) -> None:
    """Accept until a signal has come and the grace is over, or a second one came; then take who waits already."""
    deadline: float | None = None
    while deadline is None or time.monotonic() < deadline:
        remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([listener, ending], [], [], remaining)
        if ending in ready:
            ending.recv(1)
            grace_seconds = settings.grace_seconds if deadline is None else 0.0
            log(f"ending grace_seconds={grace_seconds:g}")
            deadline = time.monotonic() + grace_seconds
        if listener in ready:
            accept(listener, settings.name)
    while select.select([listener], [], [], 0)[0]:
        accept(listener, settings.name)


def settings_from(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> Settings:
    """Read the command line, what it leaves open from the environment. If it is wrong: status 2."""
    parser = argparse.ArgumentParser(prog="whoami", description="Answer every GET with who answers.")
    port, grace = environment.get("PORT", "8000"), environment.get("GRACE_SECONDS", "0")
    parser.add_argument("--address", default=environment.get("ADDRESS", ""), help="default: $ADDRESS, else all")
    parser.add_argument("--port", type=int, default=port, help="0: any free one. default: $PORT, else 8000")
    parser.add_argument("--name", default=environment.get("NAME", socket.gethostname()), help="$NAME, else host name")
    parser.add_argument("--grace-seconds", type=float, default=grace, help="default: $GRACE_SECONDS, else 0")
    return Settings(**vars(parser.parse_args(arguments)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to end."""
    settings = settings_from(arguments, os.environ)
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    listener = socket.create_server((settings.address, settings.port), family=family, backlog=4096)
    with termination() as ending, closing(listener):
        listener.setblocking(False)
        log(f"listening port={listener.getsockname()[1]} name={settings.name}")
        serve(listener, ending, settings)
    # The threads are no daemons: those who were accepted get their answer before the process ends.


if __name__ == "__main__":
    main()
