"""What lies in a real Redis, as it looks to whoever opens it with redis-cli, and what happens when it was damaged."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
import redis
from attrs import evolve

from mooring.errors import DocumentError, Unavailable
from mooring.facts import BindingAdded, EpochBegan, InstanceAdded, SettingChanged
from mooring.keys import RedisNames
from mooring.redis.client import RedisStream
from mooring.redis.stream import Appended, Overtaken
from tests.checker import check
from tests.histories import binding, instance
from tests.servers import RedisServer
from tests.streams import LONG_SECONDS, SHORT_SECONDS, batch_of, begun, setting, written


@pytest.fixture
def stream(redis_server: RedisServer, namespace: str) -> Iterator[RedisStream]:
    """Give a stream of its own in the Redis that all share."""
    opened = RedisStream.from_url(redis_server.url, RedisNames(namespace))
    yield opened
    opened.close()


@pytest.fixture
def raw(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    """Give Redis itself, for looking and for breaking things."""
    with redis.Redis(port=redis_server.port, decode_responses=True) as client:
        yield client


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


def test_namespaces_are_told_apart(redis_server: RedisServer, namespace: str) -> None:
    """A namespace means itself, also where Redis would read a pattern, and not those that begin like it."""
    streams = [RedisStream.from_url(redis_server.url, RedisNames(namespace + end)) for end in ("*", "[1]", "1", "")]
    for number, stream in enumerate(streams):
        stream.announce("edge", {"sequence": str(number)}, expiry_seconds=100)
    assert [stream.announced() for stream in streams] == [{"edge": {"sequence": str(number)}} for number in range(4)]
    for stream in streams:
        stream.close()


def test_a_lead_that_is_renewed_lasts_longer(stream: RedisStream, raw: "redis.Redis", namespace: str) -> None:
    """Renewing moves the expiry."""
    stream.lead("a", expiry_seconds=SHORT_SECONDS)
    stream.lead("a", expiry_seconds=LONG_SECONDS)
    assert raw.pttl(f"{namespace}:leader") > SHORT_SECONDS * 1000


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
