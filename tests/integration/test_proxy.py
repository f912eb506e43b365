"""`mooring proxy` as a process, between a real Redis and real services: what its clients meet, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mooring.catalog import catalog_of, diff
from mooring.documents import encode_instance
from mooring.facts import EpochBegan
from mooring.keys import RedisNames
from mooring.model import Address, Instance, State
from mooring.redis.client import RedisStream
from mooring.redis.stream import Appended, Head
from tests.e2e.line import MOORING, Part, wait_until
from tests.e2e.load import Load
from tests.servers import HOST, RedisServer, Server, ask, free_port
from tests.streams import batch_of

RATE = 100.0


class Whoami(Server):
    """A service that says who it is."""

    def __init__(self, directory: Path, name: str) -> None:
        super().__init__(directory, Path(sys.executable))
        self.name = name

    def command(self) -> list[str]:
        """See `Server.command`."""
        return [str(self.program), "-m", "mooring_stack.whoami", "--port", str(self.port), "--name", self.name]

    def answers(self) -> bool:
        """See `Server.answers`."""
        return b"instance=" in ask(self.port, b"GET / HTTP/1.0\r\n\r\n")

    def instance(self, service: str, port: int, state: State = State.UP) -> Instance:
        """Return it as an instance of a service that wants this port on the proxies."""
        return Instance(service=service, id=self.name, address=Address(HOST, self.port), port=port, state=state)


class Proxy(Part):
    """The proxy as a process."""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Return its status, once it has ended."""
        assert self._process is not None
        return self._process.wait(20)


class Discover:
    """Writes the stream as discover does."""

    def __init__(self, url: str, incarnation: str = "life-1") -> None:
        self.stream = RedisStream.from_url(url, RedisNames())
        self._instances: tuple[Instance, ...] = ()
        epoch = self.stream.lead("test", expiry_seconds=60)
        assert epoch is not None
        self.head: Head = self.stream.begin(incarnation=incarnation, epoch=epoch, run_id=self.stream.run_id())
        self._ports: Mapping[str, str] = {}
        self._append(EpochBegan("test"))

    def show(self, *instances: Instance, ports: Mapping[str, str] | None = None) -> None:
        """Let the catalog be these instances, and the ports these, or what the instances ask for."""
        self._ports = {f"{one.port}/tcp": one.service for one in instances} if ports is None else ports
        facts = diff(catalog_of(self._instances), catalog_of(instances))
        self._instances = instances
        self._append(*facts)

    def _append(self, *facts: Any) -> None:  # noqa: ANN401 -- any fact
        batch = batch_of(self.head, *facts, ports=self._ports, complete=True)
        assert self.stream.append(batch) == Appended(self.head.sequence + len(facts))
        head = self.stream.head()
        assert head is not None
        self.head = head

    def close(self) -> None:
        """Let go."""
        self.stream.close()


class Place:
    """Where a test's processes live."""

    def __init__(self, directory: Path, redis: RedisServer, ending: ExitStack) -> None:
        self.directory = directory
        self.redis = redis
        self._ending = ending
        self._lives = 0

    def _made(self, name: str) -> Path:
        made = self.directory / name
        made.mkdir()
        return made

    def discover(self) -> Discover:
        """Begin a new incarnation of the stream."""
        self._lives += 1
        made = Discover(self.redis.url, f"life-{self._lives}")
        self._ending.callback(made.close)
        return made

    def whoami(self, name: str) -> Whoami:
        """Start a service."""
        return self._ending.enter_context(Whoami(self._made(name), name))

    def proxy(self, *options: str, name: str = "proxy", redis: bool = True) -> Proxy:
        """Return a proxy, not started yet."""
        where = ["--redis", self.redis.url] if redis else []
        proxy = Proxy(self._made(name), "proxy", [*where, "--address", HOST, *options])
        self._ending.callback(proxy.kill)
        return proxy

    def started(self, *options: str) -> Proxy:
        """Start a proxy, and wait until it is ready."""
        proxy = self.proxy(*options)
        proxy.start()
        return proxy


@pytest.fixture
def place(tmp_path: Path, own_redis_server: RedisServer) -> Iterator[Place]:
    """Have a Redis of one's own and end all processes."""
    with ExitStack() as ending:
        yield Place(tmp_path, own_redis_server, ending)


def answer(port: int) -> str:
    """Return who answers on a port, "" for nobody."""
    said = ask(port, b"GET / HTTP/1.0\r\n\r\n").partition(b"instance=")[2]
    return said.split()[0].decode() if said else ""


def is_reset(port: int) -> bool:
    """Tell whether a client is let go at once, by a listener that is there."""
    try:
        with socket.create_connection((HOST, port), timeout=5) as client:
            client.recv(1)
    except ConnectionResetError:
        return True
    return False


def applied(proxy: Proxy, discover: Discover) -> Callable[[], bool]:
    """Return the condition that a proxy has applied everything that was written."""

    def is_applied() -> bool:
        state = proxy.state()
        return (state["incarnation"], state["sequence"]) == (discover.head.incarnation, discover.head.sequence)

    return is_applied


def answering(load: Load, *names: str) -> None:
    """Wait until exactly these answer the load."""
    load.await_answers(lambda answers: {name for _, name in answers} == set(names) and answers.total() > len(names) * 5)


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


def test_sigterm_drains(place: Place) -> None:
    """Nobody new is accepted, an open connection is served to its end, and the status is 0."""
    discover, port = place.discover(), free_port()
    discover.show(place.whoami("one").instance("web", port))
    proxy = place.started("--drain-seconds", "20")
    with socket.create_connection((HOST, port), timeout=10) as client:
        client.sendall(b"GET /slow HTTP/1.0\r\n")
        wait_until(lambda: proxy.state()["connections"] == 1, "the connection to be accepted")
        proxy.signal(signal.SIGTERM)
        wait_until(lambda: answer(port) == "", "the listener to close")
        client.sendall(b"\r\n")
        assert b"instance=one" in client.recv(4096)
    assert proxy.wait() == 0
    assert proxy.events("proxy ended")


def test_the_drain_has_a_deadline(place: Place) -> None:
    """Whoever does not end is ended."""
    discover, port = place.discover(), free_port()
    discover.show(place.whoami("one").instance("web", port))
    proxy = place.started("--drain-seconds", "0.3")
    with socket.create_connection((HOST, port), timeout=10) as client:
        wait_until(lambda: proxy.state()["connections"] == 1, "the connection to be accepted")
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
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
    proxy.signal(signal.SIGHUP)
    wait_until(lambda: answer(port) == "two", "the file to be read again")
    file.write_text("[{}]")
    proxy.signal(signal.SIGHUP)
    wait_until(lambda: proxy.events("the catalog file cannot be used, keeping the table"), "the broken file to be told")
    assert answer(port) == "two"


def _write(file: Path, *instances: Instance) -> None:
    file.write_text(f"[{','.join(encode_instance(one) for one in instances)}]")


def test_a_proxy_that_starts_without_redis_serves_what_was_stored(place: Place) -> None:
    """After three seconds, marked stale; what Redis says replaces it as soon as Redis is back."""
    discover, port = place.discover(), free_port()
    one, two = place.whoami("one"), place.whoami("two")
    discover.show(one.instance("web", port))
    kept = place.directory / "kept"
    kept.mkdir()
    first = place.started("--state-dir", str(kept))
    wait_until((kept / "catalog.json").exists, "the catalog to be stored")
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    place.redis.kill()
    second = place.proxy("--state-dir", str(kept), name="second")
    second.start()
    assert second.state()["stale"] is True
    assert answer(port) == "one"
    place.redis.start()
    discover.show(two.instance("web", port))
    wait_until(lambda: answer(port) == "two", "the stream to replace what was stored")
    assert second.state()["stale"] is False


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
