"""Presence: announced again and again, whatever Redis says."""

from __future__ import annotations

import structlog

from mooring.redis.memory import MemoryStream
from mooring_proxy.presence import EXPIRY_SECONDS, Presence


def test_it_is_announced_until_it_expires() -> None:
    """A proxy that is gone is forgotten after the expiry."""
    now = 0.0
    stream = MemoryStream(lambda: now)
    Presence(stream, "here:1936", lambda: {"sequence": "7"}).turn()
    assert stream.announced() == {"here:1936": {"sequence": "7"}}
    now = EXPIRY_SECONDS + 0.1
    assert stream.announced() == {}


def test_a_bug_in_what_is_announced_ends_nothing() -> None:
    """The thread goes on, for a proxy that ended would take its traffic along."""
    said = iter([{"sequence": "1"}])
    stream = MemoryStream()
    one = Presence(stream, "here:1936", lambda: next(said))
    one.turn()
    one.turn()
    assert stream.announced() == {"here:1936": {"sequence": "1"}}


def test_redis_away_is_waited_out() -> None:
    """Nothing is raised, and the next turn tries again."""
    stream = MemoryStream()
    one = Presence(stream, "here:1936", lambda: {"sequence": "7"})
    stream.fail()
    one.turn()
    stream.recover()
    one.turn()
    assert list(stream.announced()) == ["here:1936"]


def test_a_proxy_that_has_no_time_to_say_how_it_is_says_nothing() -> None:
    """It falls silent, which is no bug, and tries again."""

    def no_time() -> dict[str, str]:
        raise TimeoutError

    stream = MemoryStream()
    with structlog.testing.capture_logs() as logged:
        Presence(stream, "here:1936", no_time).turn()
    assert stream.announced() == {}
    assert logged == []
