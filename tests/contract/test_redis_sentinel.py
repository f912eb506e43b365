"""A stream behind sentinels: whom we go to, whom we leave, and when we stay; real ones are told what to say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from mooring.errors import Unavailable
from mooring.redis.client import RedisStream
from tests.servers import HOST, WATCHED, RedisServer, Replica, SentinelServer, free_port
from tests.streams import LONG_SECONDS, begun, reading
from tests.tls import TlsDoor, make_certificates
from tests.waiting import holds_for, wait_until

PASSWORD = "correct horse"  # noqa: S105 -- of servers that live as long as their test
NOTICED_SECONDS = 5.0


class Scene:
    """Two Redis that know nothing of each other, and sentinels that say of one of them what a test has them say."""

    def __init__(self, directory: Path, ending: ExitStack) -> None:
        self._directory = directory
        self._ending = ending
        self.first, self.second = (ending.enter_context(RedisServer(directory / name)) for name in ("first", "second"))
        self.one, self.two, self.three = (self.sentinel(name, self.first) for name in ("one", "two", "three"))

    def sentinel(self, name: str, primary: RedisServer) -> SentinelServer:
        """Start a sentinel; its quorum is so high that it never fails anything over."""
        return self._ending.enter_context(SentinelServer(self._directory / name, primary, 99))

    def stream(self, *ports: int, scheme: str = "redis", who: str = "", query: str = "") -> RedisStream:
        """Return a stream at the primary that the sentinels at these ports name."""
        hosts = ",".join(f"{HOST}:{port}" for port in ports)
        stream = RedisStream.from_url(f"{scheme}+sentinel://{who}{hosts}/{WATCHED}{query}")
        self._ending.callback(stream.close)
        return stream


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Start it, and end it."""
    with ExitStack() as ending:
        yield Scene(tmp_path, ending)


def tell(server: RedisServer | SentinelServer, *command: str) -> None:
    """Say something to a server as its operator would."""
    with redis.Redis(port=server.port) as client:
        client.execute_command(*command)


def name(sentinel: SentinelServer, primary: RedisServer | TlsDoor) -> None:
    """Let a sentinel name another primary, while nothing happens to the one that it named before."""
    tell(sentinel, "SENTINEL REMOVE", WATCHED)
    tell(sentinel, "SENTINEL MONITOR", WATCHED, HOST, str(primary.port), "99")


def run_id(server: RedisServer) -> str:
    """Return the id of a server's life."""
    stream = RedisStream.from_url(server.url)
    said = stream.run_id()
    stream.close()
    return said


def test_the_primary_is_found_by_whichever_sentinel_answers(scene: Scene, measured: Callable[[str], None]) -> None:
    """Nobody at the first address, the second frozen, the third knows no such primary, the fourth names it."""
    scene.one.pause()
    tell(scene.two, "SENTINEL REMOVE", WATCHED)
    stream = scene.stream(free_port(), scene.one.port, scene.two.port, scene.three.port)
    began = time.monotonic()
    assert stream.run_id() == run_id(scene.first)
    found = time.monotonic() - began
    began = time.monotonic()
    assert stream.run_id() == run_id(scene.first)
    measured(
        f"primary found in {found:.2f} s past three sentinels of no use, then asked in {time.monotonic() - began:.3f} s"
    )
    scene.one.resume()


def test_when_no_sentinel_names_a_primary_each_says_why(scene: Scene) -> None:
    """The error names the primary that was asked for, and every sentinel with its reason."""
    tell(scene.one, "SENTINEL REMOVE", WATCHED)
    nobody = free_port()
    with pytest.raises(Unavailable) as raised:
        scene.stream(scene.one.port, nobody).head()
    said = str(raised.value)
    assert f"{WATCHED} at the sentinels" in said
    assert f"{HOST}:{scene.one.port}: knows no primary of that name" in said
    assert f"{HOST}:{nobody}: Error 111" in said


def test_a_sentinel_that_was_cut_off_is_outvoted(scene: Scene) -> None:
    """It is the first that is asked, and names the old primary, which answers and says that it is one."""
    for sentinel in (scene.two, scene.three):
        name(sentinel, scene.second)
    stream = scene.stream(scene.one.port, scene.two.port, scene.three.port)
    assert stream.run_id() == run_id(scene.second)


def test_a_replica_is_neither_read_nor_written(scene: Scene, tmp_path: Path) -> None:
    """Where a sentinel sends us to a server that says it is a replica, nothing is asked of it."""
    with Replica(tmp_path / "replica", scene.first) as replica:
        name(scene.one, replica)
        stream = scene.stream(scene.one.port)
        for ask in (stream.head, stream.run_id, stream.catalog):
            with pytest.raises(Unavailable, match="is a replica, not the primary"):
                ask()


def test_a_reader_leaves_an_isolated_primary(scene: Scene, measured: Callable[[str], None]) -> None:
    """Nothing happens to the old one, and it says nothing: the sentinels say it. The next call is at the new one."""
    stream = scene.stream(scene.one.port)
    begun(stream)
    with ThreadPoolExecutor(1) as pool:
        found = reading(pool, stream, 0)
        assert stream.run_id() == run_id(scene.first)
        began = time.monotonic()
        name(scene.one, scene.second)
        with pytest.raises(Unavailable, match="name another primary"):
            found.result(LONG_SECONDS)
    measured(f"a blocked reader left an isolated primary after {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < NOTICED_SECONDS
    # Also this thread's connection, which was idle at the old one, is not used again.
    with pytest.raises(Unavailable, match="the primary is another one now"):
        stream.run_id()
    assert [stream.run_id(), stream.head()] == [run_id(scene.second), None]


def test_no_connection_sends_to_the_old_primary_once_another_has_learnt_of_the_new(scene: Scene) -> None:
    """What one call says of one server and the next of another would make a picture of neither."""
    stream = scene.stream(scene.one.port)
    old, new = run_id(scene.first), run_id(scene.second)
    with ThreadPoolExecutor(4) as pool:

        def asked() -> list[str]:
            return [answer for answer in pool.map(lambda _: _asked(stream), range(8)) if answer]

        assert set(asked()) == {old}
        name(scene.one, scene.second)
        wait_until(lambda: new in asked(), "the new primary to be asked")
        assert set(asked()) <= {new}


def test_nobody_is_moved_without_a_word(scene: Scene) -> None:
    """A connection that broke while it was idle would be opened anew elsewhere, between two calls that go together."""
    stream = scene.stream(scene.one.port)
    assert stream.run_id() == run_id(scene.first)
    name(scene.one, scene.second)
    tell(scene.first, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with pytest.raises(Unavailable, match="the primary is another one now"):
        stream.run_id()
    assert stream.run_id() == run_id(scene.second)


def _asked(stream: RedisStream) -> str:
    try:
        return stream.run_id()
    except Unavailable:
        return ""


def test_a_primary_that_is_demoted_is_left(scene: Scene) -> None:
    """The sentinels have not noticed yet, and reading from it would still be possible."""
    stream = scene.stream(scene.one.port)
    begun(stream)
    tell(scene.first, "REPLICAOF", HOST, str(scene.second.port))
    wait_until(lambda: _asked(stream) == "", "the demotion to be noticed", NOTICED_SECONDS)
    with pytest.raises(Unavailable, match="is a replica, not the primary"):
        stream.head()


def test_sentinels_that_are_silent_end_no_conversation(scene: Scene) -> None:
    """No news is not bad news: who is connected stays so, and who is not finds nobody."""
    stream, fresh = scene.stream(scene.one.port, scene.two.port), scene.stream(scene.one.port, scene.two.port)
    begun(stream)
    scene.one.kill()
    scene.two.kill()
    holds_for(3, stream.head, "the stream is read")
    with pytest.raises(Unavailable, match="no sentinel names the primary"):
        fresh.head()


def test_sentinels_and_primary_each_have_their_own_password(scene: Scene) -> None:
    """Either one missing is said in words."""
    tell(scene.one, "ACL", "SETUSER", "watcher", "on", f">{PASSWORD}", "+sentinel|get-master-addr-by-name", "+auth")
    tell(scene.one, "ACL", "SETUSER", "default", "off")
    tell(scene.first, "ACL", "SETUSER", "writer", "on", f">{PASSWORD}", "~*", "+@all")
    tell(scene.first, "ACL", "SETUSER", "default", "off")
    secret = PASSWORD.replace(" ", "%20")
    watcher = f"?sentinel_username=watcher&sentinel_password={secret}"
    begun(scene.stream(scene.one.port, who=f"writer:{secret}@", query=watcher))
    for who, query in (("", watcher), (f"writer:{secret}@", "")):
        with pytest.raises(Unavailable, match=r"password|[Aa]uthentication"):
            scene.stream(scene.one.port, who=who, query=query).head()


def test_sentinels_and_primary_are_spoken_to_over_tls(scene: Scene, tmp_path: Path) -> None:
    """One authority for both; another one, or none, lets nobody believe them."""
    certificates = make_certificates(tmp_path)
    with TlsDoor(scene.one.port, certificates) as sentinel, TlsDoor(scene.first.port, certificates) as primary:
        name(scene.one, primary)
        trusting = scene.stream(sentinel.port, scheme="rediss", query=f"?ssl_ca_certs={certificates / 'ca.pem'}")
        assert trusting.run_id() == run_id(scene.first)
        for query in (f"?ssl_ca_certs={certificates / 'other.pem'}", ""):
            with pytest.raises(Unavailable, match="certificate verify failed"):
                scene.stream(sentinel.port, scheme="rediss", query=query).head()


def test_closing_ends_whoever_waits(scene: Scene) -> None:
    """For an entry, or for a sentinel that stands still."""
    stream, lost = scene.stream(scene.one.port), scene.stream(scene.two.port)
    begun(stream)
    scene.two.pause()
    with ThreadPoolExecutor(2) as pool:
        waits = [reading(pool, stream, 0), reading(pool, lost, 0)]
        for one in (stream, lost):
            one.close()
        for wait in waits:
            with pytest.raises(Unavailable, match="we have closed"):
                wait.result(LONG_SECONDS)
    scene.two.resume()
