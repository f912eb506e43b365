"""What only a real Redis can suffer: it goes away, comes back, stands still, is full, or lets us in no more."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from mooring.errors import SettingsError, Unavailable
from mooring.facts import EpochBegan
from mooring.redis.client import RedisStream
from mooring.redis.stream import Appended, Head, Overtaken
from tests.checker import check
from tests.servers import RedisServer, free_port
from tests.streams import LONG_SECONDS, SHORT_SECONDS, batch_of, begun, reading, sequences, setting, written

PASSWORD = "correct horse"  # noqa: S105 -- of a server that lives as long as its test


@pytest.fixture
def own_stream(own_redis_server: RedisServer) -> Iterator[RedisStream]:
    """Give a stream in a Redis that the test may break, with one entry in it."""
    opened = RedisStream.from_url(own_redis_server.url)
    begun(opened)
    written(opened, EpochBegan("a"))
    yield opened
    opened.close()


def tell(server: RedisServer, *command: str) -> None:
    """Say something to a server as its operator would."""
    with redis.Redis(port=server.port) as client:
        client.execute_command(*command)


def test_a_redis_that_was_killed_and_came_back_empty(own_stream: RedisStream, own_redis_server: RedisServer) -> None:
    """A blocked read ends at once; then there is nothing, under another run id, and all begins anew."""
    run_id = own_stream.run_id()
    with ThreadPoolExecutor(1) as pool:
        found = reading(pool, own_stream, 1)
        own_redis_server.kill()
        with pytest.raises(Unavailable, match="cannot be reached"):
            found.result(LONG_SECONDS)
    with pytest.raises(Unavailable, match="cannot be reached"):
        own_stream.head()
    own_redis_server.restart(keep_data=False)
    assert own_stream.head() is None
    assert own_stream.append(batch_of(Head(incarnation="life", epoch=1, sequence=1), setting(1))) == Overtaken(None)
    assert own_stream.run_id() != run_id
    begun(own_stream, "next life")
    written(own_stream, EpochBegan("a"))
    check(own_stream)


def test_a_redis_that_came_back_with_everything(own_stream: RedisStream, own_redis_server: RedisServer) -> None:
    """The history goes on, the scripts are known again, and only the run id tells that it was away."""
    head = own_stream.head()
    assert head is not None
    own_redis_server.restart()
    assert own_stream.head() == head
    assert own_stream.run_id() != head.run_id
    written(own_stream, setting(1))
    assert check(own_stream).sequence == 2


def test_a_redis_that_stands_still_is_noticed(own_stream: RedisStream, own_redis_server: RedisServer) -> None:
    """No answer within five seconds is an error; a batch that was carried out later all the same is recognised."""
    head = own_stream.head()
    assert head is not None
    batch = batch_of(head, setting(1))
    own_redis_server.pause()
    with pytest.raises(Unavailable, match="does not answer in time"):
        own_stream.append(batch)
    own_redis_server.resume()
    assert own_stream.append(batch) == Appended(2)
    assert sequences(own_stream.read(0, block_seconds=0)) == [1, 2]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), "is full"),
        (("REPLICAOF", "127.0.0.1", "1"), "is a read-only replica"),
        (("CONFIG", "SET", "requirepass", PASSWORD), "does not accept our user or password"),
        (("ACL", "SETUSER", "default", "-evalsha"), "does not permit this to our user"),
        (("ACL", "SETUSER", "default", "-xadd"), "does not permit this to our user"),
    ],
)
def test_a_redis_that_takes_nothing_says_why(
    own_stream: RedisStream, own_redis_server: RedisServer, command: tuple[str, ...], reason: str
) -> None:
    """Full, read-only, locked or forbidden: the error says which, in words, and nothing is written."""
    head = own_stream.head()
    assert head is not None
    tell(own_redis_server, *command)
    fresh = RedisStream.from_url(own_redis_server.url)  # a password is asked of new connections only
    with pytest.raises(Unavailable, match=reason):
        fresh.append(batch_of(head, setting(1)))
    fresh.close()
    assert own_stream.head() == head
    assert sequences(own_stream.tail(9)) == [1]


def test_a_full_redis_is_read_and_led_on(own_stream: RedisStream, own_redis_server: RedisServer) -> None:
    """Whoever leads keeps the lead, readers read, and trimming still makes room."""
    epoch = own_stream.lead("a", expiry_seconds=SHORT_SECONDS)
    written(own_stream, EpochBegan("a"), *map(setting, range(3)))
    tell(own_redis_server, "CONFIG", "SET", "maxmemory", "1")
    assert own_stream.lead("a", expiry_seconds=LONG_SECONDS) == epoch
    own_stream.trim(3)
    report = check(own_stream)
    assert (report.first, report.sequence, len(own_stream.catalog().settings)) == (3, 5, 3)


def test_a_cluster_is_told_from_a_single_redis(tmp_path: Path) -> None:
    """A node that serves no slot says so in our words."""
    with RedisServer(tmp_path, "--cluster-enabled", "yes") as server:
        stream = RedisStream.from_url(server.url)
        with pytest.raises(Unavailable, match="is a cluster"):
            stream.append(batch_of(Head(incarnation="life", epoch=1), setting(1)))
        stream.close()


def test_nobody_there_is_unavailable() -> None:
    """A refused connection is the world failing, not a bug."""
    stream = RedisStream.from_url(f"redis://127.0.0.1:{free_port()}")
    for ask in (stream.head, stream.catalog, stream.announced, stream.run_id):
        with pytest.raises(Unavailable, match="cannot be reached"):
            ask()
    stream.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1", "redis://"),
        ("redis://127.0.0.1:99999", "Port out of range"),
        ("redis://127.0.0.1/events", "expected the number of a database, got 'events'"),
        ("redis://127.0.0.1?color=blue", "color"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(url: str, reason: str) -> None:
    """A bad address is an error of configuration, named before anything connects."""
    with pytest.raises(SettingsError) as raised:
        RedisStream.from_url(url)
    assert reason in str(raised.value)
