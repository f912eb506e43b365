"""What the images promise: only what is theirs, no rights, an end and a health that Docker understands."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from docker.models.containers import Container

from tests.containers.images import MOORING, REPOSITORY, TAG
from tests.e2e.hardened import START_SECONDS, Hardened, address_of, await_health, end, hardened, last_check
from tests.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.e2e]

ROOT = Path(__file__).parents[2]
SOCKET = Path("/var/run/docker.sock")
PARTS = ("mooring-register", "mooring-discover", "mooring-proxy")
USERS = {**dict.fromkeys(PARTS, "10001:10001"), "mooring-etcd": "10002:10002", "mooring-redis": "10003:10003"}
# Base and interpreter, which every part's image begins with.
COMMON_LAYERS = 2
MOST_MEGABYTES = {"mooring-register": 90, "mooring-discover": 90, "mooring-proxy": 60}
OWN = {
    "mooring-register": {"mooring", "mooring_register", "consul", "docker", "etcd3", "grpc", "redis", "yaml"},
    "mooring-discover": {"mooring", "mooring_discover", "etcd3", "grpc", "redis"},
    "mooring-proxy": {"mooring", "mooring_proxy", "redis", "twisted"},
}
HAS_BEGUN = re.compile("admin server listens|following|proxy started")
OTHERS = {"pip", "setuptools", "ensurepip", "pytest", "mooring_stack"}

# What a part's Python can tell of its own image.
TELLING = """
import importlib.metadata, importlib.util, json, pathlib, sys
print(json.dumps({
    "importable": [name for name in sys.argv[1:] if importlib.util.find_spec(name)],
    "versions": {one.name: one.version for one in importlib.metadata.distributions()},
    "editable": [
        one.name
        for one in importlib.metadata.distributions()
        if "editable" in (one.read_text("direct_url.json") or "")
    ],
    "not compiled": [
        str(path)
        for path in pathlib.Path("/opt/mooring/lib").rglob("*.py")
        if not pathlib.Path(importlib.util.cache_from_source(path)).exists()
    ],
}))
"""
# Who one is, and what a build would have left.
LOOKING = r"""
echo $(id -u):$(id -g)
grep --recursive --files-with-matches -e '^-----BEGIN CERTIFICATE-----$' /bin /etc /root /usr /var 2>/dev/null
find / -xdev \( -name authorities.pem -o -name constraints.txt -o -name 'pip*' -o -name setcap \) 2>/dev/null
find /usr/bin /opt/mooring/bin -name gcc -o -name cc -o -name uv 2>/dev/null
find /build /tools /wheels /var/lib/apt/lists /var/cache/apt -type f 2>/dev/null
exit 0
"""
LISTENING: Mapping[str, Any] = {
    "cap_add": ["NET_BIND_SERVICE"],
    "sysctls": {"net.ipv4.ip_unprivileged_port_start": 1024},
}
WRONG = {
    "mooring-register": {"--registry": "nowhere", "--ttl": "soon", "--admin-file": "/gone/admin"},
    "mooring-discover": {"--source": "nowhere", "--redis": "none", "--admin-file": "/gone/admin"},
    "mooring-proxy": {"--drain-seconds": "soon", "--listen": "everywhere", "--admin-file": "/gone/admin"},
}


@pytest.fixture(scope="module")
def containers(mooring_images: None) -> Iterator[Hardened]:
    """Give a way to run containers of the images as the sources are now."""
    with hardened() as made:
        yield made


@pytest.fixture(scope="module")
def servers(containers: Hardened) -> Mapping[str, Container]:
    """Run etcd and Redis, under these names, until both are healthy."""
    running = {name: containers.run(f"mooring-{name}", name=name) for name in ("etcd", "redis")}
    for server in running.values():
        await_health(server, "healthy")
    return running


@pytest.fixture(scope="module")
def told(containers: Hardened) -> Mapping[str, Mapping[str, Any]]:
    """Return what each part's Python tells of its image."""
    asked = sorted(OTHERS.union(*OWN.values()))
    outcomes = {image: containers.outcome(image, "-c", TELLING, *asked, entrypoint=["python3"]) for image in PARTS}
    assert {status for status, _ in outcomes.values()} == {0}, outcomes
    return {image: json.loads(text) for image, (_, text) in outcomes.items()}


@pytest.fixture(scope="module")
def looked(containers: Hardened) -> Mapping[str, list[str]]:
    """Return who one is in each image, and then the files that a build could have left; in the base too."""
    images = (*MOORING, f"{REPOSITORY}:{TAG}")
    return {image: containers.outcome(image, "-c", LOOKING, entrypoint=["sh"])[1].split() for image in images}


def attributes(containers: Hardened, image: str) -> Mapping[str, Any]:
    """Return what Docker knows about an image."""
    known: Mapping[str, Any] = containers.client.images.get(image).attrs
    return known


# ---------------------------------------------------------------------------------------------------- what is in them
@pytest.mark.parametrize("image", PARTS)
def test_a_part_has_its_own_libraries_and_no_other(image: str, told: Mapping[str, Mapping[str, Any]]) -> None:
    """What another part needs cannot even be imported, nor what only a build needs."""
    assert set(told[image]["importable"]) == OWN[image]


@pytest.mark.parametrize("image", PARTS)
def test_what_a_part_stands_on_is_what_is_pinned(image: str, told: Mapping[str, Mapping[str, Any]]) -> None:
    """Every library has the version of constraints.txt, and nothing is installed by a path to its source."""
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    versions = {re.sub("[-_.]+", "-", name).lower(): number for name, number in told[image]["versions"].items()}
    assert {name for name in versions if name.startswith("mooring")} == {"mooring", image}
    foreign = {name: number for name, number in versions.items() if not name.startswith("mooring")}
    assert foreign.items() <= pinned.items()
    assert told[image]["editable"] == []


@pytest.mark.parametrize("image", PARTS)
def test_everything_is_compiled(image: str, told: Mapping[str, Mapping[str, Any]]) -> None:
    """A root that cannot be written never gets what was not compiled when the image was made."""
    assert told[image]["not compiled"] == []


@pytest.mark.parametrize("image", MOORING)
def test_nothing_of_the_build_is_left(image: str, looked: Mapping[str, list[str]], containers: Hardened) -> None:
    """No authorities of who built it, neither in files nor in the history; no pip, no compiler, no package lists."""
    assert set(looked[image][1:]) - set(looked[f"{REPOSITORY}:{TAG}"]) == set()
    assert "CERTIFICATE" not in json.dumps(containers.client.images.get(image).history())


@pytest.mark.parametrize("image", MOORING)
def test_nobody_is_root(image: str, looked: Mapping[str, list[str]]) -> None:
    """The user has a fixed number, by which volumes know him."""
    assert looked[image][0] == USERS[image]


@pytest.mark.parametrize("image", PARTS)
def test_a_part_is_small(image: str, containers: Hardened, measured: Callable[[str], None]) -> None:
    """Beyond the interpreter, which all parts share, an image takes little; how little is printed."""
    layers = containers.client.images.get(image).history()[::-1]
    filled = [layer["Size"] for layer in layers if layer["Size"]]
    beyond = sum(filled[COMMON_LAYERS:]) / 1e6
    measured(f"{image}: {beyond:.1f} MB beyond the {sum(filled[:COMMON_LAYERS]) / 1e6:.0f} MB that all parts share")
    assert beyond <= MOST_MEGABYTES[image]


def test_the_parts_share_their_base_and_their_interpreter(containers: Hardened) -> None:
    """Base and interpreter are the same layers in all three, so a host has them once."""
    layers = {tuple(attributes(containers, image)["RootFS"]["Layers"][:COMMON_LAYERS]) for image in PARTS}
    assert len(layers) == 1


@pytest.mark.parametrize("image", MOORING)
def test_an_image_says_what_it_is(image: str, containers: Hardened) -> None:
    """Its labels are those of the Open Container Initiative; etcd and Redis are no newer with each of our commits."""
    labels = attributes(containers, image)["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == image
    assert labels["org.opencontainers.image.description"].endswith(".")
    assert bool(labels.get("org.opencontainers.image.revision")) == (image in PARTS)
    assert labels.get("org.opencontainers.image.version") == (version(image) if image in PARTS else None)


# ------------------------------------------------------------------------------------------------- how they are run
@pytest.mark.parametrize("image", PARTS)
def test_any_command_can_be_given(image: str, containers: Hardened) -> None:
    """What follows the image's name is what follows `mooring`."""
    assert containers.outcome(image, "--version") == (0, f"mooring, version {version('mooring')}\n")


@pytest.mark.parametrize("image", PARTS)
def test_a_wrong_configuration_is_told_whole(image: str, containers: Hardened) -> None:
    """Every problem at once, each by its option; then status 2."""
    prefix = image.upper().replace("-", "_")
    environment = {f"{prefix}{option[1:].upper().replace('-', '_')}": text for option, text in WRONG[image].items()}
    status, text = containers.outcome(image, environment=environment)
    assert status == 2
    assert set(re.findall(r"^  - .*?(--[a-z-]+)", text, re.MULTILINE)) == WRONG[image].keys()


@pytest.mark.parametrize("image", PARTS)
def test_a_part_is_stopped_in_order(image: str, containers: Hardened) -> None:
    """As the first process of a container, with nobody before it, it ends well on SIGTERM, whoever is away."""
    registry = "etcd://192.0.2.1:2379/services"
    known = {"MOORING_DISCOVER_SOURCE": registry, "MOORING_REGISTER_REGISTRY": registry}
    container = containers.run(image, environment=known)
    wait_until(lambda: HAS_BEGUN.search(container.logs().decode()), lambda: container.logs().decode(), START_SECONDS)
    assert end(container) == 0


def test_a_part_is_stopped_before_it_has_begun(containers: Hardened, tmp_path: Path) -> None:
    """SIGTERM ends it also while it still reads its configuration: here, a file that never comes to an end."""
    catalog = tmp_path / "catalog.json"
    os.mkfifo(catalog)
    tmp_path.chmod(0o755)
    catalog.chmod(0o644)
    container = containers.run(
        "mooring-proxy",
        environment={"MOORING_PROXY_CATALOG": "/etc/mooring/catalog.json"},
        volumes={str(catalog): {"bind": "/etc/mooring/catalog.json", "mode": "ro"}},
    )
    opened: list[int] = []
    wait_until(lambda: _opened_for_writing(catalog, opened), "the proxy to read the file", START_SECONDS)
    try:
        assert end(container) == 0
    finally:
        os.close(opened[0])


def _opened_for_writing(pipe: Path, opened: list[int]) -> bool:
    """Open a pipe for writing; the system refuses that while nobody reads it."""
    try:
        opened.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def test_a_proxy_without_root_listens_below_1024(containers: Hardened) -> None:
    """With NET_BIND_SERVICE, and where the kernel asks for it, as it does in a host's own network."""
    proxy = containers.run("mooring-proxy", environment={"MOORING_PROXY_LISTEN": "80=web"}, **LISTENING)
    wait_until(lambda: _connects(address_of(proxy), 80), lambda: proxy.logs().decode(), START_SECONDS)
    assert end(proxy) == 0


def test_a_proxy_that_may_not_listen_below_1024_runs_and_says_so(containers: Hardened) -> None:
    """Without the capability it starts all the same, and names the port that it could not have."""
    denied = {**LISTENING, "cap_add": []}
    proxy = containers.run("mooring-proxy", environment={"MOORING_PROXY_LISTEN": "80=web 8080=web"}, **denied)
    wait_until(lambda: _connects(address_of(proxy), 8080), lambda: proxy.logs().decode(), START_SECONDS)
    wait_until(lambda: "cannot listen, will try again" in proxy.logs().decode(), lambda: proxy.logs().decode())
    assert not _connects(address_of(proxy), 80)
    assert end(proxy) == 0


def _connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


# -------------------------------------------------------------------------------------------------------- their health
def test_health_is_readiness(containers: Hardened, servers: Mapping[str, Container]) -> None:
    """The whole line is healthy; without Redis discover is not, and says why; with Redis it is again."""
    register = containers.run(
        "mooring-register",
        environment={"MOORING_REGISTER_REGISTRY": "etcd://etcd:2379/services", "MOORING_REGISTER_IP": "192.0.2.1"},
        volumes={str(SOCKET): {"bind": str(SOCKET), "mode": "rw"}},
        group_add=[SOCKET.stat().st_gid],
    )
    discover = containers.run(
        "mooring-discover",
        environment={
            "MOORING_DISCOVER_SOURCE": "etcd://etcd:2379/services",
            "MOORING_DISCOVER_REDIS": "redis://redis:6379/0",
            "MOORING_DISCOVER_HOLD_SECONDS": "0",
        },
    )
    proxy = containers.run("mooring-proxy", environment={"MOORING_PROXY_REDIS": "redis://redis:6379/0"})
    for part in (register, discover, proxy):
        await_health(part, "healthy")
        assert last_check(part) == "ready"
    servers["redis"].stop()
    await_health(discover, "unhealthy")
    assert "redis" in last_check(discover).lower()
    servers["redis"].start()
    await_health(discover, "healthy")


def test_a_register_outside_the_sockets_group_says_so(containers: Hardened, servers: Mapping[str, Container]) -> None:
    """It is unhealthy with the reason, and goes on asking."""
    del servers
    register = containers.run(
        "mooring-register",
        environment={"MOORING_REGISTER_REGISTRY": "etcd://etcd:2379/services"},
        volumes={str(SOCKET): {"bind": str(SOCKET), "mode": "rw"}},
    )
    wait_until(lambda: "Permission denied" in last_check(register), lambda: last_check(register), START_SECONDS)


# ------------------------------------------------------------------------------------------------- etcd's and Redis's
def _printed(container: Container, *command: str) -> str:
    status, output = container.exec_run(list(command))
    assert isinstance(output, bytes)
    assert status == 0, output
    return output.decode().strip()


def test_etcd_is_kept_small(containers: Hardened, servers: Mapping[str, Container]) -> None:
    """It compacts by itself, and has a quota: asked of the running etcd."""
    etcd = servers["etcd"]
    with urlopen(f"http://{address_of(etcd)}:2379/metrics", timeout=5) as answer:
        metrics = answer.read().decode()
    assert re.search(r"^etcd_server_quota_backend_bytes 2\.147483648e\+09$", metrics, re.MULTILINE)
    (began,) = [line for line in etcd.logs().decode().splitlines() if '"starting an etcd server"' in line]
    known = json.loads(began)
    assert (known["auto-compaction-mode"], known["auto-compaction-retention"]) == ("periodic", "1h0m0s")


def test_redis_forgets_nothing(servers: Mapping[str, Container]) -> None:
    """Asked of the running Redis: it appends what it is told to a file, and drops nothing when it is full."""
    wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    said = {name: _printed(servers["redis"], "redis-cli", "CONFIG", "GET", name).split()[-1] for name in wanted}
    assert said == wanted


@pytest.mark.parametrize(
    ("image", "data", "write", "read"),
    [
        ("mooring-etcd", "/var/lib/etcd", "etcdctl put kept it", "etcdctl get --print-value-only kept"),
        ("mooring-redis", "/var/lib/redis", "redis-cli SET kept it", "redis-cli GET kept"),
    ],
)
def test_data_outlive_the_container(image: str, data: str, write: str, read: str, containers: Hardened) -> None:
    """A container is replaced by another on the same volume, and what the first was told is there."""
    mounted = {containers.volume(): {"bind": data, "mode": "rw"}}
    first = containers.run(image, volumes=mounted)
    await_health(first, "healthy")
    _printed(first, *write.split())
    assert end(first) == 0
    second = containers.run(image, volumes=mounted)
    await_health(second, "healthy")
    assert _printed(second, *read.split()) == "it"
