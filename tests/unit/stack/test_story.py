"""The demo's story as values: what it expects, how it judges what was seen, how it tells it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from attrs import evolve

from mooring.entries import Entry
from mooring.facts import EpochBegan, Fact, InstanceAdded, InstanceChanged, InstanceRemoved, SourceLost
from mooring.model import Address, Instance, State
from mooring_stack.story import (
    STORY,
    Enlist,
    Kill,
    Observed,
    Start,
    Step,
    arrivals,
    changes,
    departures,
    instances_file,
    line,
    pipeline_seconds,
    problems,
    told,
)

STEP = Step(
    sentence="web-2 takes the place of web-1.",
    actions=(Start("web-2"), Enlist(("web-2",))),
    arriving=frozenset({"web-2"}),
    leaving=frozenset({"web-1"}),
    answering=frozenset({"web-2"}),
)
AS_IT_SHOULD_BE = Observed(
    arrived=("web-2",),
    left=("web-1",),
    answers={"127.0.0.1:80": {"web-2": 3}, "127.0.0.2:80": {"web-2": 3}},
    stream_seconds=0.0104,
    proxies_seconds=0.0206,
    pipeline_seconds=0.0042,
)
WEB = Instance(service="web", id="web-1", address=Address("10.0.0.5", 32768), cause="started")


def entry(fact: Fact, sequence: int = 7) -> Entry:
    """Make an entry of the stream."""
    return Entry(sequence=sequence, incarnation="i", epoch=2, at=1.0, fact=fact)


def test_a_step_that_went_as_it_should_has_no_problem() -> None:
    """Exactly the facts that belong to the step, and answers from exactly those who should answer."""
    assert not list(problems(STEP, AS_IT_SHOULD_BE))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"arrived": ()}, "the stream added none, not web-2"),
        ({"arrived": ("web-2", "web-2")}, "the stream added web-2, web-2, not web-2"),
        ({"left": ()}, "the stream removed none, not web-1"),
        ({"left": ("web-1", "web-9")}, "the stream removed web-1, web-9, not web-1"),
        ({"changed": ("web-2",)}, "the stream changed web-2, of which nothing changed"),
        ({"answers": {"a:80": {"web-1": 1, "web-2": 1}}}, "through a:80 answered web-1, web-2, not web-2"),
        ({"answers": {"a:80": {"web-2": 3}, "b:80": {}}}, "through b:80 answered none, not web-2"),
        ({"answers": {}}, "no proxy was asked"),
        ({"failures": ("request 3 to a:80: refused",)}, "request 3 to a:80: refused"),
    ],
)
def test_what_is_not_as_the_step_says_is_named(changed: dict[str, Any], said: str) -> None:
    """A fact too many is as wrong as one too few, and so is an answer from the wrong instance, or none."""
    assert list(problems(STEP, evolve(AS_IT_SHOULD_BE, **changed))) == [said]


def test_a_step_is_told_with_its_times_and_with_each_instances_share() -> None:
    """The reader sees how long the change took and who answered how often through which proxy."""
    assert list(told(STEP, AS_IT_SHOULD_BE)) == [
        "in the stream after 10 ms, both proxies go by it after 21 ms",
        "register looks at the list twice a second; from its look to the stream: 4 ms",
        "3 requests to 127.0.0.1:80:   web-2 3",
        "3 requests to 127.0.0.2:80:   web-2 3",
    ]


def test_failed_requests_are_told() -> None:
    """A failure is never left out of what is told."""
    assert "1 requests failed" in list(told(STEP, evolve(AS_IT_SHOULD_BE, failures=("refused",))))


def test_a_step_without_a_change_of_the_file_tells_no_times() -> None:
    """Killing an instance changes nothing that could travel through the stream."""
    step = Step(sentence="", actions=(Kill("web-1"),), answering=frozenset({"web-2"}))
    observed = Observed(answers={"a:80": {"web-2": 1}})
    assert list(told(step, observed)) == ["1 requests to a:80:   web-2 1"]


def test_the_story_only_kills_lists_and_expects_what_runs() -> None:
    """Played in order, each step's expectation is what its actions lead to."""
    running: set[str] = set()
    listed: set[str] = set()
    for step in STORY:
        before = set(listed)
        for action in step.actions:
            match action:
                case Start(name):
                    assert name not in running
                    running.add(name)
                case Kill(name):
                    running.remove(name)
                case Enlist(names):
                    assert set(names) <= running
                    listed = set(names)
        assert step.arriving == listed - before
        assert step.leaving == before - listed
        assert step.answering == listed & running


def test_the_story_has_a_kill_and_an_arrival_after_it() -> None:
    """The point of the demo: traffic leaves what is gone and reaches what is new."""
    kinds = [type(action) for step in STORY for action in step.actions]
    assert Start in kinds[kinds.index(Kill) :]


def test_entries_are_sorted_into_arrivals_departures_and_changes() -> None:
    """Every instance fact counts once, in its own class; other facts count nowhere."""
    facts = (EpochBegan("one"), InstanceAdded(WEB), InstanceChanged(WEB, WEB), InstanceRemoved(WEB, "stopped"))
    entries = [entry(fact) for fact in facts]
    assert (arrivals(entries), changes(entries), departures(entries)) == (("web-1",), ("web-1",), ("web-1",))


def test_the_way_through_the_pipeline_is_the_longest_from_sight_to_stream() -> None:
    """Only what was added has a sighting of its own; nothing added, nothing travelled."""
    seen = [evolve(entry(InstanceAdded(evolve(WEB, seen_docker=at))), seen_stream=9.0) for at in (8.5, 8.0)]
    assert pipeline_seconds([*seen, entry(InstanceRemoved(WEB))]) == 1.0
    assert pipeline_seconds([]) == 0.0


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        (InstanceAdded(WEB), "7-0  instance-added    web  web-1  10.0.0.5:32768  up  started"),
        (
            InstanceRemoved(evolve(WEB, state=State.DOWN), "exited 137"),
            "7-0  instance-removed  web  web-1  10.0.0.5:32768  down  exited 137",
        ),
        (EpochBegan("host1"), "7-0  epoch-began       epoch 2, led by host1"),
        (SourceLost("etcd://a:2379", "no answer"), "7-0  source-lost       etcd://a:2379  no answer"),
    ],
)
def test_an_entry_reads_as_a_line_of_a_log(fact: Fact, said: str) -> None:
    """What it is about, where, in which state, and why."""
    assert line(entry(fact)) == said


def test_the_instances_file_is_what_registers_static_source_reads() -> None:
    """One document per instance, of which service and address are what register requires."""
    text = instances_file({"whoami-1": 4001, "whoami-2": 4002}, publish=8000)
    assert yaml.safe_load(text) == {
        "instances": [
            {"service": "whoami", "id": "whoami-1", "address": "127.0.0.1:4001", "publish": "8000"},
            {"service": "whoami", "id": "whoami-2", "address": "127.0.0.1:4002", "publish": "8000"},
        ]
    }


def test_the_instances_file_may_list_nobody() -> None:
    """An empty list is a list, not a missing one."""
    assert yaml.safe_load(instances_file({}, publish=8000)) == {"instances": []}
