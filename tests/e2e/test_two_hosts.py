"""Two hosts, each with an engine and a stack of its own, on one registry: what is lost when one of them is.

One story, told in order, as one host would have it: each test goes on where the one before ended.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product

import pytest

from mooring.entries import Entry
from mooring.facts import InstanceAdded, InstanceRemoved, seen_docker
from tests.checker import check
from tests.e2e.hosts import TTL_SECONDS, Host, Hosts, InstanceFact, two_hosts
from tests.load import Load
from tests.waiting import holds_for, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.machines, pytest.mark.e2e, pytest.mark.alone]

RATE = 100.0
# `web` has an instance on both hosts, `local` on the second alone.
WEB, LOCAL, NEW = 8000, 8001, 8002
SERVICES = {WEB: "web", LOCAL: "local", NEW: "new"}
OF_TWO = {("two", "web"), ("two", "local")}
AT_FIRST = OF_TWO | {("one", "web")}
EVERYTHING = AT_FIRST | {("one", "new")}
# What becomes of the first host's instances on the second, each once: they leave, they come back.
LEFT = {f"instance-removed {service} on one: expired": 1 for service in ("web", "new")}
CAME = {f"instance-added {service} on one": 1 for service in ("web", "new")}
CONNECT_SECONDS = 1.0
GONE_SECONDS = 3 * TTL_SECONDS
BACK_SECONDS = 60.0


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, whoami_image: str, mooring_images: None) -> Iterator[Hosts]:
    """Run both hosts with their containers and their stacks."""
    with two_hosts(tmp_path_factory.mktemp("hosts")) as made:
        made.one.start("web", "web-one", WEB)
        made.two.start("web", "web-two", WEB)
        made.two.start("local", "local-two", LOCAL)
        made.up()
        yield made


def test_each_host_reaches_what_runs_on_the_other(hosts: Hosts, measured: Callable[[str], None]) -> None:
    """Whichever host is asked, instances on both answer, in turn."""
    _await(hosts.one, AT_FIRST, BACK_SECONDS)
    _await(hosts.two, AT_FIRST, BACK_SECONDS)
    targets = [hosts.one.at(WEB), hosts.two.at(WEB)]
    wanted = set(product(targets, ["web-one", "web-two"]))
    with Load(targets, RATE, "first-contact") as first:
        first.await_answers(lambda seen: set(seen) == wanted)
    with Load([*targets, hosts.one.at(LOCAL)], RATE) as load:
        load.await_answers(lambda seen: sum(seen.values()) >= 3 * RATE)
    assert load.failures == ()
    counts = Counter((one.target, one.instance) for one in load.outcomes)
    for target in targets:
        assert abs(counts[target, "web-one"] - counts[target, "web-two"]) <= 1
    assert counts[hosts.one.at(LOCAL), "local-two"] > 0


def test_a_host_is_known_to_the_other_soon(hosts: Hosts, measured: Callable[[str], None]) -> None:
    """An instance that starts on one host is in the other's stream; how soon is printed."""
    known = hosts.two.entries()[-1].sequence
    hosts.one.start("new", "new-one", NEW)
    wait_until(lambda: ("one", "new") in hosts.two.knows(), "the other host to know it")
    (added,) = hosts.two.entries()[known:]
    assert isinstance(added.fact, InstanceAdded)
    seen = seen_docker(added.fact)
    assert seen is not None
    measured(f"two hosts: docker event on one to the stream of the other {1000 * (added.at - seen):.1f} ms")


def test_restarting_a_whole_stack_adds_nothing_to_the_other_hosts_stream(hosts: Hosts) -> None:
    """All parts of one host restarted at once: the other's stream has not one entry more, past the lease's end too."""
    # Its own stream may have learnt of the newcomer later than the other's.
    _await(hosts.one, EVERYTHING, BACK_SECONDS)
    before, known = hosts.one.entries(), hosts.one.facts()
    hosts.two.restart()
    holds_for(
        TTL_SECONDS + 2,
        lambda: hosts.one.entries() == before,
        lambda: f"the other's stream is as it was; since then: {dict(_happened(hosts.one, known))}",
    )
    _await(hosts.two, EVERYTHING, BACK_SECONDS)
    assert hosts.one.entries() == before


def test_a_host_without_power_leaves_and_takes_nothing_with_it(hosts: Hosts, measured: Callable[[str], None]) -> None:
    """Its instances are removed once its lease ended; of the other's requests only those lost that were with it."""
    before = hosts.two.facts()
    with Load([hosts.two.at(WEB), hosts.two.at(LOCAL)], RATE) as load:
        load.await_answers(lambda seen: {name for _, name in seen} == {"web-one", "web-two", "local-two"})
        hosts.one.engine.power_off()
        off = time.time()
        wait_until(lambda: hosts.two.knows().keys() == OF_TWO, "its instances to leave", GONE_SECONDS)
        left_seconds = time.time() - off
        load.await_answers(lambda seen: sum(seen.values()) >= RATE)
    assert _happened(hosts.two, before) == LEFT
    others = [one for one in load.failures if one.at > off or one.target == hosts.two.at(LOCAL)]
    measured(f"host without power: its instances left after {left_seconds:.1f} s, with a TTL of {TTL_SECONDS} s;")
    slow = [one for one in load.outcomes if one.instance and one.seconds > CONNECT_SECONDS]
    measured(f"  of {len(load.outcomes)} requests {len(load.failures)} lost, {len(others)} of them not with the host,")
    measured(f"  and {len(slow)} waited for it {CONNECT_SECONDS} s before another answered")
    assert others == []
    _assert_nobody_strange(load)


def test_a_host_that_has_power_again_is_as_it_was(hosts: Hosts, measured: Callable[[str], None]) -> None:
    """Engine, stack and containers start by themselves, in any order; each instance is added once, and nothing else.

    Its containers have other ports than before: its proxies must not go by the catalog that its Redis has kept.
    """
    before = hosts.two.facts()
    with Load([hosts.one.at(WEB), hosts.one.at(NEW)], RATE, "while it starts") as early:
        hosts.one.power_on()
        on = time.time()
        _await(hosts.two, EVERYTHING, seconds=BACK_SECONDS)
        measured(f"host with power again: its instances were back after {time.time() - on:.1f} s")
        wait_until(lambda: hosts.one.knows() == hosts.two.knows(), "both hosts to know the same", BACK_SECONDS)
        early.await_answers(lambda seen: {name for _, name in seen} >= {"web-one", "new-one"})
    assert _happened(hosts.two, before) == CAME
    _assert_nobody_strange(early)
    wanted = set(product([hosts.one.at(WEB), hosts.two.at(WEB)], ["web-one", "web-two"]))
    with Load([hosts.one.at(WEB), hosts.two.at(WEB)], RATE) as load:
        load.await_answers(lambda seen: set(seen) == wanted)
    _assert_nobody_strange(load)


def test_a_host_cut_off_from_the_registry_serves_on(hosts: Hosts, measured: Callable[[str], None]) -> None:
    """Its lease ends and the other host turns away; its own proxies go on by their last table, and lose nothing."""
    before, own_before, known = hosts.two.facts(), hosts.one.entries(), hosts.one.knows()
    with Load([hosts.one.at(WEB), hosts.one.at(LOCAL), hosts.two.at(WEB)], RATE) as load:
        with hosts.cut_off(hosts.one):
            cut = time.time()
            wait_until(lambda: hosts.two.knows().keys() == OF_TWO, "the other host to leave it", GONE_SECONDS)
            left_seconds = time.time() - cut
            both = {(hosts.one.at(WEB), "web-one"), (hosts.one.at(WEB), "web-two")}
            load.await_answers(lambda seen: seen.keys() >= both and sum(seen.values()) >= 2 * RATE)
            assert hosts.one.knows() == known
        healed = time.time()
        _await(hosts.two, EVERYTHING)
        back_seconds = time.time() - healed
        wait_until(lambda: _types(hosts.one.entries()[len(own_before) :])["source-recovered"], "the host to hear again")
        load.await_answers(lambda seen: {name for _, name in seen} == {"web-one", "web-two", "local-two"})
    measured(f"host cut off from the registry: left after {left_seconds:.1f} s, back after {back_seconds:.1f} s;")
    measured(f"  of {len(load.outcomes)} requests through both hosts {len(load.failures)} lost")
    assert load.failures == ()
    _assert_nobody_strange(load)
    assert _happened(hosts.two, before) == {**LEFT, **CAME}
    own = _types(hosts.one.entries()[len(own_before) :])
    assert own["instance-removed"] == own["epoch-began"] == 0


def test_both_streams_are_legal_histories(hosts: Hosts) -> None:
    """After all of it each host's stream tells one story without a hole, and ends at the same catalog."""
    for host in (hosts.one, hosts.two):
        _await(host, EVERYTHING)
        with host.stream() as stream:
            check(stream)


def _await(host: Host, instances: set[tuple[str, str]], seconds: float = GONE_SECONDS) -> None:
    """Wait until a host's catalog holds exactly these."""
    wait_until(
        lambda: host.knows().keys() == instances,
        lambda: f"host {host.name} to know {instances}, it knows {host.knows()}",
        seconds,
    )


def _assert_nobody_strange(load: Load) -> None:
    """Assert that whoever answered is of the service that was asked."""
    strange = {
        (one.target.port, one.instance)
        for one in load.outcomes
        if one.instance and not one.instance.startswith(SERVICES[one.target.port])
    }
    assert strange == set()


def _happened(host: Host, before: list[InstanceFact]) -> Mapping[str, int]:
    """Count what happened to instances since then, in words: what, with whom, why if it was removed."""
    facts = host.facts()
    assert facts[: len(before)] == before
    return Counter(_told(fact) for fact in facts[len(before) :])


def _told(fact: InstanceFact) -> str:
    why = f": {fact.cause}" if isinstance(fact, InstanceRemoved) else ""
    return f"{fact.type} {fact.instance.service} on {fact.instance.host}{why}"


def _types(entries: Iterable[Entry]) -> Counter[str]:
    return Counter(entry.fact.type for entry in entries)
