"""Redis behind sentinels: a connection that goes to the primary, and ends when the primary is another one.

Three rules, since after a failover the old primary may still answer, and may itself believe that it is the primary:

- Every new connection asks the sentinels, goes where most of them say, and asks there for its ROLE.
- Before a command, when the last look is more than a second ago, both are asked again. A read is blocked for two
  seconds at most, so a reader on an isolated primary, whom Redis tells nothing, leaves it within some three seconds.
- As soon as one connection of a client has learnt of another primary, no other one sends to the old one any more. And
  nobody is moved without a word: a thread's first command after that fails, so that no picture is made of two servers.

Silence of all sentinels ends no connection: no news is not bad news. But none is opened either.

The library's own Sentinel classes are not used: they believe the first sentinel that answers, ask only when a
connection is opened, never ask for the ROLE, and cannot be woken from another thread. Must not know what the stream
means.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Sequence
from threading import Lock, local
from typing import Any, Final

from redis import Connection, Redis, SSLConnection
from redis import exceptions as theirs

LOOK_SECONDS: Final = 1.0
# A sentinel that is silent is not waited for again before this, unless no other one answers.
SHUNNED_SECONDS: Final = 5.0

Where = tuple[str, int]


class Sentinel:
    """One sentinel, and since when it is silent."""

    def __init__(self, client: Redis, shown: str) -> None:
        self._client = client
        self._shown = shown
        self._shunned_until = 0.0
        self.problem = ""

    @property
    def is_shunned(self) -> bool:
        """Whether it was silent a moment ago."""
        return time.monotonic() < self._shunned_until

    def ask(self, primary: str) -> Where | None:
        """Return where it says that the primary is; None, and `problem`, when it does not say."""
        self.problem = ""
        try:
            named: Where | None = self._client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", primary)  # type: ignore[no-untyped-call]
        except (theirs.RedisError, OSError) as error:
            self._shunned_until = time.monotonic() + SHUNNED_SECONDS
            self.problem = f"{self._shown}: {error}"
            return None
        self._shunned_until = 0.0
        if named is None:
            self.problem = f"{self._shown}: knows no primary of that name"
        return named


class Primary:
    """Who the primary is, as all connections of one client know it. Safe to use from several threads."""

    def __init__(self, name: str, sentinels: Sequence[Sentinel]) -> None:
        self._name = name
        self._sentinels = sentinels
        self._asking = Lock()
        self._named: Where | None = None
        self._asked_at = 0.0
        self._of_thread = local()

    def find(self) -> Where:
        """Ask the sentinels where the primary is.

        Raises:
            redis.exceptions.ConnectionError: none of them says.
        """
        with self._asking:
            named = self._ask()
        if named is None:
            problems = "; ".join(one.problem for one in self._sentinels if one.problem)
            raise theirs.ConnectionError(f"no sentinel names the primary {self._name!r} ({problems})")
        return named

    def is_at(self, where: Where) -> bool:
        """Whether the primary is still there, as far as the sentinels say; asks them once a second."""
        if time.monotonic() - self._asked_at > LOOK_SECONDS and self._asking.acquire(blocking=False):
            try:
                self._ask()
            finally:
                self._asking.release()
        return self._named == where

    def has_moved(self, where: Where) -> bool:
        """Whether this thread has asked elsewhere before; said once."""
        before = getattr(self._of_thread, "where", where)
        self._of_thread.where = where
        return bool(before != where)

    def _ask(self) -> Where | None:
        fresh = [one for one in self._sentinels if not one.is_shunned]
        answers = [one.ask(self._name) for one in fresh]
        if not any(answers):
            answers += [one.ask(self._name) for one in self._sentinels if one not in fresh]
        named = elected([answer for answer in answers if answer])
        self._asked_at = time.monotonic()
        self._named = named or self._named
        return named


def elected(answers: Sequence[Where]) -> Where | None:
    """Return what most sentinels say; the first said wins a tie. One that was cut off for a while says the old one."""
    return next((where for where, _ in Counter(answers).most_common(1)), None)


class ToPrimary(Connection):
    """A connection to whoever is the primary."""

    def __init__(self, *, primary: Primary, **options: Any) -> None:  # noqa: ANN401 -- the library's own
        super().__init__(**options, redis_connect_func=_greet)  # type: ignore[no-untyped-call]
        self._primary = primary
        self._looked_at: float | None = None  # None: it has not said its ROLE yet

    def _connect(self) -> socket.socket:
        self._looked_at = None
        self.host, self.port = self._primary.find()
        opened: socket.socket = super()._connect()  # type: ignore[no-untyped-call]
        return opened

    def check_health(self) -> None:
        """See the library: called before each command, and also during the greeting."""
        if self._looked_at is None:
            return
        where = (self.host, self.port)
        if not self._primary.is_at(where):
            self._leave(f"the sentinels name another primary than {self.host}:{self.port}")
        if self._primary.has_moved(where):
            self._leave(f"the primary is another one now: {self.host}:{self.port}")
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            self.ask_role()
        super().check_health()  # type: ignore[no-untyped-call]

    def ask_role(self) -> None:
        """End the conversation, with the library's error, unless it is with a primary."""
        self.send_command("ROLE", check_health=False)  # type: ignore[no-untyped-call]
        role = str(self.read_response()[0])
        if role != "master":
            self._leave(f"{self.host}:{self.port} is a {'replica' if role == 'slave' else role}, not the primary")
        self._looked_at = time.monotonic()

    def _leave(self, reason: str) -> None:
        self.disconnect()  # type: ignore[no-untyped-call]
        raise theirs.ConnectionError(reason)


class ToPrimaryOverTls(ToPrimary, SSLConnection):
    """The same over TLS."""


def _greet(connection: ToPrimary) -> None:
    connection.on_connect()  # type: ignore[no-untyped-call]
    connection.ask_role()
