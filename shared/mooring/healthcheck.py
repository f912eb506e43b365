"""`python3 -m mooring.healthcheck FILE`: is the command that wrote FILE (`--admin-file`) ready? For HEALTHCHECK.

Prints what `/readyz` says, or why it could not be asked, and ends with status 0 or 1. It runs every few seconds in
every container: it imports nothing but a few modules of the standard library, of ours not even the vocabulary.
"""

from __future__ import annotations

import socket
import sys

ANSWER_SECONDS = 3.0  # less than the images give to a whole check, so that the reason is told and not just "timeout"
_MOST_BYTES = 4096


def verdict(file: str) -> tuple[bool, str]:
    """Return whether the command is ready, and what it, or the world, says about it."""
    try:
        with open(file, encoding="utf-8") as lines:  # noqa: PTH123 -- pathlib alone is a third of the time that this takes
            host, _, port = lines.read().strip().rpartition(":")
        head, _, reason = _ask(host.strip("[]"), int(port)).partition("\r\n\r\n")
    except (OSError, ValueError) as error:
        return False, str(error)
    return head.startswith("HTTP/1.0 200 "), reason.strip() or "no answer"


def _ask(host: str, port: int) -> str:
    with socket.create_connection((host, port), ANSWER_SECONDS) as connection:
        connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        answer = b""
        while len(answer) < _MOST_BYTES and (more := connection.recv(_MOST_BYTES)):
            answer += more
    return answer.decode(errors="replace")


def main(arguments: list[str]) -> int:
    """Print the verdict and return the exit status; Docker knows no other than 0 and 1."""
    if len(arguments) != 1:
        print("usage: python3 -m mooring.healthcheck FILE")  # noqa: T201 -- this is what Docker keeps of a check
        return 1
    is_ready, reason = verdict(arguments[0])
    print(reason)  # noqa: T201 -- the same
    return 0 if is_ready else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
