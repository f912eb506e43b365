"""The stack of containers: up from a clean checkout, scaled, restarted, brought up to date and killed, under load.

One story, told in order on one running stack: each test goes on where the one before ended. The load runs from the
first test that asks for it to the last, at a rate at which a moment without a listener would show.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from mooring.entries import Entry
from mooring.model import Address
from tests.compose import SERVICES, Stack, stack_in, traces
from tests.e2e import looking
from tests.e2e.whoamis import Whoamis, whoamis
from tests.load import Load, Outcome
from tests.requesting import TIMEOUT_SECONDS
from tests.servers import free_port
from tests.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.compose, pytest.mark.e2e, pytest.mark.alone]

RATE = 500.0
SERVICE = f"stack-web-{os.getpid()}"
INSTANCES = ("one", "two", "three")
# What the stream may say of a part's restart, nothing where nothing is said here: etcd may be away for long enough.
TOLD = {"discover": [["epoch-began"]], "etcd": [[], ["source-lost", "source-recovered"]]}


@pytest.fixture(scope="module")
def web(whoami_image: str) -> Iterator[Whoamis]:
    """Run three containers that ask for a port, while there is no stack."""
    with whoamis(whoami_image, SERVICE, free_port()) as service:
        for name in INSTANCES:
            service.start(name)
        yield service


@pytest.fixture(scope="module")
def before(web: Whoamis) -> Mapping[str, frozenset[str]]:
    """Look at the machine while there is no stack."""
    return traces(web.client)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Give the stack; the tests start it."""
    with stack_in(tmp_path_factory.mktemp("checkout"), f"stack-{os.getpid()}") as made:
        yield made


@pytest.fixture(scope="module")
def load(stack: Stack, web: Whoamis) -> Iterator[Load]:
    """Ask the service's port on this host all the time."""
    with Load([Address("127.0.0.1", web.publish)], RATE) as running:
        yield running


def _await_all(load: Load) -> None:
    """Wait until all instances answer."""
    load.await_answers(lambda seen: {instance for _, instance in seen} == set(INSTANCES))


@contextmanager
def _watched(load: Load, what: str, measured: Callable[[str], None]) -> Iterator[list[Outcome]]:
    """Collect the failures of requests sent from now until a moment after the end, and print how long one waited."""
    failures: list[Outcome] = []
    began = time.time()
    yield failures
    ended = time.time()
    # Who was sent just before the end has an outcome by then, whatever it is.
    wait_until(lambda: load.since(ended + TIMEOUT_SECONDS), "the last request to have ended")
    outcomes = load.since(began)
    failures += [outcome for outcome in outcomes if outcome.error]
    longest = max(outcome.seconds for outcome in outcomes)
    text = (
        f"{what}, {RATE:.0f} connections/s: {len(failures)} of {len(outcomes)} lost, the longest took {longest:.2f} s"
    )
    if failures:
        seconds = [failure.at - began for failure in failures]
        text += f"; sent {min(seconds):.2f} to {max(seconds):.2f} s after the beginning"
        text += f", {Counter(failure.error for failure in failures)}"
    measured(text)


def test_make_up_does_not_wait_for_a_first_instance(
    stack: Stack, whoami_image: str, measured: Callable[[str], None]
) -> None:
    """On a host without a service `make up` says so and is done; the first container is reached soon after it."""
    began = time.monotonic()
    assert "nothing is registered yet" in stack.make("up", MOORING_EXPLICIT="true")
    took = time.monotonic() - began
    with whoamis(whoami_image, SERVICE, free_port()) as first:
        first.start("first")
        with Load([Address("127.0.0.1", first.publish)], 50, "first-instance") as load:
            reached = load.await_answers(bool)
    measured(
        f"make up, nothing registered, images built or found: {took:.1f} s; a first instance after {reached:.2f} s"
    )
    stack.make("down")


def test_make_up_starts_everything_from_a_clean_checkout(
    before: Mapping[str, frozenset[str]], stack: Stack, web: Whoamis, measured: Callable[[str], None]
) -> None:
    """After `make up` every part is healthy, and what runs on this host is reached on its service's port."""
    began = time.monotonic()
    stack.make("up")
    took = time.monotonic() - began
    assert [service for service in SERVICES if not stack.healthy(service)] == []
    with Load([Address("127.0.0.1", web.publish)], 50, "first-contact") as first:
        _await_all(first)
    assert first.failures == ()
    measured(f"make up, images built or found: {took:.1f} s")


@pytest.mark.parametrize("service", ["discover", "proxy"])
def test_whoever_reads_the_stream_can_be_asked_how_it_stands(stack: Stack, service: str) -> None:
    """`docker compose exec` of status, events and verify needs no option: they read what the part reads."""
    assert "all is well" in stack.compose("exec", "-T", service, "mooring", "status")
    assert SERVICE in stack.compose("exec", "-T", service, "mooring", "events", "--type", "instance-added")
    assert "well: entries 1" in stack.compose("exec", "-T", service, "mooring", "verify")


def test_proxies_are_added_and_taken_away_without_a_lost_connection(
    stack: Stack, load: Load, measured: Callable[[str], None]
) -> None:
    """`--scale proxy=3` and back to 1: each of the three carries connections, and nobody is refused."""
    ports = [looking.PROXY_ADMIN_PORT + number for number in range(3)]
    with _watched(load, "scaled to 3 proxies and back to 1", measured) as failures:
        stack.compose("up", "--detach", "--wait", "--scale", "proxy=3")
        wait_until(lambda: all(looking.carries(port, SERVICE) for port in ports), "all three to carry connections")
        _await_all(load)
        stack.compose("up", "--detach", "--wait", "--scale", "proxy=1")
        _await_all(load)
    assert len(stack.containers("proxy")) == 1
    assert failures == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_restarted_part_costs_no_connection(
    stack: Stack, load: Load, measured: Callable[[str], None], service: str
) -> None:
    """`docker compose restart` of each part: nobody is refused, and the stream says no more than is new."""
    known, lives = looking.entries(stack), stack.started(service)
    with _watched(load, f"restart of {service}", measured) as failures:
        stack.compose("restart", service)
        wait_until(lambda: looking.answers(service), f"{service} to be ready")
        _await_all(load)
    assert stack.started(service).isdisjoint(lives)
    assert failures == []
    _assert_nothing_new(stack, known, service)


def _assert_nothing_new(stack: Stack, known: list[Entry], service: str) -> None:
    entries = looking.entries(stack)
    if service == "redis":
        # Another life of Redis is another incarnation: the same catalog, told anew.
        assert entries[-1].incarnation != known[-1].incarnation
    else:
        assert entries[: len(known)] == known
        told = [entry.fact.type for entry in entries[len(known) :]]
        assert told in TOLD.get(service, [[]])
    assert len(looking.catalog(stack, SERVICE)) == len(INSTANCES)


def test_another_build_takes_the_place_of_the_running_one_without_a_lost_connection(
    stack: Stack, load: Load, measured: Callable[[str], None]
) -> None:
    """`make up` after a rebuild replaces every container whose image is another, and nobody is refused."""
    images = _images(stack)
    with _watched(load, "make up with new images", measured) as failures:
        stack.make("up", "REVISION=another")
        _await_all(load)
    assert _replaced(images, _images(stack)) == {"register", "discover", "sockets", "proxy"}
    assert failures == []
    assert len(looking.catalog(stack, SERVICE)) == len(INSTANCES)


def test_compose_by_itself_brings_another_build_up_without_a_lost_connection(
    stack: Stack, load: Load, measured: Callable[[str], None]
) -> None:
    """`docker compose up` stops all that it replaces before it starts any of it: the holder of sockets stays."""
    images = _images(stack)
    with _watched(load, "docker compose up with new images", measured) as failures:
        stack.compose("build", MOORING_REVISION="a third")
        stack.compose("up", "--detach", "--wait", MOORING_REVISION="a third")
        _await_all(load)
    assert _replaced(images, _images(stack)) == {"register", "discover", "proxy"}
    assert failures == []
    assert len(looking.catalog(stack, SERVICE)) == len(INSTANCES)


def _images(stack: Stack) -> Mapping[str, set[str]]:
    return {service: {str(one.image.id) for one in stack.containers(service) if one.image} for service in SERVICES}


def _replaced(before: Mapping[str, set[str]], after: Mapping[str, set[str]]) -> set[str]:
    return {service for service, images in after.items() if images.isdisjoint(before[service])}


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_part_comes_back_by_itself(
    stack: Stack, load: Load, measured: Callable[[str], None], service: str
) -> None:
    """`kill -9` of each part: Docker starts it again, all is as before, and only a proxy takes connections with it."""
    lives = stack.started(service)
    with _watched(load, f"kill -9 of {service}", measured) as failures:
        stack.kill(service)
        killed = time.time()
        wait_until(lambda: stack.started(service) - lives and looking.answers(service), f"{service} to be back")
        _await_all(load)
    # Those that the proxy had accepted were sent before its end. All others wait for the next one.
    assert [failure for failure in failures if service != "proxy" or failure.at > killed] == []
    wait_until(lambda: looking.applied_by_all(stack, 1), "the proxy to know all")
    assert len(looking.catalog(stack, SERVICE)) == len(INSTANCES)


def test_convergence_is_measured_from_docker_to_the_proxies(
    stack: Stack, whoami_image: str, measured: Callable[[str], None]
) -> None:
    """Starts and kills of containers are applied by the proxies; how soon is printed."""
    service, delays_ms = f"stack-measured-{os.getpid()}", []
    with whoamis(whoami_image, service, free_port()) as others:
        for number in range(5):
            container = others.start(f"{number}")
            delays_ms.append(_applied_ms(stack, service, 2 * number + 1))
            container.kill("SIGKILL")
            delays_ms.append(_applied_ms(stack, service, 2 * number + 2))
    median, longest = statistics.median(delays_ms), max(delays_ms)
    measured(f"stack, docker event to proxy: median {median:.1f} ms, longest {longest:.1f} ms, n={len(delays_ms)}")


def _applied_ms(stack: Stack, service: str, number: int) -> float:
    """Wait until the proxy has applied the service's fact of this number, and return how long that took."""
    wait_until(lambda: len(looking.facts(stack, service)) == number, "the fact to be in the stream")
    sequence, seen = looking.facts(stack, service)[-1]
    wait_until(lambda: looking.applied_at(stack, sequence), "the proxy to apply it")
    return 1000 * (looking.applied_at(stack, sequence) - seen)


def test_what_is_kept_is_there_again(stack: Stack) -> None:
    """`make down KEEP=1` ends every container; the next `make up` goes on with the same etcd and the same Redis."""
    known, stored, epoch = looking.catalog(stack, SERVICE), looking.store_id(), looking.epoch(stack)
    stack.make("down", "KEEP=1")
    assert [service for service in SERVICES if stack.containers(service)] == []
    stack.make("up")
    assert looking.store_id() == stored
    wait_until(lambda: looking.epoch(stack) > epoch, "the next epoch of the same Redis")
    wait_until(lambda: looking.catalog(stack, SERVICE) == known, "the catalog")


def test_something_to_try_is_added(stack: Stack) -> None:
    """`make up DEMO=1` on a running stack: three small services answer in turn on one port."""
    port = free_port()
    stack.make("up", "DEMO=1", MOORING_WHOAMI_PORT=str(port))
    with Load([Address("127.0.0.1", port)], 50, "demo") as load:
        load.await_answers(lambda seen: {name for _, name in seen} == {"whoami-1", "whoami-2", "whoami-3"})


def test_make_down_leaves_nothing(stack: Stack, web: Whoamis, before: Mapping[str, frozenset[str]]) -> None:
    """No container, network, volume, packet filter rule, listening socket or interface is left of the stack."""
    assert {kind: left - before[kind] for kind, left in traces(web.client).items()} != {kind: set() for kind in before}
    stack.make("down")
    assert {kind: left - before[kind] for kind, left in traces(web.client).items()} == {kind: set() for kind in before}
