"""`mooring proxy` as a process, whose stream ends, begins anew or makes no sense: it is told, and traffic goes on."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mooring.model import Address, State
from tests.integration.proxies import Discover, Place, answer, answering
from tests.load import Load
from tests.servers import HOST, RedisServer, free_port
from tests.waiting import wait_until

RATE = 100.0


@pytest.fixture
def place(tmp_path: Path, own_redis_server: RedisServer) -> Iterator[Place]:
    """Have a Redis of one's own and end all processes."""
    with ExitStack() as ending:
        yield Place(tmp_path, own_redis_server, ending)


def test_a_redis_that_is_emptied_and_refilled_past_the_cursor_is_started_over(place: Place) -> None:
    """The proxy notices by the incarnation that this is another stream; no request is lost on the way."""
    discover, port = place.discover(), free_port()
    one, two = place.whoami("one"), place.whoami("two")
    discover.show(one.instance("web", port))
    proxy = place.started()
    with Load([Address(HOST, port)], RATE) as load:
        answering(load, "one")
        place.redis.restart(keep_data=False)
        answering(load, "one")
        again = place.discover()
        for state in (State.UP, State.DRAINING, State.UP):
            again.show(one.instance("web", port, state), two.instance("web", port))
        assert again.head.sequence > discover.head.sequence
        answering(load, "one", "two")
    assert load.failures == ()
    assert proxy.state()["incarnation"] == "life-2"
    assert proxy.events("Redis answers again")


def test_an_incarnation_that_is_emptied_under_a_blocked_reader_is_started_over(place: Place) -> None:
    """The connection never breaks: only the entries and the head tell."""
    discover, port = place.discover(), free_port()
    one = place.whoami("one")
    discover.show(one.instance("web", port))
    proxy = place.started()
    with Load([Address(HOST, port)], RATE) as load:
        discover.stream._client.flushall()  # noqa: SLF001 -- what an operator can do
        again = place.discover()
        again.show(one.instance("web", port), place.whoami("two").instance("web", port))
        answering(load, "one", "two")
    assert load.failures == ()
    assert proxy.metric("mooring_proxy_started_over_total") >= 1


def test_two_lives_of_a_redis_that_is_away(place: Place) -> None:
    """Without Redis the proxy serves on and says so; it stays ready."""
    discover, port = place.discover(), free_port()
    discover.show(place.whoami("one").instance("web", port))
    proxy = place.started()
    place.redis.kill()
    wait_until(lambda: proxy.state()["redis"] == "away", "the loss to be noticed")
    assert answer(port) == "one"
    assert proxy.answers()
    place.redis.start()
    wait_until(lambda: proxy.state()["redis"] == "answers", "the return to be noticed")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"v": "1", "type": "instance-added", "value": "{"}, "is not"),
        ({"v": "2", "type": "instance-added"}, "this Mooring reads 1"),
    ],
    ids=["broken", "newer"],
)
def test_an_entry_that_cannot_be_understood_freezes_the_table_and_traffic_goes_on(
    place: Place, fields: Mapping[str, str], reason: str
) -> None:
    """The proxy is no longer ready, says where it froze, and serves by the table it has."""
    discover, port = place.discover(), free_port()
    discover.show(place.whoami("one").instance("web", port))
    proxy = place.started()
    entry: Any = {"incarnation": discover.head.incarnation, **fields}
    discover.stream._client.xadd("mooring:events", entry, id=f"{discover.head.sequence + 1}-0")  # noqa: SLF001
    wait_until(lambda: proxy.state()["frozen"], "the table to freeze")
    assert f"entry {discover.head.sequence + 1}-0" in str(proxy.state()["frozen"])
    assert not proxy.answers()
    assert proxy.metric("mooring_proxy_frozen") == 1
    assert {answer(port) for _ in range(5)} == {"one"}
    wait_until(lambda: _announced(discover)["frozen"], "the freeze to be announced")


def _announced(discover: Discover) -> Mapping[str, str]:
    (fields,) = discover.stream.announced().values()
    return fields


def test_a_proxy_announces_how_far_it_is(place: Place) -> None:
    """Whoever looks into Redis sees who lags."""
    discover, port = place.discover(), free_port()
    discover.show(place.whoami("one").instance("web", port))
    proxy = place.started("--host", "here")
    wait_until(
        lambda: discover.stream.announced() and _announced(discover)["sequence"] == str(discover.head.sequence),
        "the proxy to be announced",
    )
    (name,) = discover.stream.announced()
    assert name == f"here:{proxy.port}"
    assert {"driver": "relay", "host": "here", "frozen": ""}.items() <= _announced(discover).items()


@pytest.mark.parametrize("left", [(State.DRAINING,), ()], ids=["draining", "gone"])
def test_a_proxy_announces_what_is_still_open_to_who_leaves(place: Place, left: tuple[State, ...]) -> None:
    """Whoever wants to stop an instance sees how many still talk to it, by each proxy, until nobody does."""
    discover, port = place.discover(), free_port()
    one, two = place.whoami("one"), place.whoami("two")
    discover.show(one.instance("web", port))
    proxy = place.started()
    with socket.create_connection((HOST, port), timeout=5):
        wait_until(lambda: proxy.state()["listeners"][0]["backends"][0]["open"], "the connection to be relayed")
        discover.show(*(one.instance("web", port, state) for state in left), two.instance("web", port))
        wait_until(lambda: _announced(discover)["leaving"] == '{"web|one":1}', lambda: _announced(discover))
        assert _announced(discover)["sequence"] == str(discover.head.sequence)
    wait_until(lambda: _announced(discover)["leaving"] == "{}", "the end of it to be announced")


def test_a_proxy_that_starts_without_redis_serves_what_was_stored(place: Place) -> None:
    """After three seconds, marked stale; what Redis says replaces it as soon as Redis is back."""
    discover, port = place.discover(), free_port()
    one, two = place.whoami("one"), place.whoami("two")
    discover.show(one.instance("web", port))
    kept = place.directory / "kept"
    kept.mkdir()
    first = place.started("--state-dir", str(kept))
    wait_until((kept / "catalog.json").exists, "the catalog to be stored")
    first.send(signal.SIGTERM)
    assert first.status() == 0
    place.redis.kill()
    second = place.proxy("--state-dir", str(kept), name="second")
    second.start()
    assert second.state()["stale"] is True
    assert answer(port) == "one"
    place.redis.start()
    discover.show(two.instance("web", port))
    wait_until(lambda: answer(port) == "two", "the stream to replace what was stored")
    assert second.state()["stale"] is False


def test_what_redis_kept_over_a_restart_is_not_served_before_discover_has_looked(place: Place) -> None:
    """Its addresses may have gone to other services: who starts waits for the next incarnation, though not for ever."""
    discover, port = place.discover(), free_port()
    one, two = place.whoami("one"), place.whoami("two")
    discover.show(one.instance("web", port))
    place.redis.restart()
    patient, late = place.proxy(name="patient"), place.proxy(name="late")
    patient.launch()
    waiting = "Redis was started anew, and discover has not looked at the stream since"
    wait_until(lambda: patient.events(waiting), "the proxy to wait")
    place.discover().show(two.instance("web", port))
    patient.ready()
    assert {line["incarnation"] for line in patient.events("table applied")} == {"life-2"}
    assert answer(port) == "two"
    patient.end()
    place.redis.restart()
    late.start()
    assert answer(port) == "two"
    assert late.events(waiting)
