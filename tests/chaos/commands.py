"""A Redis client whose every command passes a trap: what is written in two steps meets a crash between them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from attrs import evolve
from redis import Redis
from redis.client import Pipeline

from mooring.keys import RedisNames
from mooring.redis.client import RedisStream
from mooring.redis.connection import connect
from tests.chaos.crashing import Call, Life, Trap

# Whatever is not known to be harmless counts as a write.
READINGS = {"EXISTS", "GET", "HGETALL", "HSCAN", "INFO", "SCAN", "XREAD", "XREVRANGE"}
_FILES = [file for file in files("mooring.redis").iterdir() if file.name.endswith(".lua")]
_SCRIPTS = {hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest(): file.name for file in _FILES}


def load_scripts(port: int) -> None:
    """Let a Redis know all scripts, so that the first run makes no other commands than the later ones."""
    with Redis(port=port) as client:
        for file in _FILES:
            client.script_load(file.read_text())


def struck_stream(url: str, names: RedisNames, trap: Trap, life: Life) -> RedisStream:
    """Return the stream of a Redis whose commands pass a trap, for one life."""
    connected = connect(url)
    return RedisStream(evolve(connected, client=_StruckRedis(connected.client, trap, life)), names)


class _StruckRedis(Redis):
    """A client that shares another one's connections."""

    def __init__(self, client: Redis, trap: Trap, life: Life) -> None:
        super().__init__(connection_pool=client.connection_pool)
        self._trap, self._life = trap, life

    def execute_command(self, *words: Any, **options: Any) -> Any:  # noqa: ANN401 -- the library's own
        """Send one command, unless it fails."""
        send: Callable[..., object] = super().execute_command
        return self._trap.let_pass(self._life, _call(words), lambda: send(*words, **options))

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> Pipeline:  # noqa: ANN401 -- the same
        """Return commands to be sent together."""
        return _StruckPipeline(self, self._trap, self._life, transaction, shard_hint)


class _StruckPipeline(Pipeline):
    """Commands sent together: they fail together."""

    def __init__(self, client: Redis, trap: Trap, life: Life, transaction: Any, shard_hint: Any) -> None:  # noqa: ANN401
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._trap, self._life = trap, life

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send them, unless they fail."""
        calls = [_call(words) for words, _ in self.command_stack]
        together = " ".join(call.purpose for call in calls)
        call = Call(together, together, any(one.writes for one in calls))
        send = super().execute
        answer = self._trap.let_pass(self._life, call, lambda: send(raise_on_error))
        assert isinstance(answer, list)
        return answer


def _call(words: tuple[Any, ...]) -> Call:
    command = str(words[0])
    if command == "EVALSHA":
        command = _SCRIPTS.get(str(words[1]), command)
    return Call(command, command, command not in READINGS)
