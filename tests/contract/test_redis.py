"""What only a real Redis can suffer, and how it looks to whoever opens it with redis-cli."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from attrs import evolve

from mooring.errors import DocumentError, SettingsError, Unavailable
from mooring.facts import BindingAdded, EpochBegan, InstanceAdded, SettingChanged
from mooring.keys import RedisNames
from mooring.redis.client import RedisStream
from mooring.redis.stream import Appended, Head, Overtaken
from tests.checker import check
from tests.histories import binding, instance
from tests.servers import RedisServer, free_port
from tests.streams import LONG_SECONDS, SHORT_SECONDS, batch_of, begun, reading, sequences, setting, written

PASSWORD = "correct horse"  # noqa: S105 -- of a server that lives as long as its test


@pytest.fixture
def stream(redis_server: RedisServer, namespace: str) -> Iterator[RedisStream]:
    """Give a stream of its own in the Redis that all share."""
    opened = RedisStream.from_url(redis_server.url, RedisNames(namespace))
    yield opened
    opened.close()


@pytest.fixture
def own_stream(own_redis_server: RedisServer) -> Iterator[RedisStream]:
    """Give a stream in a Redis that the test may break, with one entry in it."""
    opened = RedisStream.from_url(own_redis_server.url)
    begun(opened)
    written(opened, EpochBegan("a"))
    yield opened
    opened.close()


@pytest.fixture
def raw(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    """Give Redis itself, for looking and for breaking things."""
    with redis.Redis(port=redis_server.port, decode_responses=True) as client:
        yield client


def tell(server: RedisServer, *command: str) -> None:
    """Say something to a server as its operator would."""
    with redis.Redis(port=server.port) as client:
        client.execute_command(*command)


# -- what lies there --------------------------------------------------------------------------------------------------


def test_what_lies_in_redis_reads_like_a_log(stream: RedisStream, raw: "redis.Redis", namespace: str) -> None:
    """Keys, types and fields are those that the design promises, flat, under one namespace."""
    epoch = stream.lead("discover-1", expiry_seconds=LONG_SECONDS)
    head = begun(stream, epoch=cast("int", epoch))
    facts = (EpochBegan("discover-1"), InstanceAdded(instance(1, 1)), BindingAdded(binding(1, 1)), setting(1))
    stream.append(batch_of(head, *facts, ports={"80/tcp": "web"}, sources={"e:state": "following"}, complete=True))
    stream.announce("edge", {"sequence": "4"}, expiry_seconds=100)
    names = {key.removeprefix(namespace + ":"): raw.type(key) for key in raw.scan_iter(f"{namespace}:*")}
    assert names == {
        **dict.fromkeys(("catalog", "bindings", "settings", "ports", "head", "proxies:edge"), "hash"),
        "events": "stream",
        "leader": "string",
    }
    newest: Any = raw.xrange(f"{namespace}:events")
    assert [entry_id for entry_id, _ in newest] == ["1-0", "2-0", "3-0", "4-0"]
    assert newest[1][1]["type"] == "instance-added"
    assert raw.hget(f"{namespace}:catalog", newest[1][1]["key"]) == newest[1][1]["value"]
    assert json.loads(newest[1][1]["value"])["service"] == "web/v1"
    assert raw.get(f"{namespace}:leader") == "1 discover-1"
    assert raw.hgetall(f"{namespace}:head") == {
        "incarnation": "life",
        "epoch": "1",
        "run_id": stream.run_id(),
        "sequence": "4",
        "first": "1",
        "complete": "1",
        "source:e:state": "following",
    }


def test_every_character_comes_back(stream: RedisStream) -> None:
    """Names and values of any bytes that text can have pass through Redis unchanged."""
    begun(stream)
    value = "ä €\n\0\r\n😀 'x'"
    written(stream, EpochBegan("a"), SettingChanged(value, value))
    assert stream.catalog().settings == {value: value}
    check(stream)


# -- damage -----------------------------------------------------------------------------------------------------------


def test_a_table_of_another_type_leaves_everything_untouched(
    stream: RedisStream, raw: "redis.Redis", namespace: str
) -> None:
    """The script looks at every key before it writes: no entry without its catalog."""
    head = begun(stream)
    raw.set(f"{namespace}:settings", "not a hash")
    with pytest.raises(Unavailable, match=r"refuses.*WRONGTYPE"):
        stream.append(batch_of(head, EpochBegan("a"), InstanceAdded(instance(1, 1)), setting(1)))
    assert stream.head() == head
    assert stream.tail(1) == ()
    assert not raw.exists(f"{namespace}:catalog")


def test_a_stream_that_was_deleted_is_no_stream(stream: RedisStream, raw: "redis.Redis", namespace: str) -> None:
    """A head whose stream is gone counts as none, for readers and for the writer."""
    begun(stream)
    head = written(stream, EpochBegan("a"))
    raw.delete(f"{namespace}:events")
    assert stream.head() is None
    assert stream.append(batch_of(head, setting(1))) == Overtaken(None)
    assert not raw.exists(f"{namespace}:events")


def test_a_stream_that_somebody_wrote_to_is_no_stream_of_ours(
    stream: RedisStream, raw: "redis.Redis", namespace: str
) -> None:
    """An entry that the head does not know of ends the incarnation instead of being built upon."""
    begun(stream)
    head = written(stream, EpochBegan("a"))
    raw.xadd(f"{namespace}:events", {"by": "hand"})
    assert stream.append(batch_of(head, setting(1))) == Overtaken(None)


def test_a_lead_that_the_head_forgot_is_a_new_epoch(stream: RedisStream, raw: "redis.Redis", namespace: str) -> None:
    """Renewing gives an epoch above all that were, so that one of before can never be taken for it."""
    assert stream.lead("a", expiry_seconds=LONG_SECONDS) == 1
    raw.delete(f"{namespace}:head")
    assert stream.lead("a", expiry_seconds=LONG_SECONDS) == 2
    raw.hset(f"{namespace}:head", "epoch", "7")
    assert stream.lead("a", expiry_seconds=LONG_SECONDS) == 8


def test_a_foreign_word_in_the_leaders_place_does_not_block(
    stream: RedisStream, raw: "redis.Redis", namespace: str
) -> None:
    """What is no lead of ours is written over."""
    raw.set(f"{namespace}:leader", "somebody")
    assert stream.lead("a", expiry_seconds=LONG_SECONDS) == 1


@pytest.mark.parametrize(
    ("place", "text", "reason"),
    [
        (("catalog", "web|x"), "{", "catalog field web|x: not JSON"),
        (("catalog", "web|x"), None, "holds 'h|1%:80' of 'web/v1'"),
        (("bindings", "host/1/X"), "{}", "host/1/X: port is missing"),
        (("head", "epoch"), "x", "epoch: expected a number, got 'x'"),
    ],
)
def test_a_value_that_cannot_be_read_is_named(
    stream: RedisStream, raw: "redis.Redis", namespace: str, place: tuple[str, str], text: str | None, reason: str
) -> None:
    """The error says where and why."""
    begun(stream)
    written(stream, EpochBegan("a"), InstanceAdded(instance(1, 1)))
    present = cast("list[str]", raw.hvals(f"{namespace}:catalog"))
    table, field = place
    raw.hset(f"{namespace}:{table}", field, text or present[0])
    read = stream.head if table == "head" else stream.catalog
    with pytest.raises(DocumentError) as raised:
        read()
    assert reason in str(raised.value)


def test_ports_are_written_again_when_nobody_knows(stream: RedisStream) -> None:
    """The table of ports is sent once, but again in a new incarnation."""
    ports = {f"{port}/tcp": "web" for port in range(3000)}
    for incarnation in ("life", "next life"):
        head = begun(stream, incarnation)
        for after in range(3):
            batch = batch_of(evolve(head, sequence=after), EpochBegan("a") if after == 0 else setting(after))
            assert stream.append(evolve(batch, ports=ports)) == Appended(after + 1)
        assert stream.ports() == ports


# -- Redis away -------------------------------------------------------------------------------------------------------


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
