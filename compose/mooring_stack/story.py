"""What the demo plays, as values: the steps, what must be seen after each, and how it is told.

It carries nothing out and sees nothing itself: the stage (stage.py) does, and hands back what it observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias, assert_never

from attrs import field, frozen

from mooring.entries import Entry
from mooring.facts import (
    BindingAdded,
    BindingChanged,
    BindingRemoved,
    EpochBegan,
    InstanceAdded,
    InstanceChanged,
    InstanceRemoved,
    SettingChanged,
    SettingRemoved,
    SourceLost,
    SourceRecovered,
)
from mooring.model import Instance

SERVICE: Final = "whoami"


@frozen
class Start:
    """A process of the service starts, and answers."""

    instance: str


@frozen
class Kill:
    """The process is gone without a word (SIGKILL)."""

    instance: str


@frozen
class Enlist:
    """The file that register watches lists exactly these instances from now on."""

    instances: tuple[str, ...]


Action: TypeAlias = Start | Kill | Enlist


@frozen(kw_only=True)
class Step:
    """One thing that happens: what is done, which instances arrive in and leave the stream, and who then answers."""

    sentence: str
    actions: tuple[Action, ...]
    arriving: frozenset[str] = frozenset()
    leaving: frozenset[str] = frozenset()
    answering: frozenset[str]


@frozen(kw_only=True)
class Observed:
    """What was seen after a step.

    `answers` maps a proxy's address to instance → number of requests that it answered; `failures` are requests that
    no instance answered, in words. `stream_seconds` passed from the change of the file until its last fact was read
    from the stream, `proxies_seconds` until both proxies went by it; 0 where the step changes no file.
    `pipeline_seconds` is the longest way of a fact from register's sight of the file into the stream.
    """

    arrived: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    answers: Mapping[str, Mapping[str, int]] = field(factory=dict)
    failures: tuple[str, ...] = ()
    stream_seconds: float = 0.0
    proxies_seconds: float = 0.0
    pipeline_seconds: float = 0.0


STORY: Final = (
    Step(
        sentence=f"Three instances of the service {SERVICE} start and are listed.",
        actions=(
            *(Start(name) for name in ("whoami-1", "whoami-2", "whoami-3")),
            Enlist(("whoami-1", "whoami-2", "whoami-3")),
        ),
        arriving=frozenset({"whoami-1", "whoami-2", "whoami-3"}),
        answering=frozenset({"whoami-1", "whoami-2", "whoami-3"}),
    ),
    Step(
        sentence="whoami-2 is killed. Nobody has said so yet: the proxies find out and take another at once.",
        actions=(Kill("whoami-2"),),
        answering=frozenset({"whoami-1", "whoami-3"}),
    ),
    Step(
        sentence="A check notices and takes whoami-2 off the list: traffic leaves it.",
        actions=(Enlist(("whoami-1", "whoami-3")),),
        leaving=frozenset({"whoami-2"}),
        answering=frozenset({"whoami-1", "whoami-3"}),
    ),
    Step(
        sentence="whoami-4 starts and is listed: traffic reaches it.",
        actions=(Start("whoami-4"), Enlist(("whoami-1", "whoami-3", "whoami-4"))),
        arriving=frozenset({"whoami-4"}),
        answering=frozenset({"whoami-1", "whoami-3", "whoami-4"}),
    ),
)


def problems(step: Step, observed: Observed) -> Iterator[str]:
    """Yield what is not as the step says; nothing when all is well.

    Facts are counted: one too many is as wrong as one too few.
    """
    if sorted(observed.arrived) != sorted(step.arriving):
        yield f"the stream added {_names(observed.arrived)}, not {_names(step.arriving)}"
    if sorted(observed.left) != sorted(step.leaving):
        yield f"the stream removed {_names(observed.left)}, not {_names(step.leaving)}"
    if observed.changed:
        yield f"the stream changed {_names(observed.changed)}, of which nothing changed"
    for proxy, answers in observed.answers.items():
        if answers.keys() != step.answering:
            yield f"through {proxy} answered {_names(answers)}, not {_names(step.answering)}"
    if not observed.answers:
        yield "no proxy was asked"
    yield from observed.failures


def told(step: Step, observed: Observed) -> Iterator[str]:
    """Yield the lines that tell what was seen: how long it took, and who answered how often."""
    if step.arriving or step.leaving:
        yield (
            f"in the stream after {_milliseconds(observed.stream_seconds)}, "
            f"both proxies go by it after {_milliseconds(observed.proxies_seconds)}"
        )
    if step.arriving:
        since = _milliseconds(observed.pipeline_seconds)
        yield f"register looks at the list twice a second; from its look to the stream: {since}"
    for proxy, answers in observed.answers.items():
        counts = "   ".join(f"{name} {answers[name]}" for name in sorted(answers))
        yield f"{sum(answers.values())} requests to {proxy}:   {counts or 'no answer'}"
    if observed.failures:
        yield f"{len(observed.failures)} requests failed"


def line(entry: Entry) -> str:
    """Return an entry of the stream as one line for people."""
    match entry.fact:
        case InstanceAdded(instance) | InstanceChanged(instance):
            about = _about(instance, instance.cause)
        case InstanceRemoved(instance, cause):
            about = _about(instance, cause)
        case BindingAdded(binding) | BindingChanged(binding) | BindingRemoved(binding):
            about = f"{binding.key}  port {binding.port} is {binding.service}"
        case SettingChanged(key, value) | SettingRemoved(key, value):
            about = f"{key} = {value}"
        case SourceLost(address, reason):
            about = f"{address}  {reason}"
        case SourceRecovered(address):
            about = address
        case EpochBegan(leader):
            about = f"epoch {entry.epoch}, led by {leader}"
        case _:
            assert_never(entry.fact)
    return f"{entry.sequence}-0  {entry.fact.type:<17} {about}"


def arrivals(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return the ids of the instances that these entries add, each as often as they do."""
    return tuple(entry.fact.instance.id for entry in entries if isinstance(entry.fact, InstanceAdded))


def departures(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return the ids of the instances that these entries remove, each as often as they do."""
    return tuple(entry.fact.instance.id for entry in entries if isinstance(entry.fact, InstanceRemoved))


def changes(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return the ids of the instances that these entries change, each as often as they do."""
    return tuple(entry.fact.instance.id for entry in entries if isinstance(entry.fact, InstanceChanged))


def pipeline_seconds(entries: Iterable[Entry]) -> float:
    """Return the longest time from register's sight of an instance that was added until it stood in the stream."""
    added = [(entry, entry.fact.instance) for entry in entries if isinstance(entry.fact, InstanceAdded)]
    return max((entry.seen_stream - (instance.seen_docker or entry.at) for entry, instance in added), default=0.0)


def instances_file(ports: Mapping[str, int], publish: int) -> str:
    """Return the file that register watches: one instance a line, for people to edit.

    `ports` maps an instance's name to where it listens on loopback; all are published as that one port.
    """
    lines = [
        f"  - {{service: {SERVICE}, id: {name}, address: '127.0.0.1:{port}', publish: '{publish}'}}\n"
        for name, port in ports.items()
    ]
    return "instances:\n" + "".join(lines) if lines else "instances: []\n"


def _about(instance: Instance, cause: str) -> str:
    return f"{instance.service}  {instance.id}  {instance.address}  {instance.state.value}  {cause}".rstrip()


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
