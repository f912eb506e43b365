"""Proxies that share listening sockets, and the process that holds them: whoever is restarted, nobody is refused.

The load is a new connection every two milliseconds that is never tried again; no failure is forgiven where nobody was
killed. How long a client waits is printed, not judged: it is what a process takes to start here.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.integration.hosts import Host, client_ports, in_queue
from tests.integration.proxies import answer, applied
from tests.load import Load
from tests.parts import Part
from tests.servers import HOST, RedisServer, free_port
from tests.waiting import holds_for, wait_until

# Several processes start one after the other, under load; on a busy machine that takes a while.
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory, own_redis_server: RedisServer) -> Iterator[Host]:
    """Have a host with a holder that runs."""
    with ExitStack() as ending:
        made = Host(tmp_path_factory.mktemp("host"), own_redis_server, ending)
        made.holder.start()
        yield made


def assert_nobody_failed(load: Load, measured: Callable[[str], None], what: str) -> None:
    """Check that every request was answered, and print how long the slowest took."""
    assert load.failures == ()
    slowest = max(one.seconds for one in load.outcomes)
    measured(f"{what}: {len(load.outcomes)} connections, 0 failed, the slowest {slowest:.2f} s")


def test_more_proxies_and_fewer_again(host: Host, measured: Callable[[str], None]) -> None:
    """From one to three and back to one: all accept from one socket, and nobody notices."""
    a, b, c = host.started("a"), host.proxy("b"), host.proxy("c")
    with host.load() as load:
        host.answering(load)
        b.start()
        c.start()
        wait_until(lambda: all(host.accepted(one) for one in (a, b, c)), "all three to accept")
        b.end()
        a.end()
        host.answering(load)
    assert_nobody_failed(load, measured, "scaled 1, 3, 1")


def test_a_lone_proxy_is_restarted(host: Host, measured: Callable[[str], None]) -> None:
    """While it is away clients wait in the queue of the socket that the holder has, and then they are served."""
    proxy = host.started("a")
    with host.load() as load:
        host.answering(load)
        proxy.end()
        proxy.start()
        host.answering(load)
    assert_nobody_failed(load, measured, "a lone proxy restarted")


def test_a_lone_proxy_with_a_long_connection_accepts_on(host: Host, measured: Callable[[str], None]) -> None:
    """Its successor starts when it has ended, so until its oldest connections are over it serves new ones."""
    proxy = host.started("a")
    with host.load() as load, socket.create_connection((HOST, host.port), timeout=30) as client:
        client.sendall(b"GET /slow HTTP/1.0\r\n")
        host.answering(load)
        proxy.send(signal.SIGTERM)
        wait_until(lambda: proxy.ask("/readyz") == (503, "draining\n"), "the proxy to drain")
        host.answering(load)
        assert proxy.runs()
        client.sendall(b"\r\n")
        assert b"instance=" in client.recv(4096)
        client.close()
        assert proxy.status() == 0, proxy.tail()
        proxy.start()
        host.answering(load)
    assert_nobody_failed(load, measured, "a lone proxy with a long connection restarted")


def test_a_proxy_that_drains_leaves_the_door_to_its_successor(host: Host, measured: Callable[[str], None]) -> None:
    """It accepts on only until another one does, and keeps what it has open."""
    old, new = host.started("old"), host.proxy("new")
    with host.load() as load, socket.create_connection((HOST, host.port), timeout=30) as client:
        client.sendall(b"GET /slow HTTP/1.0\r\n")
        host.answering(load)
        old.send(signal.SIGTERM)
        wait_until(lambda: old.events("draining"), "the proxy to drain")
        holds_for(0.5, lambda: not old.events("accepting no longer"), "the old one accepts, being alone")
        new.start()
        wait_until(lambda: old.events("accepting no longer"), "the old one to be relieved")
        host.answering(load)
        client.sendall(b"\r\n")
        assert b"instance=" in client.recv(4096)
        client.close()
        assert old.status() == 0, old.tail()
    assert_nobody_failed(load, measured, "a successor beside a proxy that drains")


def test_all_are_restarted_at_once(host: Host, measured: Callable[[str], None]) -> None:
    """For a moment nobody accepts, and still nobody is refused."""
    proxies = [host.started(name) for name in "abc"]
    with host.load() as load:
        host.answering(load)
        for proxy in proxies:
            proxy.send(signal.SIGTERM)
        assert [proxy.status() for proxy in proxies] == [0, 0, 0]
        for proxy in proxies:
            proxy.launch()
        for proxy in proxies:
            proxy.ready()
        host.answering(load)
    assert_nobody_failed(load, measured, "three proxies restarted at once")


def test_one_of_two_is_killed(host: Host, measured: Callable[[str], None]) -> None:
    """Only connections that it had accepted are lost; who waits in the queue is served by the other one."""
    victim, _ = host.started("victim"), host.started("other")
    with host.load() as load, ExitStack() as ending:
        wait_until(lambda: host.accepted(victim), "the victim to accept")
        slow = [ending.enter_context(socket.create_connection((HOST, host.port), timeout=20)) for _ in range(40)]
        host.answering(load)
        victim.pause()
        accepted = client_ports(victim.pid, host.port)
        assert accepted & {client.getsockname()[1] for client in slow}
        victim.kill()
        host.answering(load)
    lost = [one for one in load.failures if one.port not in accepted]
    assert not lost, f"lost, and not accepted by the one that was killed: {lost}"
    measured(f"kill -9 of one of two: {len(load.failures)} of {len(load.outcomes)} lost, all accepted by it")


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_the_holder_is_restarted(host: Host, how: str, measured: Callable[[str], None]) -> None:
    """The proxies have the sockets meanwhile, and give them back: afterwards a lone restart refuses nobody again."""
    proxy = host.started("a")
    with host.load() as load:
        host.answering(load)
        if how == "SIGTERM":
            host.holder.end()
        else:
            host.holder.kill()
        host.answering(load)
        host.holder.start()
        wait_until(lambda: proxy.state()["sockets"] == "held", "the holder to have the sockets again")
        proxy.end()
        proxy.start()
        host.answering(load)
    assert_nobody_failed(load, measured, f"the holder restarted by {how}, then the proxy")


def test_proxy_and_holder_are_restarted_together(host: Host, measured: Callable[[str], None]) -> None:
    """A proxy that holds the only copy of a socket waits for the holder to be back before it ends."""
    proxy = host.started("a")
    with host.load() as load:
        host.answering(load)
        host.holder.end()
        proxy.send(signal.SIGTERM)
        host.holder.start()
        assert proxy.status() == 0, proxy.tail()
        proxy.start()
        host.answering(load)
    assert_nobody_failed(load, measured, "holder and proxy restarted together")


def test_a_holder_that_is_away_stops_no_service(host: Host, measured: Callable[[str], None]) -> None:
    """A proxy that starts without one listens by itself, and gives its sockets to the holder when it comes."""
    host.holder.end()
    proxy = host.started("a")
    wait_until(lambda: answer(host.port), "the proxy to listen by itself")
    assert proxy.state()["sockets"] == "the holder is away"
    host.holder.start()
    wait_until(lambda: proxy.state()["sockets"] == "held", "the holder to have the socket")
    with host.load() as load:
        host.answering(load)
        proxy.end()
        proxy.start()
        host.answering(load)
    assert_nobody_failed(load, measured, "a socket from before the holder, and a restart")


def test_a_holder_that_stands_still_stops_no_service(host: Host) -> None:
    """Frozen is as good as away: new services open, and ended ones close when it goes on, for it has the socket too."""
    proxy = host.started("a")
    host.holder.pause()
    other = free_port()
    host.discover.show(host.one.instance("api", other))
    wait_until(lambda: answer(other) == "one", "the new service to be served")
    host.holder.resume()
    wait_until(lambda: not host.listens(), "the old service's port to close")
    wait_until(lambda: proxy.state()["sockets"] == "held", "the holder to have the socket")
    assert host.held() == {f"{HOST}:{other}"}


def test_a_service_that_ends_is_let_go_by_all(host: Host) -> None:
    """Afterwards clients are refused, and nobody has the socket any more; it opens again with the service."""
    proxies = [host.started("a"), host.started("b")]
    assert answer(host.port)
    host.discover.show(ports={})
    for proxy in proxies:
        wait_until(applied(proxy, host.discover), "the end to be applied")
    wait_until(lambda: not host.held(), "the holder to let go")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, host.port))
    host.show()
    wait_until(lambda: answer(host.port), "the service to be back")


def test_a_service_that_flaps_comes_back_at_once(host: Host) -> None:
    """Closed and opened again without a pause: nobody is in the way of himself."""
    proxy = host.started("a")
    for _ in range(20):
        host.discover.show(ports={})
        host.show()
    wait_until(applied(proxy, host.discover), "all of it to be applied")
    wait_until(lambda: answer(host.port), "the service to be back")
    assert not proxy.events("cannot listen, will try again")


def test_a_service_that_ended_while_the_only_proxy_was_away(host: Host) -> None:
    """Its socket is kept for a successor, and let go as soon as that one knows the catalog."""
    proxy = host.started("a")
    proxy.end()
    host.discover.show(ports={})
    assert host.held() == {f"{HOST}:{host.port}"}
    proxy.start()
    wait_until(lambda: not host.held(), "the holder to let go")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, host.port))


def test_what_a_proxy_wanted_that_stays_away_is_let_go_in_time(host: Host) -> None:
    """`--keep-seconds` after it was gone, and not before."""
    host.holder.end()
    holder = host.holder_called("forgetful", "--keep-seconds", "1.5")
    holder.start()
    host.started("a").end()
    holds_for(0.8, host.listens, "the socket is kept")
    wait_until(lambda: not host.listens(), "the socket to be let go")


def test_a_newcomer_without_a_table_takes_no_connections(host: Host, measured: Callable[[str], None]) -> None:
    """It would let them wait for a table that others have."""
    port = free_port()
    listens = ("--publish", "none", "--listen", f"{port}=web")
    knowing = host.started("knowing", *listens)
    host.redis.pause()
    newcomer = host.proxy("newcomer", *listens)
    newcomer.launch()
    wait_until(lambda: newcomer.events("listening"), "the newcomer to have the socket")
    with host.load(port) as load:
        host.answering(load)
        knowing.pause()
        wait_until(lambda: in_queue(port) > 50, "clients to wait")
        assert newcomer.state()["connections"] == 0
        knowing.resume()
        host.answering(load)
    host.redis.resume()
    assert_nobody_failed(load, measured, "a newcomer that knows nothing")


def test_a_stranger_on_the_port_is_reported(host: Host) -> None:
    """The listener says who is in the way; everything else is served, and the port as soon as it is free."""
    proxy = host.started("a")
    other = free_port()
    with socket.create_server((HOST, other)):
        host.discover.show(host.one.instance("web", host.port), host.two.instance("api", other))
        wait_until(lambda: proxy.events("cannot listen, will try again"), "the problem to be told")
        problems = {one["listener"]: one["problem"] for one in proxy.state()["listeners"]}
        assert "in use" in problems[f"{HOST}:{other}"]
        assert problems[f"{HOST}:{host.port}"] == ""
        assert answer(host.port) == "one"
    wait_until(lambda: answer(other) == "two", "the port to be had")


def test_an_ipv6_address_and_a_second_port(host: Host) -> None:
    """Every address that a proxy can listen on can be held."""
    port = free_port()
    proxy = host.started("a", "--listen", f"[::1]:{port}=web")
    assert host.held() == {f"[::1]:{port}", f"{HOST}:{host.port}"}
    proxy.end()
    with socket.create_connection(("::1", port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        proxy.start()
        assert b"instance=" in client.recv(4096)


def test_a_second_holder_at_the_same_path_is_an_error(host: Host) -> None:
    """A living one is not pushed aside; what a dead one left behind is."""
    second = host.holder_called("second")
    second.launch()
    assert second.status() == 1
    assert "another holder of sockets has it" in second.tail()
    host.holder.kill()
    assert host.path.exists()
    second.start()
    second.end()
    assert not host.path.exists()


def test_the_holder_tells_who_has_what(host: Host) -> None:
    """`/state` and `/metrics` name each socket, its proxies, and what is kept for those who are gone."""
    proxy = host.started("a")
    name = f"{socket.gethostname()}:{proxy.port}"
    (held,) = host.holder.state()["sockets"]
    assert (held["address"], held["proxies"], held["kept_seconds"]) == (f"{HOST}:{host.port}", [name], None)
    (one,) = host.holder.state()["proxies"]
    assert (one["name"], one["settled"], one["fresh"], one["leaving"]) == (name, True, True, False)
    assert host.holder.metric("mooring_sockets_held") == host.holder.metric("mooring_sockets_proxies") == 1
    proxy.end()
    wait_until(lambda: not host.holder.state()["proxies"], "the proxy to be gone")
    (held,) = host.holder.state()["sockets"]
    assert held["proxies"] == []
    assert 50 < held["kept_seconds"] <= 60


def test_nothing_leaks(host: Host) -> None:
    """A thousand services that come and go leave no descriptor behind, neither here nor there."""
    proxy: Part = host.started("a")
    ports = {free_port() for _ in range(50)}
    before = host.descriptors(host.holder), host.descriptors(proxy)
    for _ in range(20):
        host.discover.show(*(host.one.instance(f"s{port}", port) for port in ports))
        wait_until(lambda: len(host.held()) == len(ports), "all to be held")
        host.discover.show(ports={})
        wait_until(lambda: not host.held(), "all to be let go")
    host.show()
    wait_until(lambda: len(host.held()) == 1, "the first one to be back")
    wait_until(
        lambda: (host.descriptors(host.holder), host.descriptors(proxy)) <= before,
        lambda: f"as few as before, {before}: {host.descriptors(host.holder)}, {host.descriptors(proxy)}",
    )


def test_a_crowd_that_waited_is_served(host: Host, measured: Callable[[str], None]) -> None:
    """However many are in the queue when a proxy begins to accept, it takes no more at once than it can serve."""
    proxy = host.started("a")
    with host.load() as load:
        host.answering(load)
        proxy.end()
        wait_until(lambda: in_queue(host.port) > 2000, "a crowd")
        proxy.start()
        host.answering(load)
    assert_nobody_failed(load, measured, "a crowd of 2000")
    assert proxy.metric("mooring_proxy_connect_failures_total") == 0
