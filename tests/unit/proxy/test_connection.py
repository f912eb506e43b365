"""A relayed connection: the search for a backend, bytes both ways, and every way to end."""

from __future__ import annotations

from typing import cast

import pytest

from mooring_proxy.pool import Count
from mooring_proxy.relay.connection import SEARCH_SECONDS
from mooring_proxy.relay.ends import End
from mooring_proxy.routing import BackendKey
from tests.transports import Relay, TcpTransport


def joined(relay: Relay) -> tuple[End, End, TcpTransport]:
    """Let a client in and its first backend accept; return both ends and the backend's transport."""
    relay.accept()
    end, up = relay.accept_upstream()
    return relay.connection.downstream, cast("End", end), up


def counts(relay: Relay) -> dict[str, Count]:
    """Return the counts by backend."""
    return {key.id: count for key, count in relay.pool.counts().items()}


def test_nothing_is_read_before_a_backend_is_connected() -> None:
    """The client waits in the kernel's buffer, where no retry can lose a byte."""
    relay = Relay("a")
    relay.accept()
    was_reading = relay.down.reading
    _, up = relay.accept_upstream()
    assert (was_reading, relay.down.reading) == (False, True)
    assert {"nodelay", "keepalive"} <= set(up.did) & set(relay.down.did)


def test_bytes_go_both_ways() -> None:
    """Each end gets what the other sends."""
    relay = Relay("a")
    down, upstream, up = joined(relay)
    down.dataReceived(b"GET")
    upstream.dataReceived(b"200")
    assert (up.written, relay.down.written) == (b"GET", b"200")


def test_whoever_is_slow_pauses_the_other() -> None:
    """Each transport is the other's producer, so that a full buffer stops the reading across."""
    relay = Relay("a")
    _, _, up = joined(relay)
    up.producer.pauseProducing()
    assert not relay.down.reading
    relay.down.producer.pauseProducing()
    assert not up.reading
    up.producer.resumeProducing()
    assert relay.down.reading


def test_two_that_refuse_and_a_third_that_serves() -> None:
    """The client learns nothing of backends that could not be reached."""
    relay = Relay("a", "b", "c")
    relay.accept()
    relay.refuse()
    relay.refuse()
    assert [port for _, port in relay.attempts] == [8000, 8001, 8002]
    relay.accept_upstream()
    assert relay.down.ending == []
    assert counts(relay) == {"a": Count(failed=1), "b": Count(failed=1), "c": Count(open=1, total=1)}


def test_when_all_refuse_the_client_is_reset_at_once() -> None:
    """Each backend is tried once, then the client may try elsewhere."""
    relay = Relay("a", "b")
    relay.accept()
    relay.refuse()
    relay.refuse()
    assert relay.down.ending == ["abort"]
    assert len(relay.attempts) == 2
    relay.lose(relay.connection.downstream)
    assert relay.open == set()


def test_the_search_ends_in_time() -> None:
    """The client waits no longer than the limit, however many backends there are; the last attempt gets the rest."""
    relay = Relay(*"abcdefghij", connect_seconds=2.0)
    relay.accept()
    for _ in range(3):
        relay.reactor.advance(2.0)
        relay.refuse()
    assert [client[3] for client in relay.reactor.tcpClients] == [2.0, 2.0, SEARCH_SECONDS - 4.0]
    assert relay.down.ending == ["abort"]


def test_without_a_backend_the_client_is_reset_at_once() -> None:
    """A listener whose service is gone does not let anybody wait."""
    relay = Relay()
    relay.accept()
    assert relay.down.ending == ["abort"]


def test_before_the_first_table_the_client_waits() -> None:
    """It is searched for again when there is one."""
    relay = Relay()
    relay.lets_wait = True
    relay.accept()
    assert relay.waiting == [relay.connection]
    assert relay.down.ending == []


def test_a_backend_lost_before_the_first_byte_is_replaced() -> None:
    """A connection that was accepted by a dying instance is begun again elsewhere."""
    relay = Relay("a", "b")
    _, upstream, _ = joined(relay)
    relay.lose(upstream)
    assert [port for _, port in relay.attempts] == [8000, 8001]
    assert not relay.down.reading
    _, up = relay.accept_upstream()
    relay.connection.downstream.dataReceived(b"GET")
    assert up.written == b"GET"
    assert counts(relay) == {"a": Count(failed=1), "b": Count(open=1, total=1)}


def test_a_backend_that_ends_before_the_first_byte_is_replaced() -> None:
    """A process killed between its accept and its first read sends FIN: nobody has heard anything, so another may."""
    relay = Relay("a", "b")
    _, upstream, dying = joined(relay)
    upstream.readConnectionLost()
    assert dying.ending == ["abort"]
    assert relay.down.ending == []
    _, up = relay.accept_upstream()
    relay.connection.downstream.dataReceived(b"GET")
    assert up.written == b"GET"
    relay.lose(upstream)
    assert relay.down.ending == []


@pytest.mark.parametrize("how", ["lost", "ended"])
def test_a_backend_that_is_gone_when_the_first_bytes_are_to_be_sent_is_replaced(how: str) -> None:
    """Bytes that the kernel did not take have reached nobody: another backend gets them, in full."""
    relay = Relay("a", "b", "c")
    down, upstream, up = joined(relay)
    setattr(up.getHandle(), how, True)
    down.dataReceived(b"GET")
    assert up.ending == ["abort"]
    relay.lose(upstream)
    paused = not relay.down.reading
    _, second = relay.accept_upstream()
    assert (paused, relay.down.reading) == (True, True)
    down.dataReceived(b" /")
    assert second.written == b"GET /"
    assert counts(relay) == {"a": Count(failed=1), "b": Count(open=1, total=1), "c": Count()}


def test_first_bytes_travel_from_backend_to_backend() -> None:
    """As long as none could be sent any."""
    relay = Relay("a", "b", "c")
    down, _, up = joined(relay)
    up.getHandle().lost = True
    down.dataReceived(b"GET")
    relay.accept_upstream(lost=True)
    assert not relay.down.reading
    _, third = relay.accept_upstream()
    assert third.written == b"GET"


@pytest.mark.parametrize("room", [0, 2])
def test_what_the_kernel_does_not_take_at_once_is_sent_later(room: int) -> None:
    """No byte is lost or sent twice; from then on nothing is tried again."""
    relay = Relay("a", "b")
    down, upstream, up = joined(relay)
    up.getHandle().room = room
    down.dataReceived(b"GET")
    assert up.written == b"GET"
    relay.lose(upstream)
    assert len(relay.attempts) == 1


def test_the_last_backend_may_end_without_a_word() -> None:
    """Where nobody else can be asked, it is taken at its word: it listens, and has nothing to say."""
    relay = Relay("a")
    down, upstream, up = joined(relay)
    upstream.readConnectionLost()
    assert relay.down.ending == ["fin"]
    down.dataReceived(b"a message")
    assert up.written == b"a message"


@pytest.mark.parametrize("said_by", ["client", "backend"])
def test_after_the_first_byte_nothing_is_tried_again(said_by: str) -> None:
    """Bytes that may have had an effect are never sent twice: the loss is passed on."""
    relay = Relay("a", "b")
    down, upstream, _ = joined(relay)
    (down if said_by == "client" else upstream).dataReceived(b"x")
    relay.lose(upstream)
    assert len(relay.attempts) == 1
    assert relay.down.ending == ["flush", "abort"]


def test_the_clients_end_is_passed_on_and_the_answer_still_comes() -> None:
    """A client that sends FIN and waits for the answer gets it."""
    relay = Relay("a")
    down, upstream, up = joined(relay)
    down.dataReceived(b"all of it")
    down.readConnectionLost()
    assert up.ending == ["fin"]
    assert relay.down.ending == []
    upstream.dataReceived(b"the answer")
    assert relay.down.written == b"the answer"
    upstream.readConnectionLost()
    assert relay.down.ending == ["close"]
    assert up.ending == ["fin", "close"]


def test_the_backends_end_is_passed_on_and_the_tail_still_goes() -> None:
    """A backend that has said everything still gets what the client has to say."""
    relay = Relay("a")
    down, upstream, up = joined(relay)
    upstream.dataReceived(b"banner")
    upstream.readConnectionLost()
    assert relay.down.ending == ["fin"]
    down.dataReceived(b"the tail")
    assert up.written == b"the tail"
    down.readConnectionLost()
    assert up.ending == ["close"]


def test_an_end_heard_twice_is_one_end() -> None:
    """Nothing is ended a second time."""
    relay = Relay("a")
    down, _, up = joined(relay)
    down.readConnectionLost()
    down.readConnectionLost()
    assert up.ending == ["fin"]


def test_a_lost_client_resets_the_backend() -> None:
    """The backend learns that nobody listens, after what it still has to get."""
    relay = Relay("a")
    down, upstream, up = joined(relay)
    down.dataReceived(b"x")
    relay.lose(down)
    assert up.ending == ["flush", "abort"]
    relay.lose(upstream, cleanly=True)
    assert relay.open == set()
    assert counts(relay)["a"] == Count(total=1)


def test_a_connection_is_forgotten_when_both_ends_are_gone() -> None:
    """Neither end alone makes it over."""
    relay = Relay("a")
    down, upstream, _ = joined(relay)
    down.readConnectionLost()
    upstream.readConnectionLost()
    relay.lose(upstream, cleanly=True)
    assert relay.open == {relay.connection}
    relay.lose(down, cleanly=True)
    assert relay.open == set()


def test_abort_ends_both_sides_now() -> None:
    """At the drain's deadline nothing is waited for."""
    relay = Relay("a")
    down, upstream, up = joined(relay)
    relay.connection.abort()
    assert (relay.down.ending, up.ending) == (["abort"], ["abort"])
    relay.lose(upstream)
    relay.lose(down)
    assert relay.open == set()
    assert len(relay.attempts) == 1


def test_abort_ends_the_search() -> None:
    """An attempt that is under way is given up, and is no failure of the backend."""
    relay = Relay("a", "b")
    relay.accept()
    relay.connection.abort()
    relay.lose(relay.connection.downstream)
    assert len(relay.attempts) == 1
    assert relay.open == set()
    assert counts(relay)["a"] == Count(total=1)


def test_a_client_that_leaves_ends_the_search() -> None:
    """It is over once, when the attempt is given up."""
    relay = Relay("a", "b")
    relay.accept()
    relay.lose(relay.connection.downstream)
    assert len(relay.attempts) == 1
    assert relay.open == set()


def test_a_connection_to_itself_is_no_backend() -> None:
    """The kernel may give a dead port of this machine to our own end: then nobody is there."""
    relay = Relay("a", "b")
    relay.accept()
    end, up = relay.accept_upstream(itself=True)
    assert up.ending == ["abort"]
    assert len(relay.attempts) == 2
    relay.lose(end)
    relay.accept_upstream()
    assert relay.down.ending == []
    assert counts(relay)["a"] == Count(failed=1)


def test_keys_of_backends_are_counted_once_per_connection() -> None:
    """Whatever happens on the way, in the end nothing is open."""
    relay = Relay("a", "b")
    relay.accept()
    relay.refuse()
    upstream, _ = relay.accept_upstream()
    relay.lose(relay.connection.downstream)
    relay.lose(upstream)
    assert {key: count.open for key, count in relay.pool.counts().items()} == {
        BackendKey("web", "a"): 0,
        BackendKey("web", "b"): 0,
    }
