"""A watch on a real etcd: one stream of gRPC, read by whoever iterates.

The library's own watcher is never used: it loses its watches when a connection ends, says nothing when its token
expires, and spins while etcd is away. What follows from an error is decided by who iterates (see `mirror`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Lock, Timer
from typing import Final

import grpc

from mooring.errors import StartOver, Unavailable
from mooring.etcd.connection import Connection, Rejected
from mooring.etcd.messages import Message, rpc
from mooring.etcd.store import Change, KeyValue, Removed

CREATED_SECONDS: Final = 5.0


def key_text(key: bytes) -> str:
    """Return a key as text; bytes that are no UTF-8 are shown as escapes, so that a stranger's key hurts nobody."""
    return key.decode(errors="backslashreplace")


def prefix_range(prefix: str) -> tuple[bytes, bytes]:
    """Return (first key, end) of the range of all keys with that prefix, in etcd's form."""
    # A zero byte as the end stands for the end of everything. UTF-8 never ends in 0xff, so there is a next one.
    first = prefix.encode()
    return (first, first[:-1] + bytes((first[-1] + 1,))) if first else (b"\0", b"\0")


def key_value(item: Message) -> KeyValue:
    """Return the value that a KeyValue message describes."""
    return KeyValue(key_text(item.key), item.value, item.mod_revision, item.lease)


class EtcdWatch:
    """See `store.Watch`. `failed` is told when the connection does not answer, before `Unavailable` is raised."""

    def __init__(self, connection: Connection, prefix: str, after: int, failed: Callable[[], None]) -> None:
        self._connection = connection
        self._prefix = prefix
        self._after = max(after, 1)  # an empty store is at revision 1; asking etcd about 0 means the present
        self._failed = failed
        self._lock = Lock()
        self._call: Message = None
        self._cancelled = False

    def cancel(self) -> None:
        """See `store.Watch.cancel`."""
        with self._lock:
            self._cancelled = True
            if self._call is not None:
                self._call.cancel()

    def __iter__(self) -> Iterator[tuple[Change, ...]]:
        """See `store.Watch`."""
        requests: SimpleQueue[Message] = SimpleQueue()
        requests.put(self._request())
        try:
            yield from self._changes(requests)
        except grpc.RpcError as error:
            if not self._cancelled and not self._connection.closed:
                raise self._translate(error) from None
        except Unavailable:
            self._failed()
            raise
        finally:
            # The library's thread waits for a further request as long as the stream lives.
            requests.put(None)

    def _request(self) -> Message:
        first, end = prefix_range(self._prefix)
        return rpc.WatchRequest(
            create_request=rpc.WatchCreateRequest(
                key=first, range_end=end, start_revision=self._after + 1, progress_notify=True
            )
        )

    def _changes(self, requests: SimpleQueue[Message]) -> Iterator[tuple[Change, ...]]:
        call = self._start(requests)
        if call is None:
            return
        # A server that froze accepts the stream and stays silent: pings notice it, but only after 15 seconds.
        impatience = Timer(CREATED_SECONDS, call.cancel)
        impatience.daemon = True
        impatience.start()
        try:
            for response in call:
                impatience.cancel()
                changes = self._read(response)
                # What came before `cancel` is not handed over after it.
                if self._cancelled:
                    return
                yield changes
        finally:
            impatience.cancel()
            call.cancel()
        raise Unavailable(f"{self._connection.endpoint}: the watch ended")

    def _start(self, requests: SimpleQueue[Message]) -> Message:
        with self._lock:
            if not self._cancelled:
                self._call = self._connection.watch(iter(requests.get, None))
            return self._call

    def _read(self, response: Message) -> tuple[Change, ...]:
        if response.compact_revision:
            raise StartOver(f"revision {self._after} is compacted, {response.compact_revision} is the first kept")
        if response.canceled:
            self._connection.forget_token()
            raise Unavailable(f"{self._connection.endpoint}: the watch was refused: {response.cancel_reason}")
        if response.created:
            self._check_position(response.header.revision)
        return tuple(
            key_value(event.kv) if event.type == event.PUT else Removed(key_text(event.kv.key), event.kv.mod_revision)
            for event in response.events
        )

    def _check_position(self, present: int) -> None:
        """Find out at once whether the changes after our revision are there; the stream says so only a while later."""
        if present < self._after:
            raise StartOver(f"the store is at {present}, before {self._after}: it was replaced")
        request = rpc.RangeRequest(key=b"\0", count_only=True, revision=self._after)
        try:
            self._connection.ask(self._connection.keys.Range, request)
        except Rejected as error:
            if error.code is not grpc.StatusCode.OUT_OF_RANGE:
                raise
            raise StartOver(f"revision {self._after} is compacted") from None

    def _translate(self, error: Message) -> Exception:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            # More happened than fits into one answer; asking again would end the same way. A listing comes in pages.
            return StartOver(f"too much happened after revision {self._after}: {error.details()}")
        self._failed()
        self._connection.forget_token()
        return self._connection.translate(error)
