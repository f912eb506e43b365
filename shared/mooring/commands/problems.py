"""What is wrong with a stream and those who follow it, in words, the gravest first: what `status` decides. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from mooring.commands.overview import Overview, ProxyStanding, ServiceStanding, SourceStanding
from mooring.model import State
from mooring.tables import duration

# A proxy announces itself every second, and what it lacks for less than a few is on its way.
LAG_SECONDS: Final = 3.0

_LOST: Final = "lost since "


def problems(overview: Overview) -> tuple[str, ...]:
    """Return a sentence for each problem; none when all is well."""
    if overview.failure and overview.head is None:
        return (overview.failure,)
    return (*_of_stream(overview), *_of_proxies(overview), *_of_services(overview))


def _of_stream(overview: Overview) -> Iterator[str]:
    if overview.failure:
        yield overview.failure
    if overview.head is None:
        yield "there is no stream: nothing was written yet, or Redis was emptied"
    if overview.lead is None:
        yield "no discover leads: what happens now is not written"
    if overview.head is not None and not overview.head.complete:
        yield "the catalog is not complete: not every source was listed and written yet"
    for source in overview.sources:
        if source.state.startswith(_LOST):
            yield _lost(source, overview.at)


def _lost(source: SourceStanding, at: float) -> str:
    since = source.state.removeprefix(_LOST)
    try:
        since = f"for {duration(at - datetime.fromisoformat(since).timestamp())}, since {since}"
    except ValueError:
        since = f"since {since}"
    return f"source {source.name} is lost {since}: what it said last stands"


def _of_proxies(overview: Overview) -> Iterator[str]:
    for proxy in overview.proxies:
        yield from _of_proxy(proxy, is_complete=overview.head is not None and overview.head.complete)
    if not overview.proxies:
        yield "no proxy announces itself"


def _of_proxy(proxy: ProxyStanding, *, is_complete: bool) -> Iterator[str]:
    waiting = proxy.waiting_seconds or 0.0
    if proxy.frozen:
        yield f"the table of proxy {proxy.id} is frozen {proxy.frozen}"
    elif proxy.sequence is None:
        yield f"proxy {proxy.id} has no table yet"
    elif proxy.is_stale:
        yield f"proxy {proxy.id} is stale: it serves by the table that an earlier run stored"
    elif proxy.behind is None and is_complete and waiting >= LAG_SECONDS:
        yield f"proxy {proxy.id} serves by an earlier incarnation of the stream, for {duration(waiting)}"
    elif proxy.behind and waiting >= LAG_SECONDS:
        entries = "entry" if proxy.behind == 1 else "entries"
        yield f"proxy {proxy.id} is {proxy.behind} {entries} behind, for {duration(waiting)}"


def _of_services(overview: Overview) -> Iterator[str]:
    for service in overview.services:
        if not service.serving:
            yield _unserved(service)
    suspects = overview.states.get(State.SUSPECT.value, 0)
    if suspects:
        yield f"{suspects} {'instance is' if suspects == 1 else 'instances are'} suspect: gone without a word"


def _unserved(service: ServiceStanding) -> str:
    if service.instances:
        return f"service {service.name} has no instance that is up, of {service.instances}"
    return f"service {service.name} has no instance any more, its port {', '.join(service.ports)} leads nowhere"
