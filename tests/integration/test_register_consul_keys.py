"""A real register against a real Consul's keys: what registrator's readers find there, and for how long."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import requests

from tests.consul import API_SECONDS, ConsulServer
from tests.integration.consul_hosts import ConsulHost
from tests.waiting import wait_until

pytestmark = pytest.mark.consul


@pytest.fixture
def host(consul_server: ConsulServer, tmp_path: Path, namespace: str) -> Iterator[ConsulHost]:
    """Give a host that writes keys below a prefix of its own, at the agent that all tests share."""
    one = ConsulHost(consul_server, tmp_path, namespace)
    one.address = f"consulkv://{consul_server.address}/{namespace}"
    yield one
    one.close()


def keys(host: ConsulHost) -> dict[str, int]:
    """Return the host's keys without their prefix, with the index of their last change."""
    found = requests.get(f"http://{host.consul.address}/v1/kv/{host.name}/?recurse", timeout=API_SECONDS)
    return {one["Key"].removeprefix(f"{host.name}/"): one["ModifyIndex"] for one in (found.json() if found.ok else [])}


def raw(host: ConsulHost, key: str) -> bytes:
    """Return what a key holds, byte for byte, as anybody reads it."""
    return requests.get(f"http://{host.consul.address}/v1/kv/{host.name}/{key}?raw", timeout=API_SECONDS).content


def test_plain_addresses(host: ConsulHost) -> None:
    """[R-K] An address is `ip:port` below service and id; a successor writes nothing; after `kill -9` it is gone."""
    host.declare({"service": "web", "address": "[2001:db8::1]:9000", "id": "host:web:9000:6"}, 8001)
    register = host.register().ready()
    plain = f"{host.name}/127.0.0.1:{host.name}:8001"
    assert raw(host, "web/host:web:9000:6") == b"[2001:db8::1]:9000"
    assert raw(host, plain) == b"127.0.0.1:8001"
    before = keys(host)
    assert set(before) == {"web/host:web:9000:6", plain}
    register.kill()
    successor = host.register("--resync", "1").ready()
    wait_until(lambda: successor.metric("mooring_register_keep_alives_total") > 3, "it to have lived for a while")
    assert keys(host) == before
    assert successor.metric("mooring_register_puts_total") == 0
    successor.kill()
    wait_until(lambda: not keys(host), "the session to end, and the keys with it", 60)


def test_leftovers_and_others(host: ConsulHost) -> None:
    """What went while no register ran goes; what others wrote stays, and is told where it is in the way."""
    taken = f"{host.name}/127.0.0.1:{host.name}:8003"
    for key in (f"{host.name}/{host.name}/theirs", f"{host.name}/{taken}"):
        url = f"http://{host.consul.address}/v1/kv/{key}"
        requests.put(url, data=b"10.9.9.9:1", timeout=API_SECONDS).raise_for_status()
    host.declare(8001, 8002)
    host.register().ready().kill()
    host.declare(8002, 8003)
    register = host.register().ready()
    assert set(keys(host)) == {f"{host.name}/theirs", taken, f"{host.name}/127.0.0.1:{host.name}:8002"}
    assert raw(host, taken) == b"10.9.9.9:1"
    (consul,) = register.state()["registries"]
    assert "somebody who does not say who" in str(consul["conflicts"])


def test_two_registers(host: ConsulHost) -> None:
    """Of two on one host the later one writes; the earlier one stands by, says so, and writes nothing."""
    host.declare(8001)
    first = host.register().ready()
    second = host.register().ready()
    wait_until(lambda: not first.answers(), "the first to be fenced out")
    assert "another register" in first.ask("/readyz")[1]
    host.declare(8001, 8002)
    wait_until(lambda: len(keys(host)) == 2, "the change to be written")
    wait_until(lambda: second.metric("mooring_register_puts_total") == 1, "the second to have counted it")
    assert first.metric("mooring_register_puts_total") == 1


def test_documents_and_withdrawal(host: ConsulHost) -> None:
    """`?layout=native` writes documents; a host that is withdrawn leaves no key."""
    host.address += "?layout=native"
    host.declare(8001)
    register = host.register("--withdraw-on-exit").ready()
    document = json.loads(raw(host, f"{host.name}/127.0.0.1:{host.name}:8001"))
    assert (document["host"], document["state"], document["host_port"]) == (host.name, "up", "8001")
    register.end()
    assert keys(host) == {}
    found = requests.get(f"http://{host.consul.address}/v1/kv/mooring/hosts/{host.name}", timeout=API_SECONDS)
    assert found.status_code == requests.codes.not_found


def test_consul_loses_everything(own_consul_server: ConsulServer, tmp_path: Path, namespace: str) -> None:
    """A Consul that comes back empty gets every key again, under a new session."""
    with closing(ConsulHost(own_consul_server, tmp_path, namespace)) as host:
        host.address = f"consulkv://{own_consul_server.address}/{namespace}"
        host.declare(8001, 8002)
        register = host.register().ready()
        written = keys(host).keys()
        own_consul_server.restart(keep_data=False)
        wait_until(lambda: keys(host).keys() == written, lambda: f"all again: {register.tail()}", 60)
        wait_until(register.answers, lambda: f"register to be well: {register.ask('/readyz')}", 60)


# As docs/register/registries.md names them.
RIGHTS = """
key_prefix "PREFIX/" { policy = "write" }
key_prefix "mooring/" { policy = "write" }
session_prefix "" { policy = "write" }
"""


def test_token(tmp_path: Path, namespace: str) -> None:
    """With a token of the rights that the documentation names everything is written."""
    with ExitStack() as ending:
        consul = ending.enter_context(ConsulServer(tmp_path / "consul", has_tokens=True))
        host = ending.enter_context(closing(ConsulHost(consul, tmp_path, namespace)))
        token = tmp_path / "token"
        token.write_text(consul.make_token(RIGHTS.replace("PREFIX", namespace)))
        host.address = f"consulkv://{consul.address}/{namespace}?token-file={token}"
        host.declare(8001)
        register = host.register()
        wait_until(register.answers, lambda: f"all to be written: {register.tail()}", 60)
        found = consul.tell("GET", f"/kv/{namespace}/?keys")
        assert found == [f"{namespace}/{namespace}/127.0.0.1:{namespace}:8001"]
