"""A real register against a real Consul: services, checks and aliases as asked, and who may write them."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.consul import ConsulServer
from tests.integration.consul_hosts import ConsulHost
from tests.integration.docker_hosts import ENGINE, open_host
from tests.integration.registers import INHERITED, TTL_SECONDS
from tests.servers import EtcdServer, free_port
from tests.waiting import holds_for, wait_until

pytestmark = pytest.mark.consul


@pytest.fixture
def host(consul_server: ConsulServer, tmp_path: Path, namespace: str) -> Iterator[ConsulHost]:
    """Give a host at the agent that all tests share."""
    one = ConsulHost(consul_server, tmp_path, namespace)
    yield one
    one.close()


def test_as_asked(host: ConsulHost, consul_server: ConsulServer) -> None:
    """[R-C] Consul shows services, meta, weights, checks and aliases as asked, and makes the checks."""
    common = {"service": f"{host.name}/v1", "host": host.name}
    host.declare(
        {
            **common,
            "id": f"{host.name}-good",
            "address": f"127.0.0.1:{consul_server.port}",
            "tags": ["rest"],
            "weight": 50,
            "attributes": {"region": "eu"},
            "checks": {"http": "/v1/status/leader", "interval": "1s", "timeout": "5s"},
        },
        {
            **common,
            "id": f"{host.name}-bad",
            "address": f"127.0.0.1:{free_port()}",
            "checks": {"tcp": "true", "interval": "1s"},
        },
        {**common, "id": f"{host.name}-draining", "address": "127.0.0.1:8001", "state": "draining"},
    )
    host.register().ready()
    name = f"{host.name}-v1"
    good = host.services()[f"{host.name}-good"]
    assert (good["Service"], good["Tags"], good["Weights"]["Passing"]) == (name, ["rest"], 50)
    assert (good["Meta"]["mooring-service"], good["Meta"]["region"]) == (f"{host.name}/v1", "eu")
    wait_until(
        lambda: host.passing(name) == {consul_server.port}, lambda: f"the good one alone, not {host.passing(name)}"
    )
    alive, own = f"mooring-alive:{host.name}", f"service:{host.name}"
    assert host.checks(f"{host.name}-good") == {f"{alive}-good": "passing", f"{own}-good": "passing"}
    assert host.checks(f"{host.name}-bad") == {f"{alive}-bad": "passing", f"{own}-bad": "critical"}
    maintenance = f"_service_maintenance:{host.name}-draining"
    assert host.checks(f"{host.name}-draining") == {f"{alive}-draining": "passing", maintenance: "critical"}
    checks: Any = consul_server.tell("GET", "/agent/checks")
    assert checks[maintenance]["Notes"] == "mooring: draining"


def test_alive_and_dead(host: ConsulHost) -> None:
    """One call keeps all alive; after `kill -9` all are critical when the TTL is over, and none is gone."""
    host.declare(8001, 8002)
    register = host.register().ready()
    wait_until(lambda: host.passing() == {8001, 8002}, "both to be handed out")
    before = host.indexes()
    holds_for(2 * TTL_SECONDS, lambda: host.passing() == {8001, 8002}, "both are alive")
    # Nobody who watches was woken.
    assert host.indexes() == before
    register.kill()
    wait_until(lambda: host.passing() == set(), "nothing to be handed out")
    assert host.ports() == {8001, 8002}


def test_restart_writes_nothing(host: ConsulHost) -> None:
    """After SIGTERM all stays; the successor adopts it and writes nothing, nor does either at a resync."""
    odd = {
        "service": f"{host.name}-odd/grün",
        "id": f"{host.name} 100%/é:80",
        "address": "[2001:db8::1]:9000",
        "tags": ["b", "a,c", "ü"],
        "attributes": {"text": "ü ", "empty": ""},
        "state": "starting",
        "checks": {"script": '"'},
    }
    host.declare(8001, {"service": host.name, "address": "127.0.0.1:8002", "checks": {"ttl": "1h"}}, odd)
    register = host.register("--resync", "1", *INHERITED).ready()
    wait_until(lambda: host.passing() == {8001}, "the one without a check of its own to be handed out")
    before = host.indexes()
    key: Any = host.consul.tell("GET", f"/kv/mooring/hosts/{host.name}")
    assert register.metric("mooring_register_puts_total") == 4
    register.end()
    assert host.ports() == {8001, 8002, 9000}
    successor = host.register("--resync", "1", *INHERITED).ready()
    host.await_renewals_past_its_end(successor)
    assert host.indexes() == before
    assert successor.metric("mooring_register_puts_total") == 0
    adopted: Any = host.consul.tell("GET", f"/kv/mooring/hosts/{host.name}")
    assert adopted[0]["Session"] == key[0]["Session"]
    assert adopted[0]["Value"] != key[0]["Value"]


def test_reregistering_keeps_the_status(host: ConsulHost, consul_server: ConsulServer) -> None:
    """What changes of a service does not begin its checks anew: a passing one stays passing."""
    one = {"service": host.name, "address": f"127.0.0.1:{consul_server.port}", "id": host.name}
    # Once in an hour: it passes again only when somebody says so.
    host.declare({**one, "checks": {"ttl": "1h"}})
    host.register().ready()
    consul_server.tell("PUT", f"/agent/check/pass/service:{host.name}")
    wait_until(lambda: host.passing() == {consul_server.port}, "it to be handed out")
    host.declare({**one, "checks": {"ttl": "1h"}, "tags": ["new"]})
    wait_until(lambda: host.services()[host.name]["Tags"] == ["new"], "the change to be registered")
    assert host.checks(host.name)[f"service:{host.name}"] == "passing"


def test_changes_and_leftovers(host: ConsulHost) -> None:
    """[R-L] [R-H] What goes is deregistered, also if it went while no register ran; others' services stay."""
    host.consul.tell("PUT", "/agent/service/register", {"ID": f"{host.name}-theirs", "Name": host.name, "Port": 1})
    host.declare(8001, 8002)
    register = host.register().ready()
    host.declare(8002, 8003)
    wait_until(lambda: host.ports() == {8002, 8003}, "the change to be registered")
    register.kill()
    host.declare(8003)
    host.register().ready()
    assert host.ports() == {8003}
    found: Any = host.consul.tell("GET", "/agent/services")
    assert f"{host.name}-theirs" in found


def test_withdraw(host: ConsulHost) -> None:
    """A host that is withdrawn leaves no service, check, key or session."""
    host.declare(8001)
    host.register("--withdraw-on-exit").ready().end()
    assert host.services() == {}
    found: Any = host.consul.tell("GET", "/agent/checks")
    assert not [one for one in found if host.name in one]
    sessions: Any = host.consul.tell("GET", "/kv/mooring/hosts?keys")
    assert f"mooring/hosts/{host.name}" not in sessions


def test_two_registers(host: ConsulHost) -> None:
    """Of two on one host the later one has it; the earlier one stands by, says so, and takes over when it may."""
    host.declare(8001)
    first = host.register().ready()
    second = host.register().ready()
    wait_until(lambda: not first.answers(), "the first to be fenced out")
    assert "another register" in first.ask("/readyz")[1]
    assert host.passing() == {8001}
    second.end()
    key: Any = host.consul.tell("GET", f"/kv/mooring/hosts/{host.name}")
    # It would end by itself, but Consul takes 20 s for it.
    host.consul.tell("PUT", f"/session/destroy/{key[0]['Session']}")
    wait_until(first.answers, lambda: f"the first to take over: {first.tail()}")
    assert host.ports() == {8001}


def test_refused_script(host: ConsulHost) -> None:
    """A service whose script the agent does not run is left out and reported; the others are registered."""
    script = {"service": host.name, "address": "127.0.0.1:8002", "checks": {"script": "true"}}
    host.declare(8001, script)
    register = host.register().ready()
    assert host.ports() == {8001}
    (consul,) = register.state()["registries"]
    assert "Scripts are disabled" in str(consul["left out"])


def test_paused_register(host: ConsulHost) -> None:
    """A register that stood still while another took its host writes nothing when it wakes."""
    host.declare(8001)
    first = host.register().ready()
    first.send(signal.SIGSTOP)
    try:
        second = host.register().ready()
        host.declare(8002)
        wait_until(lambda: host.ports() == {8002}, "the second to write")
    finally:
        first.send(signal.SIGCONT)
    wait_until(lambda: not first.answers(), "the first to find out")
    assert host.ports() == {8002}
    assert second.answers()


@pytest.mark.docker
def test_containers(
    host: ConsulHost, etcd_server: EtcdServer, tmp_path: Path, namespace: str, whoami_image: str
) -> None:
    """[R-C] A container's labels become a check that Consul makes; paused or ended it is no service any more."""
    with open_host(etcd_server, tmp_path, namespace, whoami_image) as containers:
        register = host.run("--docker", f"unix://{ENGINE}", "--ip", "127.0.0.1", "--filter", f"name={namespace}-*")
        one = containers.container(CHECK_HTTP="/", CHECK_INTERVAL="1s", TAGS="blue", REGION="eu")
        wait_until(lambda: len(host.passing()) == 1, lambda: f"it to be handed out: {register.tail()}", 60)
        (service,) = host.services().values()
        assert (service["ID"], service["Tags"]) == (f"{host.name}:{one.name}:80", ["blue"])
        assert (service["Meta"]["region"], service["Meta"]["mooring-container"]) == ("eu", one.id)
        assert host.checks(service["ID"])[f"service:{service['ID']}"] == "passing"
        one.pause()
        wait_until(lambda: not host.services(), "the paused one to be deregistered")
        one.unpause()
        wait_until(lambda: len(host.passing()) == 1, "it to be handed out again")
        one.stop(timeout=1)
        wait_until(lambda: not host.services(), "the one that ended to be deregistered")


@pytest.mark.docker
def test_what_failed_is_critical_if_that_is_wanted(
    host: ConsulHost, etcd_server: EtcdServer, tmp_path: Path, namespace: str, whoami_image: str
) -> None:
    """[R-L] What failed stays, critical and with its reason, also for a successor, until it runs or is removed."""
    options = ["--docker", f"unix://{ENGINE}", "--ip", "127.0.0.1", "--filter", f"name={namespace}-*"]
    with open_host(etcd_server, tmp_path, namespace, whoami_image) as containers:
        register = host.run(*options, "--deregister", "on-success").ready()
        fails = ["sh", "-c", "trap 'exit 1' USR1; while :; do sleep 0.1; done"]
        one = containers.run({"entrypoint": fails}, CHECK_TTL="1h", CHECK_INITIAL_STATUS="passing")
        own = f"{host.name}:{one.name}:80"
        wait_until(lambda: len(host.passing()) == 1, lambda: f"it to be handed out: {register.tail()}", 60)
        failed = {f"mooring-alive:{own}": "passing", f"mooring-failed:{own}": "critical"}
        one.kill("USR1")
        wait_until(lambda: host.checks(own) == failed, lambda: f"it to be critical, not {host.checks(own)}", 60)
        checks: Any = host.consul.tell("GET", "/agent/checks")
        assert checks[f"mooring-failed:{own}"]["Notes"] == "exited 1"
        register.kill()
        successor = host.run(*options, "--deregister", "on-success").ready()
        assert host.checks(own).keys() == failed.keys()
        assert successor.metric("mooring_register_puts_total") == 0
        one.start()
        wait_until(lambda: len(host.passing()) == 1, "it to be handed out again", 60)
        one.kill("USR1")
        wait_until(lambda: host.checks(own) == failed, "it to be critical again", 60)
        one.remove()
        wait_until(lambda: not host.services(), "the removed one to be deregistered", 60)


# As docs/register/registries.md names them.
RIGHTS = """
service_prefix "" { policy = "write" }
session_prefix "" { policy = "write" }
key_prefix "mooring/" { policy = "write" }
"""


@pytest.mark.parametrize(
    ("alive", "rights"), [("service", RIGHTS), ("node", RIGHTS + 'node_prefix "" { policy = "write" }')]
)
def test_token(alive: str, rights: str, tmp_path: Path, namespace: str) -> None:
    """With a token of the rights that the documentation names everything is written; before, what is wrong is told."""
    with ExitStack() as ending:
        consul = ending.enter_context(ConsulServer(tmp_path / "consul", has_tokens=True))
        host = ending.enter_context(closing(ConsulHost(consul, tmp_path, namespace)))
        token = tmp_path / "token"
        token.write_text("00000000-0000-0000-0000-000000000bad")
        host.address += f"?token-file={token}&alive={alive}"
        host.declare(8001, 8002)
        register = host.register()
        wait_until(lambda: "ACL" in register.ask("/readyz")[1], lambda: f"the reason: {register.ask('/readyz')}")
        assert register.runs()
        token.write_text(consul.make_token(rights))
        wait_until(register.answers, lambda: f"all to be written: {register.tail()}", 60)
        assert host.passing() == {8001, 8002}
        assert token.read_text() not in host.logged()
        register.kill()
        assert host.register("--withdraw").status(60) == 0
        assert host.services() == {}
