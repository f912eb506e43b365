"""`mooring status` on a real Redis: what discover and proxies write there is read as it is meant."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import redis

from mooring.commands.problems import problems
from mooring.commands.status import look
from mooring.model import State
from mooring.redis.client import RedisStream
from tests.integration.commands.onlookers import onlooker, options, run
from tests.integration.discovers import instance, open_site
from tests.parts import Part
from tests.servers import EtcdServer, RedisServer
from tests.waiting import wait_until


def problems_of(stream: RedisStream) -> tuple[str, ...]:
    """Return what is wrong now."""
    return problems(look(stream, time.time()))


def wait_for_problem(stream: RedisStream, words: str) -> None:
    """Wait until a problem contains these words."""
    wait_until(
        lambda: any(words in one for one in problems_of(stream)),
        lambda: f"a problem with {words!r} among {problems_of(stream)}",
    )


def proxy_of(directory: Path, server: RedisServer, namespace: str) -> Part:
    """Return a proxy that follows a stream and listens nowhere."""
    return Part(
        directory / "proxy", "proxy", (*options(server, namespace), "--address", "127.0.0.1", "--publish", "none")
    )


def test_whoever_falls_silent_is_missed(
    own_etcd_server: EtcdServer, own_redis_server: RedisServer, tmp_path: Path, namespace: str
) -> None:
    """All is well; then etcd, discover, the proxy and Redis go one after the other, and each is missed in words."""
    with open_site(own_etcd_server, own_redis_server, tmp_path, namespace) as site:
        site.put(instance("a"), instance("b", service="db", state=State.DRAINING))
        discover = site.discover().ready()
        wait_until(site.complete, "the stream to be complete")
        with proxy_of(tmp_path, own_redis_server, namespace) as proxy:
            wait_for_problem(site.stream, "service db has no instance that is up, of 1")
            wait_until(lambda: len(problems_of(site.stream)) == 1, lambda: f"one problem: {problems_of(site.stream)}")
            own_etcd_server.kill()
            wait_for_problem(site.stream, f"source {site.source} is lost for")
            discover.kill()
            wait_for_problem(site.stream, "no discover leads")
            proxy.kill()
            wait_for_problem(site.stream, "no proxy announces itself")
        own_redis_server.kill()
        (gone,) = problems_of(site.stream)
        assert "cannot be reached" in gone


def test_a_frozen_proxy_is_told_of(
    stream: RedisStream, redis_server: RedisServer, namespace: str, client: redis.Redis, tmp_path: Path
) -> None:
    """One that met an entry of a later format says so where the status looks."""
    with proxy_of(tmp_path, redis_server, namespace) as proxy:
        wait_until(lambda: problems_of(stream) == (), lambda: f"no problem: {problems_of(stream)}")
        client.xadd(f"{namespace}:events", {"v": "99"}, id="5-0")
        wait_for_problem(stream, f":{proxy.port} is frozen at entry")


def test_how_far_a_proxy_is_behind_is_told(stream: RedisStream) -> None:
    """In entries, and since when the first of those that it lacks is there: here since 1970."""
    said = {"incarnation": "life", "sequence": "1", "connections": "2", "host": "h", "driver": "relay"}
    stream.announce("h:1936", said, expiry_seconds=60)
    (lag,) = problems_of(stream)
    assert lag.startswith("proxy h:1936 is 3 entries behind, for ")
    stream.announce("h:1936", {**said, "incarnation": "earlier"}, expiry_seconds=60)
    (lag,) = problems_of(stream)
    assert lag.startswith("proxy h:1936 serves by an earlier incarnation of the stream, for ")
    stream.announce("h:1936", {**said, "sequence": "4"}, expiry_seconds=60)
    assert problems_of(stream) == ()


def test_a_catalog_that_cannot_be_read_hides_nothing_else(
    stream: RedisStream, client: redis.Redis, namespace: str
) -> None:
    """It is a problem, and the rest is there all the same."""
    client.hset(f"{namespace}:catalog", "web|a", "{")
    overview = look(stream, time.time())
    assert overview.failure.startswith("catalog field web|a: not JSON")
    assert overview.head == stream.head()
    assert overview.failure in problems(overview)


def test_the_exit_status_is_the_answer(stream: RedisStream, redis_server: RedisServer, namespace: str) -> None:
    """0: all is well. 1: there are problems. 2: the configuration is wrong."""
    where = options(redis_server, namespace)
    stream.announce("h:1936", {"incarnation": "life", "sequence": "4"}, expiry_seconds=60)
    well, ill = run("status", *where), run("status", *where[:2], "--namespace", f"{namespace}-absent")
    assert (well.returncode, well.stderr) == (0, "")
    assert "all is well" in well.stdout
    assert (ill.returncode, ill.stderr) == (1, "")
    assert "! there is no stream" in ill.stdout
    assert run("status", "--redis", "http://h").returncode == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_goes_on_while_redis_is_away(tmp_path: Path, number: signal.Signals) -> None:
    """It appends where there is no terminal, says what it sees each time, and ends well when asked."""
    server = RedisServer(tmp_path / "redis")
    with onlooker(tmp_path, ("status", "--redis", server.url, "--follow")) as following:
        following.wait_for("cannot be reached")
        with server:
            following.wait_for("there is no stream")
        following.send(number)
        assert following.status() == 0
