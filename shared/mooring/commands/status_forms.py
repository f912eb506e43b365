"""How things stand, as one screen for people and as one JSON document for machines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from typing import Final

import attrs

from mooring.commands.overview import Overview, ProxyStanding
from mooring.tables import duration, harmless, moment, table

# What is on one screen is read; --json has the rest.
MOST_ROWS: Final = 15


def screen(overview: Overview, problems: Sequence[str], where: str, zone: tzinfo | None) -> str:
    """Return the text for people: what is wrong first. Times are in that zone, None is the local one."""
    found = f"{len(problems)} problem{'s' * (len(problems) != 1)}" if problems else "all is well"
    opening = f"{moment(overview.at, zone, 'seconds')}  {where}: {found}"
    parts = [[opening, *(f"  ! {one}" for one in _some(problems))]]
    if overview.head is not None:
        parts += [[*_stream(overview)], _sources(overview), _services(overview)]
    parts += [_proxies(overview)] if overview.proxies else []
    return "\n\n".join("\n".join(harmless(line) for line in part) for part in parts)


def document(overview: Overview, problems: Sequence[str]) -> dict[str, object]:
    """Return everything there is to know."""
    return {"well": not problems, "problems": list(problems), **attrs.asdict(overview)}


def _stream(overview: Overview) -> Iterator[str]:
    head, lead = overview.head, overview.lead
    if head is None:
        return
    kept = f"entries {head.first}–{head.sequence}" if head.sequence else "no entry yet"
    yield f"stream   incarnation {head.incarnation}, {kept}, {'complete' if head.complete else 'not complete'}"
    yield f"leader   {lead.leader if lead else 'nobody'}, epoch {head.epoch}"
    states = ", ".join(f"{count} {state}" for state, count in overview.states.items())
    services = sum(service.instances > 0 for service in overview.services)
    yield f"catalog  services: {services}, instances: {states or 'none'}, bindings: {overview.bindings}"


def _sources(overview: Overview) -> list[str]:
    rows = [(one.name, one.state or "not listed yet", one.revision) for one in overview.sources]
    return table(("source", "state", "revision"), _cut(rows))


def _services(overview: Overview) -> list[str]:
    # Those that lead nowhere first: of a hundred services they are the ones that somebody looks for.
    ordered = sorted(overview.services, key=lambda one: (one.serving > 0, one.name))
    rows = [(one.name, f"{one.serving} of {one.instances}", ", ".join(one.ports)) for one in ordered]
    return table(("service", "up", "published on"), _cut(rows))


def _proxies(overview: Overview) -> list[str]:
    ordered = sorted(overview.proxies, key=lambda one: (-(one.waiting_seconds or 0.0), one.id))
    rows = [
        (one.id, one.host, one.driver, _applied(one), _lag(one), str(one.connections), _mark(one)) for one in ordered
    ]
    return table(("proxy", "host", "driver", "applied", "behind", "connections", ""), _cut(rows))


def _applied(proxy: ProxyStanding) -> str:
    return "nothing" if proxy.sequence is None else str(proxy.sequence)


def _lag(proxy: ProxyStanding) -> str:
    if proxy.waiting_seconds is None:
        return "0"
    entries = "all" if proxy.behind is None else str(proxy.behind)
    return f"{entries}, {duration(proxy.waiting_seconds)}"


def _mark(proxy: ProxyStanding) -> str:
    return "frozen" if proxy.frozen else "stale" if proxy.is_stale else ""


def _cut(rows: Sequence[tuple[str, ...]]) -> Iterable[tuple[str, ...]]:
    if len(rows) <= MOST_ROWS:
        return rows
    more = f"… and {len(rows) - MOST_ROWS} more, see --json"
    return [*rows[:MOST_ROWS], (more, *[""] * (len(rows[0]) - 1))]


def _some(problems: Sequence[str]) -> Iterator[str]:
    yield from problems[:MOST_ROWS]
    if len(problems) > MOST_ROWS:
        yield f"… and {len(problems) - MOST_ROWS} more, see --json"
