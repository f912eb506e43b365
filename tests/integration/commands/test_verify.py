"""`mooring verify` on a real Redis: a good stream is well, and every damage done by hand is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Event, Thread

import pytest
import redis

from mooring.commands.verify import text, verdict_of
from mooring.facts import SettingChanged
from mooring.keys import RedisNames
from mooring.model import State
from mooring.redis.client import RedisStream
from tests.integration.commands.onlookers import append, options, run
from tests.integration.discovers import Site, instance
from tests.servers import RedisServer
from tests.waiting import wait_until


def test_a_good_stream_is_well(stream: RedisStream, redis_server: RedisServer, namespace: str) -> None:
    """One line says what there is; as JSON likewise; trimmed or not."""
    shown = run("verify", *options(redis_server, namespace))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == (
        "well: entries 1–4 of incarnation life fold to the catalog: instances 1, services 1, bindings 0, settings 1\n"
    )
    stream.trim(3)
    shown = run("verify", *options(redis_server, namespace), "--json")
    assert shown.returncode == 0
    said = json.loads(shown.stdout)
    assert (said["well"], said["objections"], said["history"]["first"]) == (True, [], 3)
    assert said["catalog"] == {"instances": 1, "services": 1, "bindings": 0, "settings": 1}


Damage = Callable[[redis.Redis, RedisNames], object]
DAMAGES: list[tuple[str, Damage, str]] = [
    ("an entry is missing", lambda r, n: r.xdel(n.events, "3-0"), "entry 2-0 is followed by 4-0"),
    ("the end is missing", lambda r, n: r.xdel(n.events, "4-0"), "the last entry is 3-0, the head says 4"),
    (
        "the beginning is missing",
        lambda r, n: r.xtrim(n.events, maxlen=2, approximate=False),
        "the first entry is 3-0, the head says 1",
    ),
    ("a stranger wrote", lambda r, n: r.xadd(n.events, {"x": "y"}), "-0: v is missing"),
    (
        "a stranger wrote in between",
        lambda r, n: r.xadd(n.events, {"x": "y"}, id="4-1"),
        "entry 4-0 is followed by 4-0",
    ),
    ("a weight was changed", lambda r, n: _change(r, n, '"weight":100', '"weight":7'), "weight=7"),
    ("a document is broken", lambda r, n: r.hset(n.catalog, "web|a", "{"), "catalog field web|a: not JSON"),
    ("an instance is missing", lambda r, n: r.hdel(n.catalog, "web|a"), "the catalog has nothing"),
    ("a setting was added", lambda r, n: r.hset(n.settings, "b", "x"), "setting b: the catalog has 'x'"),
    ("the head is behind", lambda r, n: r.hset(n.head, "sequence", "3"), "the last entry is 4-0, the head says 3"),
    ("the head is of another life", lambda r, n: r.hset(n.head, "incarnation", "x"), "is of incarnation life"),
    ("the head's epoch is behind", lambda r, n: r.hset(n.head, "epoch", "0"), "reach epoch 1, the head only 0"),
    ("the head is broken", lambda r, n: r.hset(n.head, "epoch", "x"), "the stream's head: epoch"),
    ("the head is gone", lambda r, n: r.delete(n.head), "there is no stream here, or no head beside it"),
    ("a port was taken", lambda r, n: r.hset(n.ports, "8001/tcp", "web"), "port 8001/tcp is held by web, which wants"),
    ("the ports are gone", lambda r, n: r.delete(n.ports), "port 8000/tcp is held by nobody, and web wants it"),
]


def _change(client: redis.Redis, names: RedisNames, old: str, new: str) -> None:
    document = client.hget(names.catalog, "web|a")
    assert isinstance(document, str)
    assert old in document
    client.hset(names.catalog, "web|a", document.replace(old, new))


@pytest.mark.parametrize(("damage", "objection"), [case[1:] for case in DAMAGES], ids=[case[0] for case in DAMAGES])
def test_every_damage_is_found(
    stream: RedisStream, client: redis.Redis, namespace: str, damage: Damage, objection: str
) -> None:
    """One of the lines says what is wrong."""
    assert verdict_of(stream).objections == ()
    damage(client, RedisNames(namespace))
    verdict = verdict_of(stream)
    assert any(objection in one for one in verdict.objections), verdict.objections
    assert text(verdict).splitlines()[-1] == f"the stream is damaged: objections {len(verdict.objections)}"


def test_damage_ends_the_command_with_status_1(
    stream: RedisStream, client: redis.Redis, redis_server: RedisServer, namespace: str
) -> None:
    """Whatever calls it need not read what it says; so it is when Redis is away."""
    client.hdel(f"{namespace}:catalog", "web|a")
    shown = run("verify", *options(redis_server, namespace))
    assert (shown.returncode, shown.stderr) == (1, "")
    assert "instance web|a: the catalog has nothing, the entries give up at 10.0.0.5:80" in shown.stdout
    away = run("verify", "--redis", "redis://127.0.0.1:1/0")
    assert away.returncode == 1
    assert "cannot be reached" in away.stderr


def test_a_stream_that_is_written_to_is_judged_all_the_same(
    stream: RedisStream, redis_server: RedisServer, namespace: str, measured: Callable[[str], None]
) -> None:
    """What is on its way while it is read is no damage."""
    enough = Event()

    def write() -> None:
        number = 0
        while not enough.wait(0.002):
            append(stream, SettingChanged(f"number/{number}", "x"))
            number += 1

    writer = Thread(target=write)
    writer.start()
    try:
        shown = [run("verify", *options(redis_server, namespace)) for _ in range(3)]
    finally:
        enough.set()
        writer.join()
    assert [(one.returncode, one.stderr) for one in shown] == [(0, "")] * 3, shown
    head = stream.head()
    assert head is not None
    measured(f"verified three times while {head.sequence - 4} entries were written")


def test_a_damaged_stream_is_begun_anew_when_its_head_is_deleted(site: Site, own_redis_server: RedisServer) -> None:
    """What the document advises for damage works, and what is known is kept."""
    site.put(instance("a"), instance("b"))
    site.discover().ready()
    wait_until(site.complete, "the stream to be complete")
    names, before = RedisNames(site.namespace), site.head()
    with redis.Redis(port=own_redis_server.port) as client:
        client.hdel(names.catalog, "web|a")
        assert verdict_of(site.stream).objections
        client.delete(names.head)
    wait_until(site.complete, "the stream to be begun anew")
    after = site.head()
    assert before is not None
    assert after is not None
    assert before.incarnation != after.incarnation
    assert site.catalog() == {"a": State.UP, "b": State.UP}
    assert verdict_of(site.stream).objections == ()


@pytest.mark.parametrize("part", ["DISCOVER", "PROXY"])
def test_in_a_part_s_container_nothing_need_be_said(
    stream: RedisStream, redis_server: RedisServer, namespace: str, part: str
) -> None:
    """The stream is where the part's own environment says; the command's own comes first, an option before all."""
    env = {f"MOORING_{part}_REDIS": redis_server.url, f"MOORING_{part}_NAMESPACE": namespace}
    assert run("verify", env=env).returncode == 0
    nowhere = {**env, "MOORING_VERIFY_REDIS": "redis://127.0.0.1:1/0"}
    assert run("verify", env=nowhere).returncode == 1
    assert run("verify", "--redis", redis_server.url, env=nowhere).returncode == 0
