"""What is known against what is written: the facts that are missing in the stream.

This is where facts come from, and the only place. It makes no difference why something is missing in the stream:
because it just happened, because discover was restarted, because Redis was away for an hour, or is a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from attrs import evolve, frozen

from mooring.catalog import Catalog, catalog_of, diff
from mooring.facts import (
    BindingFact,
    Fact,
    InstanceAdded,
    InstanceChanged,
    InstanceFact,
    InstanceRemoved,
    SourceLost,
    SourceRecovered,
)
from mooring.model import Binding, Instance
from mooring_discover.hearing import SourceView, Touch
from mooring_discover.observations import Key
from mooring_discover.reducer import Known

RECONCILED = "reconciled"
REMOVED = "removed"
FOLLOWING = "following"
LOST = "lost since "

# A source that is away for less is a blip: an election in its cluster, a restart. Not worth a fact.
SILENCE_LEAST_SECONDS = 3.0


@frozen
class News:
    """A fact that is to be written, and where it came from; `at` is when it was heard (epoch seconds)."""

    fact: Fact
    at: float
    source: str = ""
    revision: str = ""


def differences(written: Catalog, known: Known, now: float, *, everything: bool, reconciling: bool) -> list[News]:
    """Return what leads from the written catalog to the known one.

    Unless `everything` is compared, only what was touched is. `reconciling`: the incarnation is new and not complete,
    so what is added was there before.
    """
    shown = known.shown
    if not everything:
        written, shown = _narrowed(written, known.origins), _narrowed(shown, known.origins)
    return [_news(fact, known, now, reconciling=reconciling) for fact in diff(written, shown) if not _is_empty(fact)]


def _narrowed(catalog: Catalog, touched: Iterable[Key]) -> Catalog:
    instances: list[Instance] = []
    bindings: list[Binding] = []
    for key in touched:
        if isinstance(key, str):
            bindings += [catalog.bindings[key]] if key in catalog.bindings else []
        elif (instance := catalog.instance(*key)) is not None:
            instances.append(instance)
    return catalog_of(instances, bindings)


def _is_empty(fact: Fact) -> bool:
    """Whether it says only that something was seen again, at another time or for another reason."""
    return isinstance(fact, InstanceChanged) and fact.instance.same_as(fact.before)


def _news(fact: Fact, known: Known, now: float, *, reconciling: bool) -> News:
    key = _key(fact)
    origin = known.origins.get(key) if key is not None else None
    match fact:
        case InstanceRemoved(instance):
            touch = origin.touch if origin else Touch(now)
            fact = InstanceRemoved(instance, touch.cause or REMOVED, touch.seen.docker, touch.seen.registry)
        case InstanceAdded(instance) if reconciling:
            fact = InstanceAdded(evolve(instance, cause=RECONCILED))
    if origin is not None and origin.source:
        return News(fact, origin.touch.at, origin.source, origin.touch.revision)
    source, view = _holder(known, key)
    return News(fact, now, source, view.revision)


def _key(fact: Fact) -> Key | None:
    if isinstance(fact, InstanceFact):
        return fact.instance.key
    return fact.binding.key if isinstance(fact, BindingFact) else None


def _holder(known: Known, key: Key | None) -> tuple[str, SourceView]:
    """Return the source whose word it is; when nobody holds the key, the only source there is, if there is one."""
    held = [name for name in known.order if key is not None and known.views[name].record(key) is not None]
    names = held or (known.order if len(known.order) == 1 else ())
    return (names[0], known.views[names[0]]) if names else ("", SourceView())


def source_news(written: Mapping[str, str], known: Known, now: float) -> Iterator[News]:
    """Yield that sources were lost or recovered, compared with what the head says of them."""
    states = source_states(written, known, now)
    for name in known.order:
        before, after = written.get(f"{name}:state", ""), states.get(f"{name}:state", "")
        view = known.views[name]
        if after.startswith(LOST) and not before.startswith(LOST) and view.silence is not None:
            yield News(SourceLost(name, view.silence.reason), view.silence.since, name, view.revision)
        elif before.startswith(LOST) and after == FOLLOWING:
            yield News(SourceRecovered(name), now, name, view.revision)


def source_states(written: Mapping[str, str], known: Known, now: float) -> dict[str, str]:
    """Return what the head is to say of each source: `<name>:state` and `<name>:revision`."""
    states: dict[str, str] = {}
    for name in known.order:
        view = known.views[name]
        state = _state(view, now) or written.get(f"{name}:state", "")
        states |= {f"{name}:state": state} if state else {}
        states |= {f"{name}:revision": view.revision} if view.revision else {}
    return states


def _state(view: SourceView, now: float) -> str:
    """Return `following`, `lost since …`, or nothing when that is not certain yet."""
    if view.silence is None:
        return FOLLOWING if view.is_listed else ""
    if now - view.silence.since < SILENCE_LEAST_SECONDS:
        return ""
    return LOST + datetime.fromtimestamp(view.silence.since, UTC).isoformat(timespec="seconds")
