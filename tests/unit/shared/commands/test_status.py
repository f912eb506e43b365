"""What `mooring status` decides and shows: every problem in words, and one screen that fits the document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve

from mooring.catalog import catalog_of
from mooring.commands.overview import (
    Overview,
    ProxyStanding,
    ServiceStanding,
    SourceStanding,
    first_lacking,
    proxy_of,
    services_of,
    sources_of,
    states_of,
)
from mooring.commands.problems import problems
from mooring.commands.status_forms import MOST_ROWS, document, screen
from mooring.model import Address, Instance, State
from mooring.redis.stream import Head, Lead

AT = datetime(2026, 11, 20, 15, 49, 53, tzinfo=UTC).timestamp()
LOST = SourceStanding("etcd://10.0.0.9:2379/services", "lost since 2026-11-20T15:46:50+00:00", "4711")
PROXY = ProxyStanding(
    id="host1:1936", host="host1", driver="relay", incarnation="life", sequence=120, behind=0, connections=12
)
BEHIND = evolve(PROXY, id="host3:1936", host="host3", sequence=100, behind=20, waiting_seconds=12.5, connections=7)
FROZEN = evolve(
    PROXY,
    id="host2:1936",
    host="host2",
    sequence=98,
    behind=22,
    waiting_seconds=60.0,
    connections=3,
    frozen="at entry life:98: entry 99-0: format 2, this Mooring reads 1",
)
WEB = ServiceStanding(name="web", instances=2, serving=2, ports=("8000/tcp",))
DB = ServiceStanding(name="db", instances=1, serving=0, ports=("5432/tcp",))
WELL = Overview(
    at=AT,
    head=Head(incarnation="life", epoch=3, sequence=120, complete=True),
    lead=Lead("host1:812:ab12", 3),
    sources=(SourceStanding("etcd://10.0.0.9:2379/services", "following", "4711"),),
    services=(WEB,),
    states={"up": 2},
    proxies=(PROXY,),
)
ILL = evolve(
    WELL,
    sources=(LOST,),
    services=(DB, WEB),
    states={"up": 2, "draining": 1},
    bindings=1,
    proxies=(FROZEN, BEHIND, PROXY),
)


def instance(service: str, name: str, state: State = State.UP, weight: int = 100) -> Instance:
    """Return an instance at some address."""
    return Instance(service=service, id=name, address=Address("10.0.0.5", 80), state=state, weight=weight)


CASES: list[tuple[str, Overview, str]] = [
    ("Redis is away", Overview(at=AT, failure="Redis x:1 is away"), "Redis x:1 is away"),
    ("the catalog is broken", evolve(WELL, failure="catalog field web|a: not JSON"), "catalog field web|a: not JSON"),
    ("nothing is there", evolve(WELL, head=None), "there is no stream: nothing was written yet, or Redis was emptied"),
    ("nobody leads", evolve(WELL, lead=None), "no discover leads: what happens now is not written"),
    (
        "a source was never listed",
        evolve(WELL, head=Head(incarnation="life", epoch=3, sequence=120)),
        "the catalog is not complete: not every source was listed and written yet",
    ),
    (
        "a source is away",
        evolve(WELL, sources=(LOST,)),
        f"source {LOST.name} is lost for 3 min, since 2026-11-20T15:46:50+00:00: what it said last stands",
    ),
    (
        "a source is away since nobody knows when",
        evolve(WELL, sources=(SourceStanding("s", "lost since then"),)),
        "source s is lost since then: what it said last stands",
    ),
    ("no proxy", evolve(WELL, proxies=()), "no proxy announces itself"),
    ("a proxy lags", evolve(WELL, proxies=(BEHIND,)), "proxy host3:1936 is 20 entries behind, for 12 s"),
    (
        "a proxy lags by one",
        evolve(WELL, proxies=(evolve(BEHIND, behind=1, waiting_seconds=3.0),)),
        "proxy host3:1936 is 1 entry behind, for 3 s",
    ),
    (
        "a proxy is in another life of the stream",
        evolve(WELL, proxies=(evolve(PROXY, behind=None, waiting_seconds=9.0),)),
        "proxy host1:1936 serves by an earlier incarnation of the stream, for 9 s",
    ),
    (
        "a proxy is frozen",
        evolve(WELL, proxies=(FROZEN,)),
        "the table of proxy host2:1936 is frozen at entry life:98: entry 99-0: format 2, this Mooring reads 1",
    ),
    (
        "a proxy serves by a stored table",
        evolve(WELL, proxies=(evolve(PROXY, is_stale=True),)),
        "proxy host1:1936 is stale: it serves by the table that an earlier run stored",
    ),
    (
        "a proxy has no table",
        evolve(WELL, proxies=(evolve(PROXY, sequence=None),)),
        "proxy host1:1936 has no table yet",
    ),
    ("a service is down", evolve(WELL, services=(DB,)), "service db has no instance that is up, of 1"),
    (
        "a service is gone",
        evolve(WELL, services=(evolve(DB, instances=0),)),
        "service db has no instance any more, its port 5432/tcp leads nowhere",
    ),
    ("one is suspect", evolve(WELL, states={"suspect": 1}), "1 instance is suspect: gone without a word"),
    ("some are suspect", evolve(WELL, states={"suspect": 4}), "4 instances are suspect: gone without a word"),
]


@pytest.mark.parametrize(("overview", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_problem_is_said_in_words(overview: Overview, said: str) -> None:
    """Each problem is one sentence, and nothing else is called a problem with it."""
    assert problems(overview) == (said,)


@pytest.mark.parametrize(
    "overview",
    [
        WELL,
        evolve(WELL, proxies=(evolve(BEHIND, waiting_seconds=2.9),)),
        evolve(WELL, sources=(SourceStanding("s"),)),
        evolve(WELL, proxies=(evolve(PROXY, behind=None, waiting_seconds=2.0),)),
    ],
    ids=["all is well", "entries are on their way", "a source says nothing yet", "a new life has just begun"],
)
def test_what_is_on_its_way_is_no_problem(overview: Overview) -> None:
    """Nobody is woken for what is over by the time that he looks again."""
    assert problems(overview) == ()


def test_a_proxy_in_an_earlier_incarnation_waits_for_a_complete_catalog() -> None:
    """It keeps its table on purpose until everything is there: the catalog is the problem then, not the proxy."""
    begun = evolve(
        WELL,
        head=Head(incarnation="next", epoch=4, sequence=1),
        proxies=(evolve(PROXY, behind=None, waiting_seconds=60.0),),
    )
    assert problems(begun) == ("the catalog is not complete: not every source was listed and written yet",)


def test_the_document_shows_the_screen_as_it_is() -> None:
    """What docs/commands.md shows is what is printed, to the letter."""
    shown = screen(ILL, problems(ILL), "mooring", UTC)
    assert shown in (Path(__file__).parents[4] / "docs/commands.md").read_text()


def test_without_redis_the_screen_is_the_problem() -> None:
    """There is nothing else to show, and no empty tables."""
    away = Overview(at=AT, failure="Redis x:1 cannot be reached")
    assert screen(away, problems(away), "mooring", UTC).splitlines() == [
        "2026-11-20 15:49:53  mooring: 1 problem",
        "  ! Redis x:1 cannot be reached",
    ]


def test_a_hundred_services_fit_on_the_screen_and_those_that_are_down_come_first() -> None:
    """What somebody looks for at night is not below the edge of the screen."""
    many = [evolve(WEB, name=f"web-{number:03}") for number in range(100)]
    shown = screen(evolve(WELL, services=(*many, evolve(DB, name="zz"))), ["x"] * 100, "mooring", UTC).splitlines()
    assert len(shown) < 2 * MOST_ROWS + 20
    below = shown[next(index for index, line in enumerate(shown) if line.startswith("service ")) + 1 :]
    assert below[0].startswith("zz ")
    assert any("86 more" in line for line in below)
    assert any("85 more" in line for line in shown)


def test_what_a_stranger_wrote_moves_no_cursor() -> None:
    """Escape sequences in a name from a registry, or in what a proxy says, are shown, not obeyed."""
    services = (evolve(WEB, name="web\x1b[2J\nx"),)
    evil = evolve(WELL, services=services, lead=Lead("host\x1b[1A", 3), proxies=(evolve(FROZEN, frozen="at \x1b[31m"),))
    shown = screen(evil, problems(evil), "mooring", UTC)
    assert "\x1b" not in shown
    assert "web\\x1b[2J\\nx" in shown
    assert shown.count("\\x1b") == 3


def test_the_document_for_machines_has_everything() -> None:
    """It is JSON, says first whether all is well, and holds what the screen leaves out."""
    said = json.loads(json.dumps(document(ILL, problems(ILL))))
    assert (said["well"], len(said["problems"])) == (False, 4)
    assert said["proxies"][1]["waiting_seconds"] == 12.5
    assert said["head"]["incarnation"] == "life"


def test_services_are_counted_with_their_ports() -> None:
    """Serving are those that are up or starting, and not of weight 0; a port whose service is gone is told too."""
    instances = [
        instance("web", "a"),
        instance("web", "b", State.STARTING),
        instance("web", "c", State.DRAINING),
        instance("web", "d", State.SUSPECT),
        instance("web", "e", weight=0),
        instance("quiet", "a"),
    ]
    catalog = catalog_of(instances)
    assert services_of(catalog, {"80/tcp": "web", "53/udp": "web", "81/tcp": "gone"}) == (
        ServiceStanding(name="gone", ports=("81/tcp",)),
        ServiceStanding(name="quiet", instances=1, serving=1),
        ServiceStanding(name="web", instances=5, serving=2, ports=("53/udp", "80/tcp")),
    )
    assert states_of(catalog) == {"starting": 1, "up": 3, "draining": 1, "suspect": 1}


def test_sources_are_what_the_head_says_of_them() -> None:
    """An address may hold colons; a source without a state was not listed yet."""
    head = Head(incarnation="a", epoch=1, sources={"etcd://h:1/p:state": "following", "etcd://i:2/q:revision": "7"})
    assert sources_of(head) == (
        SourceStanding("etcd://h:1/p", "following"),
        SourceStanding("etcd://i:2/q", "", "7"),
    )
    assert sources_of(None) == ()


HEAD = Head(incarnation="life", epoch=1, first=4, sequence=9)
SAID = {"incarnation": "life", "sequence": "7", "connections": "3", "host": "h", "driver": "relay"}


@pytest.mark.parametrize(
    ("said", "lacking", "behind"),
    [
        (SAID, 8, 2),
        ({**SAID, "sequence": "9"}, None, 0),
        ({**SAID, "sequence": "11"}, None, 0),
        ({**SAID, "incarnation": "earlier"}, 1, None),
        ({**SAID, "sequence": ""}, 1, None),
        ({**SAID, "sequence": "x"}, 1, None),
        ({}, 1, None),
    ],
)
def test_how_far_a_proxy_is(said: Mapping[str, str], lacking: int | None, behind: int | None) -> None:
    """Behind is counted within one life of the stream; ahead of a head that was read earlier is not behind."""
    assert first_lacking(said, HEAD) == lacking
    assert proxy_of("p", said, HEAD, waiting_seconds=None).behind == behind


def test_without_a_stream_nobody_lacks_anything() -> None:
    """Where no entry is, none is waited for."""
    assert first_lacking(SAID, None) is None
    assert proxy_of("p", SAID, None, waiting_seconds=None).behind is None


def test_an_announcement_is_read_whole_and_one_of_nonsense_too() -> None:
    """Another version's proxy, or a stranger's key, spoils no screen."""
    standing = proxy_of("p", {**SAID, "stale": "1", "frozen": "at x"}, HEAD, waiting_seconds=1.5)
    assert standing == ProxyStanding(
        id="p",
        host="h",
        driver="relay",
        incarnation="life",
        sequence=7,
        behind=2,
        waiting_seconds=1.5,
        connections=3,
        frozen="at x",
        is_stale=True,
    )
    assert proxy_of("p", {"connections": "many"}, HEAD, waiting_seconds=None).connections == 0
