"""The whole line with real containers: what starts is reached, what stops is left, and nobody asking notices.

One story, told in order on one running line, because that is how a line runs: each test goes on where the one before
ended. The load runs through all of it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import product

import pytest
from docker.models.containers import Container

from mooring.facts import InstanceAdded, InstanceChanged, InstanceRemoved, seen_docker
from mooring.model import Address, State
from tests.checker import check
from tests.e2e.line import TTL_SECONDS, Line, running_line
from tests.e2e.whoamis import Whoamis, bridge_gateway, whoamis
from tests.engine_doors import Haproxy
from tests.load import Load
from tests.waiting import holds_for, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.e2e, pytest.mark.haproxy, pytest.mark.timeout(150)]

RATE = 200.0
IDLE_SECONDS = 3.0
# Two runs on one engine do not meet.
SERVICE = f"e2e-web-{os.getpid()}"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Run the whole line against the real engine, behind a proxy as people put one before it: read-only, impatient."""
    with Haproxy(tmp_path_factory.mktemp("door"), idle_seconds=IDLE_SECONDS) as door:
        # What others do on this engine meanwhile is none of this line's business.
        own = ["--explicit", "--filter", f"name={SERVICE}-*"]
        options = ["--docker", f"tcp://127.0.0.1:{door.port}", "--ip", bridge_gateway(), *own]
        with running_line(tmp_path_factory.mktemp("line"), options) as running:
            yield running


@pytest.fixture(scope="module")
def web(line: Line, whoami_image: str) -> Iterator[Whoamis]:
    """Give the service whose containers the tests start and stop."""
    with whoamis(whoami_image, SERVICE, line.publish) as service:
        yield service


@pytest.fixture(scope="module")
def containers(web: Whoamis) -> dict[str, Container]:
    """Start the first three."""
    return {name: web.start(name) for name in ("one", "two", "three")}


@pytest.fixture(scope="module")
def load(line: Line, containers: dict[str, Container]) -> Iterator[Load]:
    """Ask both proxies all the time, once they answer at all."""
    with Load(line.targets, RATE, "first-contact") as first:
        first.await_answers(lambda seen: {target for target, _ in seen} == set(line.targets))
    with Load(line.targets, RATE) as running:
        yield running


def _everyone(line: Line, *instances: str) -> set[tuple[Address, str]]:
    return set(product(line.targets, instances))


def _facts(line: Line, service: str = SERVICE) -> list[InstanceAdded | InstanceChanged | InstanceRemoved]:
    facts = (entry.fact for entry in line.entries())
    return [
        fact
        for fact in facts
        if isinstance(fact, InstanceAdded | InstanceChanged | InstanceRemoved) and fact.instance.service == service
    ]


def _await_only(load: Load, line: Line, *instances: str) -> float:
    """Wait until for a while exactly these answered, from both proxies."""
    return load.await_answers(
        lambda seen: sum(seen.values()) >= RATE / 2 and set(seen) == _everyone(line, *instances), seconds=20
    )


def test_three_containers_start_and_all_three_answer_through_both_proxies(line: Line, load: Load) -> None:
    """What starts is reached: three facts, three instances, two proxies."""
    _await_only(load, line, "one", "two", "three")
    assert [type(fact) for fact in _facts(line)] == [InstanceAdded] * 3


def test_the_stream_reads_like_a_log(line: Line, containers: dict[str, Container], load: Load) -> None:
    """`redis-cli XREVRANGE` shows what happened, without another tool."""
    command = ["redis-cli", "-p", str(line.redis.port), "XREVRANGE", "mooring:events", "+", "-", "COUNT", "5"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for word in (
        "type",
        "instance-added",
        "service",
        SERVICE,
        "state",
        "up",
        "cause",
        "started",
        "address",
        "seen_docker",
    ):
        assert word in shown


def test_a_stopped_container_is_left_without_a_failed_request(
    line: Line, load: Load, containers: dict[str, Container]
) -> None:
    """`docker stop`: drained on the signal, withdrawn when it died; two remain and nobody noticed."""
    known = len(_facts(line))
    containers["one"].stop()
    _await_only(load, line, "two", "three")
    assert load.failures == ()
    happened = _facts(line)[known:]
    assert isinstance(happened[-1], InstanceRemoved)
    draining = [fact for fact in happened if isinstance(fact, InstanceChanged)]
    assert [fact.instance.state for fact in draining] == [State.DRAINING]
    assert len(happened) == 2


def test_a_killed_container_takes_only_the_requests_that_had_reached_it(
    line: Line, load: Load, web: Whoamis, containers: dict[str, Container], measured: Callable[[str], None]
) -> None:
    """`kill -9`: one fact, and only requests whose bytes had gone to it are unanswered.

    Most are in its own log. A kernel accepts connections and bytes for a process that has not looked yet; of those only
    the proxy can tell that it had sent them there.
    """
    known = len(_facts(line))
    killed = Address(bridge_gateway(), web.published_port(containers["two"]))
    containers["two"].kill("SIGKILL")
    _await_only(load, line, "three")
    lost, received, swallowed = load.failures, web.received(containers["two"]), line.swallowed(killed)
    logged = [failure for failure in lost if failure.request_id in received]
    sent = [failure for failure in lost if failure not in logged and failure.port in swallowed]
    unexplained = [failure for failure in lost if failure not in logged and failure not in sent]
    measured(
        f"kill -9 at {RATE:.0f} requests/s: of {len(load.outcomes)} requests lost: {len(logged)} that its log shows,"
    )
    measured(f"  {len(sent)} that its kernel had taken and it had not read yet, {len(unexplained)} others")
    assert unexplained == []
    assert [type(fact) for fact in _facts(line)[known:]] == [InstanceRemoved]


def test_a_restarted_container_is_reached_at_its_new_port_only(
    line: Line, load: Load, web: Whoamis, containers: dict[str, Container]
) -> None:
    """A container that comes back elsewhere is exactly one instance, at the new address."""
    before, lost = web.published_port(containers["three"]), len(load.failures)
    containers["one"].start()
    _await_only(load, line, "one", "three")
    known = len(_facts(line))
    containers["three"].restart()
    _await_only(load, line, "one", "three")
    after = web.published_port(containers["three"])
    assert after != before
    with line.stream() as stream:
        ports = {one.name: one.address.port for one in stream.catalog().services[SERVICE].values()}
    assert ports[f"/{SERVICE}-three"] == after
    assert len(ports) == 2
    kinds = [type(fact) for fact in _facts(line)[known:]]
    assert kinds == [InstanceChanged, InstanceRemoved, InstanceAdded]
    assert len(load.failures) == lost


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGKILL"])
def test_a_register_that_comes_back_in_time_writes_nothing(line: Line, load: Load, ending: str) -> None:
    """Restarted before its lease ends, register adopts its keys: no write, no fact, no failed request."""
    revisions, facts, lost = line.revisions(), _facts(line), len(load.failures)
    if ending == "SIGTERM":
        line.register.stop()
    else:
        line.register.kill()
    line.register.start()
    # Past the end of the lease as it was when register ended.
    holds_for(TTL_SECONDS + 2, lambda: line.revisions() == revisions, "no instance was written")
    assert _facts(line) == facts
    assert len(load.failures) == lost


def test_a_discover_that_is_killed_continues_its_stream(line: Line, load: Load) -> None:
    """Killed and restarted, discover appends one epoch-began and no other entry; the catalog is the stream's fold."""
    before, lost = line.entries(), len(load.failures)
    line.discover.kill()
    line.discover.start()
    wait_until(lambda: line.entries()[-1].sequence > before[-1].sequence, "the next epoch")
    after = line.entries()
    assert after[: len(before)] == before
    assert [entry.fact.type for entry in after[len(before) :]] == ["epoch-began"]
    with line.stream() as stream:
        check(stream)
    assert len(load.failures) == lost


def test_a_redis_that_is_emptied_and_refilled_is_noticed_by_every_proxy(line: Line, load: Load) -> None:
    """Emptied under blocked readers and refilled past their cursors, it is read anew, and nobody asking notices."""
    lost = len(load.failures)
    with line.stream() as stream:
        head = stream.head()
        assert head is not None
        subprocess.run(["redis-cli", "-p", str(line.redis.port), "FLUSHALL"], check=True, capture_output=True)
        wait_until(lambda: (now := stream.head()) is not None and now.complete, "a complete stream")
        now = stream.head()
        assert now is not None
        assert now.incarnation != head.incarnation
        check(stream)
    wait_until(
        lambda: {proxy.state()["incarnation"] for proxy in line.proxies} == {now.incarnation},
        "the proxies to start over",
    )
    _await_only(load, line, "one", "three")
    assert len(load.failures) == lost


def test_an_etcd_that_is_away_for_a_minute_takes_nothing_with_it(
    line: Line, load: Load, web: Whoamis, containers: dict[str, Container]
) -> None:
    """A minute without etcd: nothing is withdrawn; what happened meanwhile is there soon after it is back."""
    facts, lost = _facts(line), len(load.failures)
    line.etcd.stop()
    four = web.start("four")
    holds_for(60, lambda: _facts(line) == facts, "nothing was added or withdrawn")
    line.etcd.start()
    _await_only(load, line, "one", "three", "four")
    assert [type(fact) for fact in _facts(line)[len(facts) :]] == [InstanceAdded]
    assert len(load.failures) == lost
    four.stop()
    _await_only(load, line, "one", "three")


def test_a_broken_label_is_reported_and_harms_nobody_else(line: Line, load: Load, web: Whoamis) -> None:
    """A label that cannot be meant is counted and named in the log; the other containers go on."""
    reported = line.register.metric("mooring_register_problems_total")
    web.start("broken", SERVICE_NAME="two//slashes")
    wait_until(lambda: line.register.metric("mooring_register_problems_total") > reported, "the error to be counted")
    assert "two//slashes" in line.register.log.read_text()
    _await_only(load, line, "one", "three")


def test_a_register_that_stays_dead_takes_its_instances_with_it(line: Line, load: Load) -> None:
    """Killed for good: instances stay until the lease ends, then go; back again, they are there again."""
    killed = time.time()
    line.register.kill()
    wait_until(lambda: not line.revisions(), "the lease to end", TTL_SECONDS * 3)
    assert time.time() - killed > TTL_SECONDS * 0.6
    wait_until(lambda: isinstance(_facts(line)[-1], InstanceRemoved), "the instances to be removed")
    line.register.start()
    _await_only(load, line, "one", "three")


def test_convergence_is_measured_from_docker_to_both_proxies(
    line: Line, web: Whoamis, measured: Callable[[str], None]
) -> None:
    """Every docker event of ten starts and ten kills is applied in both proxies; how soon is printed."""
    service = f"e2e-measured-{os.getpid()}"
    for number in range(10):
        container = web.start(f"measured-{number}", SERVICE_NAME=service, SERVICE_PUBLISH=str(line.publish + 1))
        wait_until(lambda: len(_facts(line, service)) % 2, "the start to be in the stream")
        container.kill("SIGKILL")
        wait_until(lambda: len(_facts(line, service)) % 2 == 0, "the end to be in the stream")
    newest = line.entries()[-1].sequence
    wait_until(lambda: all(newest in line.applied(proxy) for proxy in line.proxies), "the proxies to apply all")
    applied = [line.applied(proxy) for proxy in line.proxies]
    delays_ms = [
        1000 * (max(_applied_at(times, entry.sequence) for times in applied) - seen)
        for entry in line.entries()
        if isinstance(entry.fact, InstanceAdded | InstanceRemoved)
        and entry.fact.instance.service == service
        and (seen := seen_docker(entry.fact)) is not None
    ]
    median, late = statistics.median(delays_ms), statistics.quantiles(delays_ms, n=100)[98]
    measured(
        f"convergence, docker event to both proxies: median {median:.1f} ms, p99 {late:.1f} ms, n={len(delays_ms)}"
    )
    assert len(delays_ms) == 20


def _applied_at(times: Mapping[int, float], sequence: int) -> float:
    """Return when an entry was applied: with the first table that is at it or past it."""
    return min(at for applied, at in times.items() if applied >= sequence)
