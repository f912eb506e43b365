"""Who writes for a host in Consul: one key, owned by a session that is renewed, and what it takes to hold it.

`mooring/hosts/<host>` names the Docker engine, the session and a token, as `ownership` does in etcd. A register of the
same engine puts its own token there and goes on with the session and the keys that it owns; a register of another
engine is refused, by name. The one whose token was replaced stands by until the session ends.

An agent knows no conditions: whoever writes services looks at this key first, and leaves off when it is no more ours.
"""

from __future__ import annotations

import json
from typing import Final

from attrs import frozen

from mooring.consul.keys import MAX_SESSION_SECONDS, MIN_SESSION_SECONDS, Keys, KeyValue
from mooring.documents import canonical
from mooring.errors import DocumentError, OwnershipLost, SessionLost, Unavailable
from mooring.keys import BINDINGS_PREFIX, encode_id, host_key
from mooring.model import Json
from mooring_register.ownership import Claim

_SESSION_NAME: Final = "mooring-register"


@frozen
class HeldHost:
    """A host that is ours: the key, its exact value, and the session that owns it, with the time that this lives."""

    key: str
    value: bytes
    session: str
    ttl_seconds: int


@frozen
class _Record:
    engine: str
    token: str
    ttl_seconds: int
    started: str
    root: str


def in_consul(key: str) -> str:
    """Return a key as it is named in Consul, where none begins with a slash."""
    return key.removeprefix("/")


def bindings_root(host: str) -> str:
    """Return what the keys of a host's bindings begin with."""
    return f"{in_consul(BINDINGS_PREFIX)}{encode_id(host)}/"


def take(keys: Keys, claim: Claim, token: str, *, stands_by: bool, root: str = "") -> HeldHost:
    """Return the host as ours: new, or adopted from an earlier register of the same engine, with its session.

    `stands_by` says that we were fenced out: then a holder of the same engine is left alone, unless it has our token:
    that is ourselves, at an attempt whose answer was lost. `root` is what the keys of instances begin with: a session
    with keys below another one is ended instead of adopted, for nobody would ever find them.

    Raises:
        OwnershipLost: another engine holds the host, or (standing by) another register of this one.
        Unavailable: no answer, or somebody was faster: try again.
    """
    found = keys.get(in_consul(host_key(claim.host)))
    if found is None or not found.session:
        return _begin(keys, claim, token, root)
    record = _record(found)
    _check_whether_ours(record, claim)
    if stands_by and record.token != token:
        raise OwnershipLost(f"another register of this engine writes for host {claim.host!r} since {record.started}")
    if record.root != root:
        # If we crash here, or somebody was faster, the host is free.
        keys.destroy_session(found.session)
        return _begin(keys, claim, token, root)
    return _adopt(keys, claim, token, found, record)


def check(keys: Keys, held: HeldHost) -> None:
    """Make sure that a host is still ours.

    Raises:
        OwnershipLost: another register took it.
        SessionLost: its session ended.
        Unavailable: no answer.
    """
    found = keys.get(held.key)
    # Whoever took it after our session had ended must not be fenced out by us in turn.
    if found is not None and found.value != held.value:
        raise OwnershipLost(f"another register took {held.key}")
    if found is None or found.session != held.session:
        raise SessionLost(held.session)


def renew(keys: Keys, held: HeldHost) -> None:
    """Renew the session of a host, and make sure that it is still ours.

    Raises:
        OwnershipLost, SessionLost, Unavailable: as `check`.
    """
    try:
        keys.renew_session(held.session)
    except SessionLost:
        check(keys, held)
        raise
    check(keys, held)


def _check_whether_ours(record: _Record, claim: Claim) -> None:
    if record.engine != claim.engine:
        raise OwnershipLost(
            f"host {claim.host!r} is held by engine {record.engine}, ours is {claim.engine}: "
            "give this one another --host, or wait until the other is gone"
        )


def _begin(keys: Keys, claim: Claim, token: str, root: str) -> HeldHost:
    ttl_seconds = min(max(claim.ttl_seconds, MIN_SESSION_SECONDS), MAX_SESSION_SECONDS)
    session = keys.create_session(_SESSION_NAME, ttl_seconds)
    held = _held(claim, token, _Life(session, ttl_seconds, root))
    # If we crash here the session owns nothing, or our key, and ends by itself.
    if keys.acquire(held.key, held.value, session) is not None:
        keys.destroy_session(session)
        raise Unavailable(f"{held.key} was taken by somebody faster")
    return held


def _adopt(keys: Keys, claim: Claim, token: str, found: KeyValue, record: _Record) -> HeldHost:
    try:
        keys.renew_session(found.session)
    except SessionLost as error:
        raise Unavailable(f"{found.key} is about to go: {error}") from None
    held = _held(claim, token, _Life(found.session, record.ttl_seconds, record.root))
    if keys.put(held.key, held.value, found.index) is not None:
        raise Unavailable(f"{held.key} changed while it was taken")
    return held


@frozen
class _Life:
    """A session, the time that it lives, and the root of the instances whose keys it owns."""

    session: str
    ttl_seconds: int
    root: str


def _held(claim: Claim, token: str, life: _Life) -> HeldHost:
    record: dict[str, Json] = {
        "engine": claim.engine,
        "session": life.session,
        "token": token,
        "ttl": life.ttl_seconds,
        "root": life.root,
        "version": claim.version,
        "started": claim.started,
    }
    return HeldHost(in_consul(host_key(claim.host)), canonical(record).encode(), life.session, life.ttl_seconds)


def _record(found: KeyValue) -> _Record:
    try:
        document = json.loads(found.value)
        return _Record(
            engine=str(document["engine"]),
            token=str(document["token"]),
            ttl_seconds=int(document["ttl"]),
            started=str(document.get("started", "")),
            root=str(document.get("root", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        problem = DocumentError(found.key, f"does not say who writes for the host: {error!r}")
        raise OwnershipLost(str(problem)) from None
