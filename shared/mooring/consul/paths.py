"""Which ids and keys an agent finds again, as it is asked for them by a path. Pure."""

from __future__ import annotations

from mooring.errors import DocumentError


def check_path(text: str) -> str:
    """Return an id or a key unchanged.

    An agent cleans the path that it is asked for, even where it is percent-encoded: what it took under `a//b` nobody
    could remove again.

    Raises:
        DocumentError: it is empty, or has an empty segment, `.` or `..` between slashes.
    """
    if {"", ".", ".."} & set(text.split("/")):
        raise DocumentError(text, "Consul would not find it again: an empty segment, '.' or '..' between slashes")
    return text
