"""A real etcd by its v2 API: HTTP, one endpoint at a time, the next one when that does not answer.

An etcd 3 speaks it only when it was started with `--enable-v2`, and from 3.6 on not at all. Each caller has a
connection of its own while it asks, so that several threads ask at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar
from urllib.parse import quote

import requests
from attrs import field, frozen
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import NewConnectionError

from mooring.errors import DocumentError, SettingsError, Unavailable
from mooring.etcd.address import EtcdAddress
from mooring.etcd.password import password_for
from mooring.etcd2.store import ABSENT, Mismatch, Node
from mooring.model import Address

_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 3.0

# etcd's own numbers of errors.
_NOT_FOUND: Final = 100
_COMPARE_FAILED: Final = 101
_NOT_A_FILE: Final = 102
_NOT_A_DIRECTORY: Final = 104
_EXISTS: Final = 105
_REFUSED: Final = frozenset({_NOT_FOUND, _COMPARE_FAILED, _EXISTS})

_Answer = Mapping[str, Any]
T = TypeVar("T")


@frozen
class Credentials:
    """How we prove who we are: names of files in PEM form for TLS, and a user with a password. Empty: without."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    user: str = ""
    password: str = field(default="", repr=False)


class HttpKeys:
    """See `store.Keys`. Connects when it is first asked."""

    def __init__(self, endpoints: Sequence[Address], credentials: Credentials | None = None) -> None:
        self._endpoints = tuple(endpoints)
        self._credentials = credentials or Credentials()
        self._scheme = "https" if self._credentials.ca else "http"
        self._first = 0
        # requests does not promise that a session may be shared: each is lent to one thread at a time.
        self._sessions = SimpleQueue[requests.Session]()

    def list(self, directory: str) -> tuple[Node, ...]:
        """See `Keys.list`."""
        answer = self._ask("GET", directory, {"recursive": "true", "quorum": "true"})
        if answer.get("errorCode") == _NOT_FOUND:
            return ()
        return tuple(sorted(_below(_node_of(directory, answer)), key=lambda node: node.key))

    def get(self, key: str) -> Node | None:
        """See `Keys.get`."""
        answer = self._ask("GET", key, {"quorum": "true"})
        if answer.get("errorCode") == _NOT_FOUND:
            return None
        node = _node_of(key, answer)
        return None if node.get("dir") else _read(node)

    def put(self, key: str, value: bytes, ttl_seconds: int, at: int) -> Node | Mismatch:
        """See `Keys.put`."""
        return self._set(key, {"value": value.decode(), "ttl": str(ttl_seconds), **_condition(at)})

    def refresh(self, key: str, ttl_seconds: int, at: int) -> Node | Mismatch:
        """See `Keys.refresh`."""
        if at == ABSENT:
            return Mismatch()
        form = {"refresh": "true", "ttl": str(ttl_seconds), "prevExist": "true", **_condition(at)}
        return _none_in_the_way(lambda: self._set(key, form))

    def delete(self, key: str, at: int) -> Mismatch | None:
        """See `Keys.delete`."""
        # etcd takes index 0 for no condition at all.
        return Mismatch() if at == ABSENT else _none_in_the_way(lambda: self._delete(key, at))

    def close(self) -> None:
        """See `Keys.close`; what is under way at this moment ends by itself."""
        while True:
            try:
                self._sessions.get_nowait().close()
            except Empty:
                return

    def _delete(self, key: str, at: int) -> Mismatch | None:
        answer = self._ask("DELETE", key, _condition(at))
        if answer.get("errorCode") in _REFUSED:
            return Mismatch()
        _node_of(key, answer)
        return None

    def _set(self, key: str, form: Mapping[str, str]) -> Node | Mismatch:
        answer = self._ask("PUT", key, {}, form)
        # To one who says that there is nothing yet etcd does not tell what there is.
        if answer.get("errorCode") == _EXISTS and self._is_directory(key):
            raise _in_the_way(key, key)
        return Mismatch() if answer.get("errorCode") in _REFUSED else _read(_node_of(key, answer))

    def _is_directory(self, key: str) -> bool:
        return bool(self._ask("GET", key, {"quorum": "true"}).get("node", {}).get("dir"))

    def _ask(self, method: str, key: str, query: Mapping[str, str], form: Mapping[str, str] | None = None) -> _Answer:
        """Ask the endpoint that answered last, then the others.

        From one that was reached and fell silent nobody knows what it has done: then a write is asked of no other.
        """
        problems: list[str] = []
        began = self._first
        for turn in range(len(self._endpoints)):
            number = (began + turn) % len(self._endpoints)
            endpoint = self._endpoints[number]
            try:
                answer = self._request(method, f"{self._scheme}://{endpoint}/v2/keys{quote(key)}", query, form)
            except requests.RequestException as error:
                problems.append(f"{endpoint}: {_reason(error)}")
                self._first = (number + 1) % len(self._endpoints)
                if method != "GET" and _was_reached(error):
                    break
                continue
            return _decoded(endpoint, key, answer)
        raise Unavailable("; ".join(problems))

    def _request(
        self, method: str, url: str, query: Mapping[str, str], form: Mapping[str, str] | None
    ) -> requests.Response:
        patience = (_CONNECT_SECONDS, _ANSWER_SECONDS)
        with self._session() as session:
            return session.request(method, url, params=query, data=form, timeout=patience)

    @contextmanager
    def _session(self) -> Iterator[requests.Session]:
        """Lend a session that nobody uses."""
        try:
            session = self._sessions.get_nowait()
        except Empty:
            session = self._new_session()
        try:
            yield session
        finally:
            self._sessions.put(session)

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        # A proxy of the environment is for the world outside, and has no business between us and our registry.
        session.trust_env = False
        ours = self._credentials
        session.verify = ours.ca or True
        session.cert = (ours.cert, ours.key) if ours.cert else None
        session.auth = HTTPBasicAuth(ours.user.encode(), ours.password.encode()) if ours.user else None
        return session


def connect_to(address: EtcdAddress) -> HttpKeys:
    """Return the keys at an address, without contacting it.

    Raises:
        SettingsError: a file that the address names cannot be read.
    """
    password = password_for(address)
    for file in filter(None, (address.ca, address.cert, address.key)):
        try:
            Path(file).read_bytes()
        except OSError as error:
            raise SettingsError(file, f"cannot be read: {error.strerror}") from None
    return HttpKeys(address.endpoints, Credentials(address.ca, address.cert, address.key, address.user, password))


def _none_in_the_way(change: Callable[[], T]) -> T | Mismatch:
    """Change a key that we know; where a directory is by now, it is not as we know it."""
    try:
        return change()
    except DocumentError:
        return Mismatch()


def _condition(at: int) -> dict[str, str]:
    return {"prevExist": "false"} if at == ABSENT else {"prevIndex": str(at)}


def _was_reached(error: requests.RequestException) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return False
    cause = getattr(error.args[0], "reason", None) if error.args else None
    return not isinstance(cause, NewConnectionError)


def _reason(error: requests.RequestException) -> str:
    return type(error).__name__


def _decoded(endpoint: Address, key: str, response: requests.Response) -> _Answer:
    """Return etcd's answer, be it a node or a refusal by a condition.

    Raises:
        DocumentError: directories and keys are in each other's way.
        Unavailable: it is another kind of refusal, or no answer of an etcd that speaks v2.
    """
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        why = "it does not speak v2, see --enable-v2" if response.status_code == HTTPStatus.NOT_FOUND else "no etcd"
        raise Unavailable(f"{endpoint}: status {response.status_code}: {why}")
    code = answer.get("errorCode")
    if code in {_NOT_A_FILE, _NOT_A_DIRECTORY}:
        raise _in_the_way(key, str(answer.get("cause")))
    if code is not None and code not in _REFUSED:
        raise Unavailable(f"{endpoint}: {answer.get('message')} ({code})")
    return answer


def _in_the_way(key: str, what: str) -> DocumentError:
    return DocumentError(key, f"{what} is in the way, a directory or a key")


def _node_of(key: str, answer: _Answer) -> _Answer:
    node = answer.get("node")
    if not isinstance(node, dict):
        raise Unavailable(f"{key}: an answer without a node")
    return node


def _below(directory: _Answer) -> Iterator[Node]:
    for node in directory.get("nodes", ()):
        if node.get("dir"):
            yield from _below(node)
        else:
            yield _read(node)


def _read(node: _Answer) -> Node:
    ttl = node.get("ttl")
    return Node(node["key"], node.get("value", "").encode(), node["modifiedIndex"], None if ttl is None else int(ttl))
