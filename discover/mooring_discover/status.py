"""What `/readyz` and `/state` say: a view of the owner for people, read from values that never change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from mooring_discover.hearing import SourceView
from mooring_discover.leadership import Leadership
from mooring_discover.observations import Key
from mooring_discover.owner import Owner
from mooring_discover.publisher import Publisher
from mooring_discover.reducer import Known
from mooring_discover.sources.source import Source

View: TypeAlias = Mapping[str, object]


def readiness(owner: Owner, leadership: Leadership) -> str | None:
    """Return None when every source is listed and Redis answers, else why not."""
    known = owner.known
    unlisted = [name for name in known.order if not known.views[name].is_listed]
    if unlisted:
        return "not listed yet: " + ", ".join(f"{name}{_because(known.views[name])}" for name in unlisted)
    if leadership.failure:
        return leadership.failure
    return owner.trouble.reason if owner.trouble is not None else None


def _because(view: SourceView) -> str:
    return f" ({view.silence.reason})" if view.silence is not None else ""


def status(owner: Owner, leadership: Leadership, publisher: Publisher, sources: Iterable[Source]) -> View:
    """Return the whole state, as json can write it."""
    known, problems = owner.known, {source.name: dict(source.problems()) for source in sources}
    return {
        "role": "leading" if leadership.epoch is not None else "standing by",
        "leader": leadership.leader,
        "ready": readiness(owner, leadership) or "yes",
        "redis": _redis(owner, leadership, publisher),
        "sources": {name: _source(known.views[name], problems.get(name, {})) for name in known.order},
        "services": len(known.shown.services),
        "instances": sum(map(len, known.shown.services.values())),
        "bindings": len(known.shown.bindings),
        "suspects": sorted(key if isinstance(key, str) else "|".join(key) for key in suspected(known)),
        "not_written": len(known.origins),
    }


def suspected(known: Known) -> list[Key]:
    """Return the keys that vanished without a word and are held."""
    views = [known.inherited.view, *known.views.values()]
    return [key for view in views for key in view.suspects]


def _redis(owner: Owner, leadership: Leadership, publisher: Publisher) -> View:
    written, trouble = publisher.written, owner.trouble
    failing = {"failing_since": trouble.since, "reason": trouble.reason} if trouble else {}
    unanswered = {"lead": leadership.failure} if leadership.failure else {}
    if written is None:
        return {**failing, **unanswered}
    return {
        "incarnation": written.incarnation,
        "epoch": written.epoch,
        "sequence": written.sequence,
        "first": written.first,
        "complete": written.complete,
        **failing,
        **unanswered,
    }


def _source(view: SourceView, problems: Mapping[str, str]) -> View:
    silence = {"silent_since": view.silence.since, "reason": view.silence.reason} if view.silence else {}
    return {
        "listed": view.is_listed,
        "revision": view.revision,
        "hosts": sorted(view.hosts),
        "settling": len(view.settling),
        "suspects": len(view.suspects),
        "unreadable": dict(problems),
        **silence,
    }
