"""The seams of Mooring that can fail, and what one call of each is called in words."""

from collections.abc import Sequence
from typing import Any

from mooring.documents import decode_instance
from mooring.etcd.store import Operation, Put, Store
from mooring.keys import BINDINGS_PREFIX, HOSTS_PREFIX, STORE_KEY
from mooring.redis.stream import Batch, StreamReader, StreamWriter
from tests.chaos.crashing import Seam


def store_purpose(method: str, arguments: Sequence[Any]) -> str:
    """Return what a call of a `Store` is for: what a transaction writes, else the method."""
    if method != "commit":
        return method
    operations: tuple[Operation, ...] = arguments[1]
    return ", ".join(sorted({_written(operation) for operation in operations}))


def _written(operation: Operation) -> str:
    verb = "put" if isinstance(operation, Put) else "delete"
    if operation.key.startswith(HOSTS_PREFIX):
        return f"{verb} host"
    if operation.key == STORE_KEY:
        return f"{verb} store"
    if operation.key.startswith(BINDINGS_PREFIX):
        return f"{verb} binding"
    if not isinstance(operation, Put):
        return f"{verb} instance"
    return f"{verb} {decode_instance(operation.value, where=operation.key).state}"


def stream_purpose(method: str, arguments: Sequence[Any]) -> str:
    """Return what a call of a stream is for: what a batch brings, else the method."""
    if method != "append":
        return method
    batch: Batch = arguments[0]
    types = {entry.fact.type for entry in batch.entries}
    what = "epoch" if "epoch-began" in types else "facts" if types else "head alone"
    return f"append {what}"


STORE = Seam(Store, frozenset({"commit", "grant", "keep_alive", "revoke"}), store_purpose)
STREAM = Seam(StreamWriter, frozenset({"lead", "resign", "begin", "append", "trim", "announce"}), stream_purpose)
READER = Seam(StreamReader, frozenset({"announce"}), stream_purpose)
