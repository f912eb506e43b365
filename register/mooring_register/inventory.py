"""What a host has written where the values do not say whose they are: an inventory that its successor can read. Pure.

Below `/mooring/keys/<host>/` lie a few shelves, each a list of marks. A mark is the digest of a key and its value: so
it speaks of what we wrote, and never of what somebody else has written to the same key since. For the same reason marks
may be there too early and too long: they are written before the keys, and taken away when their shelf changes next.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Final
from urllib.parse import unquote

from mooring.documents import canonical
from mooring.keys import KEYS_PREFIX, encode_id

# One shelf is written anew for each change, all are renewed: with thousands of keys both stay small.
_SHELVES: Final = 16
_DIGITS: Final = 16


def inventory_root(host: str) -> str:
    """Return what the shelves of a host lie below."""
    return f"{KEYS_PREFIX}{encode_id(host)}/"


def mark(key: str, value: bytes) -> str:
    """Return the mark of a key that holds a value."""
    return sha256(key.encode() + b"\0" + value).hexdigest()[:_DIGITS]


def shelves(host: str, listed: Collection[tuple[str, bytes]], present: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the shelves, by key, that list these keys with their values; none when there is nothing to list.

    One that is present and lists at least what it should stays as it is.
    """
    lists: dict[str, list[str]] = {f"{inventory_root(host)}{number}": [] for number in range(_SHELVES)}
    for one in sorted({mark(key, value) for key, value in listed}):
        lists[f"{inventory_root(host)}{int(one, 16) % _SHELVES}"].append(one)
    needed = {where: _shelf(marks, present.get(where)) for where, marks in lists.items()} if listed else {}
    return {where: value for where, value in needed.items() if value}


def _shelf(marks: list[str], present: bytes | None) -> bytes:
    """Return what a shelf should hold, nothing if it need not be there."""
    if present is not None and marks_on([present]).issuperset(marks):
        return present
    return canonical({"v": 1, "marks": [*marks]}).encode() if marks else b""


def holder_in(shelves: Mapping[str, bytes], key: str, value: bytes) -> str:
    """Return the host whose inventory, among these shelves by key, lists that a key holds a value; or nothing."""
    wanted = mark(key, value)
    lists = (where for where, listed in shelves.items() if wanted in marks_on([listed]))
    return unquote(next(lists, "").removeprefix(KEYS_PREFIX).partition("/")[0])


def marks_on(values: Iterable[bytes]) -> frozenset[str]:
    """Return the marks on shelves; what is no shelf has none."""
    return frozenset(one for value in values for one in _marks(value))


def _marks(value: bytes) -> list[str]:
    try:
        marks = json.loads(value)["marks"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [one for one in marks if isinstance(one, str)] if isinstance(marks, list) else []
