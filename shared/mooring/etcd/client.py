"""A real etcd as a `Store`: values become requests, answers become values, errors ours. Decides nothing else.

Which endpoint is asked: the one that answered last; when it fails, the next. A question that may be asked twice is
asked of each endpoint in turn before `Unavailable` is raised. A transaction is not: the answer that was lost may have
been yes, and only the caller knows what that means for a second attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from threading import Lock
from typing import Final, TypeVar

import grpc

from mooring.errors import LeaseLost, SettingsError, Unavailable
from mooring.etcd.address import EtcdAddress
from mooring.etcd.connection import Connection, Credentials, Rejected
from mooring.etcd.messages import Message, rpc
from mooring.etcd.password import password_for
from mooring.etcd.store import (
    MOST_OPERATIONS,
    NO_LEASE,
    At,
    Committed,
    Condition,
    Holds,
    KeyValue,
    Lease,
    Listing,
    Operation,
    Put,
    Refused,
    Watch,
    check_transaction,
)
from mooring.etcd.watch import EtcdWatch, key_text, key_value, prefix_range
from mooring.model import Address

PAGE_KEYS: Final = 1000

T = TypeVar("T")


class EtcdStore:
    """A `Store` over the endpoints of one etcd. Made without contacting any of them."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = tuple(connections)
        self._used = 0
        self._lock = Lock()

    def list(self, prefix: str) -> Listing:
        """See `Store.list`."""
        return self._ask_any(lambda connection: _list(connection, prefix))

    def get(self, key: str) -> KeyValue | None:
        """See `Store.get`."""
        request = rpc.RangeRequest(key=key.encode())
        answer = self._ask_any(lambda connection: connection.ask(connection.keys.Range, request))
        return key_value(answer.kvs[0]) if answer.kvs else None

    def read(self, keys: Collection[str]) -> tuple[KeyValue, ...]:
        """See `Store.read`."""
        return tuple(
            item for batch in _batches(sorted(set(keys))) for item in self._ask_any(partial(_read, keys=batch))
        )

    def watch(self, prefix: str, after: int) -> Watch:
        """See `Store.watch`."""
        used = self._used
        return EtcdWatch(self._connections[used], prefix, after, lambda: self._pass_over(used))

    def commit(self, conditions: tuple[Condition, ...], operations: tuple[Operation, ...]) -> Committed | Refused:
        """See `Store.commit`."""
        check_transaction(conditions, operations)
        request = rpc.TxnRequest(
            compare=[_comparison(condition) for condition in conditions],
            success=[_operation(operation) for operation in operations],
            failure=[_question(key) for key in dict.fromkeys(condition.key for condition in conditions)],
        )
        try:
            answer = self._ask_one(self._used, lambda connection: connection.ask(connection.keys.Txn, request))
        except Rejected as error:
            lease = next((put.lease for put in operations if isinstance(put, Put) and put.lease), NO_LEASE)
            if error.code is grpc.StatusCode.NOT_FOUND and lease:
                raise LeaseLost(lease) from None
            raise
        if answer.succeeded:
            return Committed(answer.header.revision)
        return Refused(tuple(key_value(item) for response in answer.responses for item in response.response_range.kvs))

    def grant(self, ttl_seconds: int) -> int:
        """See `Store.grant`."""
        # A lease whose answer was lost holds no keys and ends by itself.
        request = rpc.LeaseGrantRequest(TTL=ttl_seconds)
        return int(self._ask_any(lambda connection: connection.ask(connection.leases.LeaseGrant, request)).ID)

    def keep_alive(self, lease: int) -> int:
        """See `Store.keep_alive`."""
        request = rpc.LeaseKeepAliveRequest(ID=lease)
        answer = self._ask_any(
            lambda connection: connection.ask(_one_answer(connection.leases.LeaseKeepAlive), request)
        )
        # etcd answers for a lease that is gone, with nothing left of it.
        if answer is None or answer.TTL <= 0:
            raise LeaseLost(lease)
        return int(answer.TTL)

    def lease(self, lease: int) -> Lease | None:
        """See `Store.lease`."""
        request = rpc.LeaseTimeToLiveRequest(ID=lease, keys=True)
        try:
            answer = self._ask_any(lambda connection: connection.ask(connection.leases.LeaseTimeToLive, request))
        except Rejected as error:
            _accept_gone(error)
            return None
        if answer.TTL < 0:
            return None
        return Lease(lease, answer.grantedTTL, answer.TTL, tuple(sorted(key_text(key) for key in answer.keys)))

    def revoke(self, lease: int) -> None:
        """See `Store.revoke`."""
        request = rpc.LeaseRevokeRequest(ID=lease)
        try:
            self._ask_any(lambda connection: connection.ask(connection.leases.LeaseRevoke, request))
        except Rejected as error:
            _accept_gone(error)

    def close(self) -> None:
        """See `Store.close`."""
        for connection in self._connections:
            connection.close()

    def _ask_any(self, question: Callable[[Connection], T]) -> T:
        reasons = []
        for _ in self._connections:
            try:
                return self._ask_one(self._used, question)
            except Unavailable as error:
                reasons.append(str(error))
        raise Unavailable("; ".join(reasons))

    def _ask_one(self, used: int, question: Callable[[Connection], T]) -> T:
        try:
            return question(self._connections[used])
        except Unavailable:
            self._pass_over(used)
            raise

    def _pass_over(self, used: int) -> None:
        """Ask the next endpoint from now on, unless another thread found out before us."""
        with self._lock:
            if self._used == used:
                self._used = (used + 1) % len(self._connections)


def connect(
    endpoints: Iterable[Address], *, ca: str = "", cert: str = "", key: str = "", user: str = "", password: str = ""
) -> EtcdStore:
    """Return a store over these endpoints, without contacting them; `ca`, `cert` and `key` are names of PEM files.

    Raises:
        SettingsError: a file cannot be read.
    """
    credentials = Credentials(ca, cert, key, user, password)
    try:
        return EtcdStore([Connection(endpoint, credentials) for endpoint in endpoints])
    except OSError as error:
        raise SettingsError(str(error.filename), f"cannot be read: {error.strerror}") from None


def connect_to(address: EtcdAddress) -> EtcdStore:
    """Return a store at an address, without contacting it.

    Raises:
        SettingsError: a file that the address names cannot be read.
    """
    return connect(
        address.endpoints,
        ca=address.ca,
        cert=address.cert,
        key=address.key,
        user=address.user,
        password=password_for(address),
    )


def _list(connection: Connection, prefix: str) -> Listing:
    """Return everything below a prefix, in pages that are all read at the revision of the first."""
    first, end = prefix_range(prefix)
    items: list[KeyValue] = []
    revision, more = 0, True
    while more:
        request = rpc.RangeRequest(key=first, range_end=end, limit=PAGE_KEYS, revision=revision)
        try:
            page = connection.ask(connection.keys.Range, request)
        except Rejected as error:
            if error.code is grpc.StatusCode.OUT_OF_RANGE:
                raise Unavailable(f"{connection.endpoint}: compacted while it was listed") from None
            raise
        revision, more = revision or page.header.revision, page.more
        items += [key_value(item) for item in page.kvs]
        first = page.kvs[-1].key + b"\0" if page.kvs else first
    return Listing(revision, tuple(items))


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield all keys, of which a transaction takes only so many."""
    return (keys[start : start + MOST_OPERATIONS] for start in range(0, len(keys), MOST_OPERATIONS))


def _read(connection: Connection, keys: Iterable[str]) -> list[KeyValue]:
    """Return what keys hold, by a transaction that only reads: it takes part in no history."""
    answer = connection.ask(connection.keys.Txn, rpc.TxnRequest(success=[_question(key) for key in keys]))
    return [key_value(item) for response in answer.responses for item in response.response_range.kvs]


def _comparison(condition: Condition) -> Message:
    match condition:
        case Holds(key, value):
            return rpc.Compare(result=rpc.Compare.EQUAL, target=rpc.Compare.VALUE, key=key.encode(), value=value)
        case At(key, revision):
            return rpc.Compare(
                result=rpc.Compare.EQUAL, target=rpc.Compare.MOD, key=key.encode(), mod_revision=revision
            )


def _operation(operation: Operation) -> Message:
    if isinstance(operation, Put):
        put = rpc.PutRequest(key=operation.key.encode(), value=operation.value, lease=operation.lease)
        return rpc.RequestOp(request_put=put)
    return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=operation.key.encode()))


def _question(key: str) -> Message:
    return rpc.RequestOp(request_range=rpc.RangeRequest(key=key.encode()))


def _one_answer(stream: Callable[..., Message]) -> Callable[..., Message]:
    """Return a method that sends one request over a stream and returns its first answer, or None."""

    def ask(request: Message, seconds: float, metadata: Message) -> Message:
        call = stream(iter((request,)), seconds, metadata=metadata)
        try:
            return next(call, None)
        finally:
            call.cancel()

    return ask


def _accept_gone(error: Rejected) -> None:
    """Go on when a lease is gone, and on no other account."""
    if error.code is not grpc.StatusCode.NOT_FOUND:
        raise error
