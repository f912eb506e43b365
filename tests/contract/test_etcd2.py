"""The contract of an etcd by its v2 API, on the twin in memory and on a real etcd with `--enable-v2`."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from attrs import evolve, frozen

from mooring.errors import DocumentError, Unavailable
from mooring.etcd2.client import HttpKeys
from mooring.etcd2.memory import MemoryKeys
from mooring.etcd2.store import ABSENT, Keys, Mismatch, Node
from mooring.model import Address, parse_address
from tests.servers import HOST, EtcdServer, free_port
from tests.waiting import wait_until

TTL_SECONDS = 60


@frozen
class Bench:
    """The keys, a directory of the test's own, and how time passes there."""

    keys: Keys
    root: str
    let_pass: Callable[[float], None]


@pytest.fixture(scope="module")
def v2_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """Run an etcd that speaks v2 for all tests of this file."""
    with EtcdServer(tmp_path_factory.mktemp("etcd2"), "--enable-v2") as server:
        yield server


@pytest.fixture(params=["memory", "etcd"])
def bench(request: pytest.FixtureRequest, namespace: str) -> Iterator[Bench]:
    """Give the twin, or a real etcd."""
    if request.param == "memory":
        memory = MemoryKeys()
        yield Bench(memory, f"/{namespace}", memory.advance)
        return
    server: EtcdServer = request.getfixturevalue("v2_server")
    keys = HttpKeys([parse_address(server.address)])
    # Real time passes by itself: whoever waits for what it brings has a deadline of its own.
    yield Bench(keys, f"/{namespace}", lambda _: None)
    keys.close()


def put(bench: Bench, key: str, value: bytes = b"x", ttl_seconds: int = TTL_SECONDS) -> Node:
    """Write a new key."""
    node = bench.keys.put(bench.root + key, value, ttl_seconds, ABSENT)
    assert isinstance(node, Node)
    return node


def test_put_and_get(bench: Bench) -> None:
    """A key holds what was written, byte for byte, with the time that it has left."""
    for value in (b"10.0.0.1:80", b"[2001:db8::1]:80", '{"a":"größe & = +"}'.encode(), b""):
        node = put(bench, f"/{len(value)}", value)
        assert bench.keys.get(node.key) == node
        assert (node.value, node.ttl_seconds) == (value, TTL_SECONDS)


def test_nothing_there(bench: Bench) -> None:
    """What does not exist is None, and an empty listing."""
    assert bench.keys.get(f"{bench.root}/none") is None
    assert bench.keys.list(f"{bench.root}/none") == ()
    assert bench.keys.list(put(bench, "/key").key) == ()


def test_list_at_any_depth(bench: Bench) -> None:
    """A listing has every key below the directory, in order, and none of a directory whose name begins alike."""
    wanted = [put(bench, key) for key in ("/a/1", "/a/b/c/d", "/a/h1:web.1:80")]
    put(bench, "/ab/1")
    assert [node.key for node in bench.keys.list(f"{bench.root}/a")] == [node.key for node in wanted]
    assert [node.index for node in bench.keys.list(f"{bench.root}/a/")] == [node.index for node in wanted]


def test_names_with_odd_characters(bench: Bench) -> None:
    """A key may hold what its layout lets through: percent signs, blanks, question marks, letters of any language."""
    node = put(bench, "/a%2Fb/c d?e#f/größe")
    assert node.key == f"{bench.root}/a%2Fb/c d?e#f/größe"
    assert bench.keys.get(node.key) == node
    assert bench.keys.list(bench.root) == (node,)


def test_put_only_if_absent(bench: Bench) -> None:
    """A key that somebody else has written is not overwritten by one who believes that it is not there."""
    node = put(bench, "/a", b"first")
    assert bench.keys.put(node.key, b"second", TTL_SECONDS, ABSENT) == Mismatch()
    assert bench.keys.get(node.key) == node


def test_put_only_at_its_index(bench: Bench) -> None:
    """A key is overwritten by one who knows its last change, and by nobody else."""
    node = put(bench, "/a", b"first")
    second = bench.keys.put(node.key, b"second", TTL_SECONDS, node.index)
    assert isinstance(second, Node)
    assert second.index > node.index
    assert bench.keys.put(node.key, b"third", TTL_SECONDS, node.index) == Mismatch()
    assert bench.keys.put(f"{bench.root}/none", b"x", TTL_SECONDS, node.index) == Mismatch()
    assert bench.keys.get(node.key) == second


def test_a_late_delete_spares_the_successor(bench: Bench) -> None:
    """A delete that knows only what was there before removes nothing; one that knows the last change does."""
    node = put(bench, "/a", b"old container")
    successor = bench.keys.put(node.key, b"new container", TTL_SECONDS, node.index)
    assert isinstance(successor, Node)
    assert bench.keys.delete(node.key, node.index) == Mismatch()
    assert bench.keys.delete(node.key, ABSENT) == Mismatch()
    assert bench.keys.get(node.key) == successor
    assert bench.keys.delete(node.key, successor.index) is None
    assert bench.keys.get(node.key) is None
    assert bench.keys.delete(node.key, successor.index) == Mismatch()


def test_refresh(bench: Bench) -> None:
    """Renewing keeps the value and lengthens the time; it needs the last index, and there is a new one after it."""
    node = put(bench, "/a", b"value", ttl_seconds=5)
    renewed = bench.keys.refresh(node.key, TTL_SECONDS, node.index)
    assert isinstance(renewed, Node)
    assert renewed == evolve(node, index=renewed.index, ttl_seconds=TTL_SECONDS)
    assert renewed.index > node.index
    assert bench.keys.get(node.key) == renewed
    assert bench.keys.refresh(node.key, TTL_SECONDS, node.index) == Mismatch()
    assert bench.keys.refresh(node.key, TTL_SECONDS, ABSENT) == Mismatch()
    assert bench.keys.refresh(f"{bench.root}/none", TTL_SECONDS, node.index) == Mismatch()


def test_renewing_wakes_nobody(v2_server: EtcdServer, namespace: str) -> None:
    """Whoever watches a key hears of its next change, not of the renewals before that."""
    keys = HttpKeys([parse_address(v2_server.address)])
    node = keys.put(f"/{namespace}/a", b"first", TTL_SECONDS, ABSENT)
    assert isinstance(node, Node)
    renewed = keys.refresh(node.key, TTL_SECONDS, node.index)
    assert isinstance(renewed, Node)
    changed = keys.put(node.key, b"second", TTL_SECONDS, renewed.index)
    assert isinstance(changed, Node)
    waiting = {"wait": "true", "waitIndex": str(node.index + 1)}
    heard = requests.get(f"http://{v2_server.address}/v2/keys{node.key}", params=waiting, timeout=10).json()["node"]
    assert (heard["value"], heard["modifiedIndex"]) == ("second", changed.index)
    keys.close()


def test_expire(bench: Bench) -> None:
    """[R-K] A key that nobody renews goes by itself, and cannot be renewed any more."""
    node = put(bench, "/a", ttl_seconds=1)
    bench.let_pass(2)
    wait_until(lambda: bench.keys.get(node.key) is None, "the key to expire")
    assert bench.keys.list(bench.root) == ()
    assert bench.keys.refresh(node.key, 1, node.index) == Mismatch()
    put(bench, "/a")


def test_a_directory_in_the_way(bench: Bench) -> None:
    """A key cannot be where a directory is, nor a directory where a key is; that is told, and is no outage."""
    put(bench, "/a/b")
    with pytest.raises(DocumentError, match="is in the way"):
        put(bench, "/a")
    with pytest.raises(DocumentError, match="is in the way"):
        put(bench, "/a/b/c")
    assert bench.keys.get(f"{bench.root}/a") is None


def test_a_directory_where_our_key_was(bench: Bench) -> None:
    """A key that somebody has replaced by a directory is not as we know it: neither renewed nor removed."""
    node = put(bench, "/a")
    assert bench.keys.delete(node.key, node.index) is None
    inside = put(bench, "/a/b")
    assert bench.keys.refresh(node.key, TTL_SECONDS, node.index) == Mismatch()
    assert bench.keys.delete(node.key, node.index) == Mismatch()
    assert bench.keys.get(inside.key) == inside


def test_the_next_endpoint(v2_server: EtcdServer, namespace: str) -> None:
    """[E-E9] Where the first endpoint is down the next one is asked."""
    keys = HttpKeys([Address(HOST, free_port()), parse_address(v2_server.address)])
    assert isinstance(keys.put(f"/{namespace}/a", b"x", TTL_SECONDS, ABSENT), Node)
    keys.close()


def test_an_endpoint_that_falls_silent(v2_server: EtcdServer, namespace: str) -> None:
    """From an endpoint that took a write and said nothing nobody knows what it did: no other one is asked to do it."""
    with socket.create_server((HOST, 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(1)
            connection.close()

        hangs_up = threading.Thread(target=hang_up)
        hangs_up.start()
        keys = HttpKeys([Address(HOST, listener.getsockname()[1]), parse_address(v2_server.address)])
        with pytest.raises(Unavailable):
            keys.put(f"/{namespace}/a", b"x", TTL_SECONDS, ABSENT)
        hangs_up.join()
    assert keys.get(f"/{namespace}/a") is None
    keys.close()


def test_an_endpoint_that_froze(v2_server: EtcdServer, namespace: str) -> None:
    """An endpoint that takes connections and never answers costs one attempt: the next one is asked of another."""
    with socket.create_server((HOST, 0)) as frozen:
        keys = HttpKeys([Address(HOST, frozen.getsockname()[1]), parse_address(v2_server.address)])
        with pytest.raises(Unavailable):
            keys.put(f"/{namespace}/a", b"x", TTL_SECONDS, ABSENT)
        node = keys.put(f"/{namespace}/a", b"x", TTL_SECONDS, ABSENT)
        assert keys.get(f"/{namespace}/a") == node
        keys.close()


def test_several_at_once(v2_server: EtcdServer, namespace: str) -> None:
    """Threads that ask at the same time do not wait for one another, and none gets another's answer."""
    keys = HttpKeys([parse_address(v2_server.address)])
    with ThreadPoolExecutor(8) as pool:
        names = [f"/{namespace}/{number}" for number in range(100)]
        written = list(pool.map(lambda name: keys.put(name, name.encode(), TTL_SECONDS, ABSENT), names))
    assert sorted(keys.list(f"/{namespace}"), key=lambda node: names.index(node.key)) == written
    assert [node.value.decode() for node in written if isinstance(node, Node)] == names
    keys.close()


def test_away_and_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without a server every call says so, and when it is back the same client goes on."""
    with EtcdServer(tmp_path_factory.mktemp("etcd2"), "--enable-v2") as server:
        keys = HttpKeys([parse_address(server.address)])
        node = keys.put("/a", b"x", TTL_SECONDS, ABSENT)
        assert isinstance(node, Node)
        server.kill()
        for call in (lambda: keys.list("/"), lambda: keys.get("/a"), lambda: keys.delete("/a", node.index)):
            with pytest.raises(Unavailable, match=server.address):
                call()
        server.start()
        assert keys.get("/a") is not None
        keys.close()


def test_a_twin_that_is_away() -> None:
    """The twin can be away too, and is as it was when it comes back."""
    keys = MemoryKeys()
    node = keys.put("/a", b"x", TTL_SECONDS, ABSENT)
    keys.fail()
    with pytest.raises(Unavailable):
        keys.get("/a")
    keys.recover()
    assert keys.get("/a") == node


def test_an_etcd_without_v2(etcd_server: EtcdServer) -> None:
    """An etcd that was not told to speak v2 is named, with what it lacks."""
    keys = HttpKeys([parse_address(etcd_server.address)])
    with pytest.raises(Unavailable, match="--enable-v2"):
        keys.get("/a")
    keys.close()
