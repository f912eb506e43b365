"""The fixtures used everywhere: servers, names that keep tests apart, the Docker marker, Hypothesis profiles."""

import functools
import itertools
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import docker
import pytest
import structlog
from docker.errors import DockerException
from hypothesis import settings

from tests.consul import ConsulServer, why_no_consul
from tests.containers import images
from tests.engine_doors import why_no_program
from tests.servers import EtcdServer, RedisServer

ENGINE_TIMEOUT_SECONDS = 5
# Containers and whole pipelines start in seconds, not milliseconds, and the first test may have to wait for an image.
LONG_TEST_TIMEOUT_SECONDS = 300

# MOORING_HYPOTHESIS_PROFILE chooses one. No deadlines: a busy machine is not a fault of the code.
settings.register_profile("fast", max_examples=20, deadline=None)
settings.register_profile("default", max_examples=100, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, print_blob=True)
settings.register_profile("deep", max_examples=5000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("MOORING_HYPOTHESIS_PROFILE", "default"))

# A shell that runs us in the background has us ignore Ctrl-C, and what a process ignores its children ignore too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What a thread of a test logs after its capture has ended would stand between the dots.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

# What people have told other systems is no part of a test. Docker's variables are: they say where the engine is.
for variable in [name for name in os.environ if name in {"HOST_IP", "ETCD_HOST"} or name.startswith("CONSUL_")]:
    del os.environ[variable]

MEASURED = "measured"

_numbers = itertools.count(1)


@functools.cache
def why_no_engine() -> str | None:
    """Tell why containers cannot be run here; None if an engine answers."""
    try:
        client = docker.DockerClient.from_env(timeout=ENGINE_TIMEOUT_SECONDS)
        client.ping()
        client.close()
    except DockerException as error:
        return f"no Docker engine answers: {error}"
    return None


@functools.cache
def why_no_machines() -> str | None:
    """Tell why machines cannot be made here, see tests/machines.py; None if they can."""
    try:
        subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=True)
    except OSError as error:
        return f"no machines can be made: {error}"
    except subprocess.CalledProcessError as error:
        return f"no machines can be made: {error.stderr.strip()}"
    return None


@functools.cache
def why_no_compose() -> str | None:
    """Tell why stacks cannot be run here; None if Docker's client has Compose."""
    try:
        subprocess.run(["docker", "compose", "version"], capture_output=True, text=True, check=True)
    except OSError as error:
        return f"there is no Compose: {error}"
    except subprocess.CalledProcessError as error:
        return f"there is no Compose: {error.stderr.strip()}"
    return None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test with containers or a whole pipeline the time that these need, unless it says otherwise itself."""
    is_long = item.get_closest_marker("docker") or item.get_closest_marker("e2e")
    if is_long and not item.get_closest_marker("timeout"):
        item.add_marker(pytest.mark.timeout(LONG_TEST_TIMEOUT_SECONDS))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs what is not there, with the reason; fail it where that was demanded."""
    needed: dict[str, Callable[[], str | None]] = {
        "docker": why_no_engine,
        "compose": why_no_compose,
        "machines": why_no_machines,
        "consul": why_no_consul,
        "haproxy": functools.partial(why_no_program, "haproxy"),
        "sshd": functools.partial(why_no_program, "sshd"),
    }
    for marker, why_not in needed.items():
        if item.get_closest_marker(marker) and (reason := why_not()):
            if os.environ.get("MOORING_REQUIRE_DOCKER") == "1":
                pytest.fail(f"MOORING_REQUIRE_DOCKER=1, but {reason}", pytrace=False)
            pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured, in whichever process they ran."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])]
    figures = [text for one in reports if one.when == "call" for name, text in one.user_properties if name == MEASURED]
    if figures:
        terminalreporter.section("measured")
    for figure in figures:
        terminalreporter.line(figure)


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Give a way to print a figure at the end of the run."""
    return functools.partial(record_property, MEASURED)


@pytest.fixture
def namespace() -> str:
    """Give a name that no other test of this run uses: for key prefixes, Redis namespaces, services and hosts."""
    return f"test-{os.getpid()}-{next(_numbers)}"


@pytest.fixture(scope="session")
def etcd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """Run one etcd for all tests: each takes its own `namespace` in its keys, and none disturbs the server."""
    with EtcdServer(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run one Redis for all tests: each takes its own `namespace`, and none disturbs the server."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_etcd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """Run an etcd for one test, which may break it."""
    with EtcdServer(tmp_path_factory.mktemp("own-etcd")) as server:
        yield server


@pytest.fixture
def own_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run a Redis for one test, which may break it."""
    with RedisServer(tmp_path_factory.mktemp("own-redis")) as server:
        yield server


@pytest.fixture(scope="session")
def consul_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulServer]:
    """Run one Consul for all tests marked `consul`: each takes its own `namespace`, and none disturbs the server."""
    with ConsulServer(tmp_path_factory.mktemp("consul")) as server:
        yield server


@pytest.fixture
def own_consul_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulServer]:
    """Run a Consul for one test marked `consul`, which may break it."""
    with ConsulServer(tmp_path_factory.mktemp("own-consul")) as server:
        yield server


@pytest.fixture(scope="session")
def whoami_image() -> str:
    """Have the image that answers with who it is, for tests marked `docker`; its log is told in its module."""
    with images.engine() as client:
        images.ensure_whoami(client)
    return images.WHOAMI


@pytest.fixture(scope="session")
def mooring_images() -> None:
    """Have Mooring's five images as the sources are now, for tests marked `docker`."""
    with images.engine() as client:
        images.ensure_mooring(client)
