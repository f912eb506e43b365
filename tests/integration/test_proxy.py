"""`mooring proxy` as a process, between a real Redis and real services: what its clients meet, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mooring.documents import encode_instance
from mooring.model import Address, Instance, State
from tests.integration.proxies import Place, answer, answering, applied, is_reset
from tests.load import Load
from tests.parts import MOORING
from tests.servers import HOST, RedisServer, free_port
from tests.waiting import wait_until

RATE = 100.0


@pytest.fixture
def place(tmp_path: Path, own_redis_server: RedisServer) -> Iterator[Place]:
    """Have a Redis of one's own and end all processes."""
    with ExitStack() as ending:
        yield Place(tmp_path, own_redis_server, ending)


def test_backends_come_and_go_without_a_failed_request(place: Place) -> None:
    """Under load, an instance is added, drained, removed, and all are replaced: nobody notices."""
    discover, port = place.discover(), free_port()
    one, two, three = (place.whoami(name) for name in ("one", "two", "three"))
    discover.show(one.instance("web", port))
    proxy = place.started()
    with Load([Address(HOST, port)], RATE) as load:
        answering(load, "one")
        discover.show(one.instance("web", port), two.instance("web", port))
        answering(load, "one", "two")
        discover.show(one.instance("web", port, State.DRAINING), two.instance("web", port))
        answering(load, "two")
        discover.show(two.instance("web", port))
        wait_until(applied(proxy, discover), "the removal to be applied")
        one.stop()
        discover.show(three.instance("web", port))
        wait_until(applied(proxy, discover), "the replacement to be applied")
        two.stop()
        answering(load, "three")
    assert load.failures == ()
    assert proxy.metric("mooring_proxy_entries_total") >= 4


def test_a_killed_backend_is_stepped_over_before_anybody_says_so(place: Place) -> None:
    """Connections that are refused go to another backend while the catalog still names the dead one."""
    discover, port = place.discover(), free_port()
    one, two = place.whoami("one"), place.whoami("two")
    discover.show(one.instance("web", port), two.instance("web", port))
    proxy = place.started()
    one.kill()
    assert [answer(port) for _ in range(10)] == ["two"] * 10
    assert proxy.metric("mooring_proxy_connect_failures_total") >= 4


def test_a_service_that_is_gone_lets_its_clients_go_and_comes_back(place: Place) -> None:
    """The listener stays while the claim stands, closes when the claim ends, and opens with the next."""
    discover, port = place.discover(), free_port()
    one = place.whoami("one")
    claim = {f"{port}/tcp": "web"}
    discover.show(one.instance("web", port))
    proxy = place.started()
    discover.show(ports=claim)
    wait_until(applied(proxy, discover), "the removal to be applied")
    assert is_reset(port)
    discover.show(ports={})
    wait_until(lambda: not proxy.state()["listeners"], "the listener to close")
    discover.show(one.instance("web", port))
    wait_until(lambda: answer(port) == "one", "the service to be back")


def test_sigterm_drains(place: Place) -> None:
    """Nobody new is accepted, an open connection is served to its end, and the status is 0."""
    discover, port = place.discover(), free_port()
    discover.show(place.whoami("one").instance("web", port))
    proxy = place.started("--drain-seconds", "20")
    with socket.create_connection((HOST, port), timeout=10) as client:
        client.sendall(b"GET /slow HTTP/1.0\r\n")
        wait_until(lambda: proxy.state()["connections"] == 1, "the connection to be accepted")
        proxy.send(signal.SIGTERM)
        wait_until(lambda: answer(port) == "", "the listener to close")
        client.sendall(b"\r\n")
        assert b"instance=one" in client.recv(4096)
    assert proxy.status() == 0
    assert proxy.events("proxy ended")


def test_the_drain_has_a_deadline(place: Place) -> None:
    """Whoever does not end is ended."""
    discover, port = place.discover(), free_port()
    discover.show(place.whoami("one").instance("web", port))
    proxy = place.started("--drain-seconds", "0.3")
    with socket.create_connection((HOST, port), timeout=10) as client:
        wait_until(lambda: proxy.state()["connections"] == 1, "the connection to be accepted")
        proxy.send(signal.SIGTERM)
        assert proxy.status() == 0
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_catalog_file_in_place_of_redis(place: Place) -> None:
    """It is read at start and on SIGHUP; a broken one changes nothing."""
    port, file = free_port(), place.directory / "catalog.json"
    one, two = place.whoami("one"), place.whoami("two")
    _write(file, one.instance("web", port))
    proxy = place.proxy("--catalog", str(file), redis=False)
    proxy.start()
    assert answer(port) == "one"
    _write(file, two.instance("web", port))
    proxy.send(signal.SIGHUP)
    wait_until(lambda: answer(port) == "two", "the file to be read again")
    file.write_text("[{}]")
    proxy.send(signal.SIGHUP)
    wait_until(lambda: proxy.events("the catalog file cannot be used, keeping the table"), "the broken file to be told")
    assert answer(port) == "two"


def _write(file: Path, *instances: Instance) -> None:
    file.write_text(f"[{','.join(encode_instance(one) for one in instances)}]")


def test_of_two_services_that_want_one_port_the_loser_is_reported(place: Place) -> None:
    """The winner is served, and `/state` names the other with the reason."""
    discover, port = place.discover(), free_port()
    one, two = place.whoami("one"), place.whoami("two")
    discover.show(one.instance("web", port), two.instance("api", port), ports={f"{port}/tcp": "web"})
    proxy = place.started()
    assert answer(port) == "one"
    assert proxy.state()["refused"] == [{"service": "api", "port": f"{port}/tcp", "reason": "held by web"}]


def test_a_static_listener_serves_its_service(place: Place) -> None:
    """`--listen` with tags, and nothing else when nothing is published."""
    discover, port, published = place.discover(), free_port(), free_port()
    discover.show(place.whoami("one").instance("web", published))
    place.started("--publish", "none", "--listen", f"{port}=web", "--listen", f"{free_port()}=web[eu]")
    assert answer(port) == "one"
    assert answer(published) == ""


def test_every_problem_of_the_configuration_is_listed(tmp_path: Path) -> None:
    """Status 2, all problems together, nothing started."""
    bad = {"--listen": "web", "--publish-ports": "9-1", "--address": "nowhere", "--drain-seconds": "-1"}
    words = [word for pair in bad.items() for word in pair]
    ended = subprocess.run([MOORING, "proxy", *words], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert all(option in ended.stderr for option in bad)


def test_options_that_contradict_each_other_are_listed(tmp_path: Path) -> None:
    """What each is well-formed may still be wrong together."""
    file = tmp_path / "catalog.json"
    file.write_text(json.dumps([]))
    words = ["--redis", "redis://localhost", "--catalog", str(file), "--listen", "80=a", "--listen", "80=b"]
    words += ["--state-dir", str(tmp_path / "missing")]
    ended = subprocess.run([MOORING, "proxy", *words], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    for problem in ("exclude each other", "asked for twice", "not a directory"):
        assert problem in ended.stderr
