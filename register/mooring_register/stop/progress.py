"""When a container may be stopped: what was seen so far, and what is still waited for. Pure.

It may be stopped once every registry holds that it drains, every proxy that can be seen has applied that, and nothing
is open to it any more; and never before the settling time, for those who cannot be seen here: proxies of other hosts,
readers of other layouts. When the timeout is over it is stopped all the same, but only if it was made to drain at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from mooring_register.stop.announcement import Answer

# A register that is restarted is back within this; one that never answered is not waited for any longer.
SILENCE_SECONDS: Final = 5.0


@frozen
class Patience:
    """How long a container drains: at least `settle_seconds`, and at most `timeout_seconds`."""

    timeout_seconds: float
    settle_seconds: float


@frozen
class ProxyView:
    """What a proxy announces: up to where it has applied which stream, and what is open to those who leave."""

    id: str
    incarnation: str
    sequence: int
    leaving: Mapping[str, int]


@frozen
class StreamView:
    """One stream as it was read: the catalog first, then the head, then the proxies.

    `serving` are the fields of the catalog whose instances may be given new connections.
    """

    incarnation: str
    sequence: int
    serving: frozenset[str]
    proxies: tuple[ProxyView, ...]


@frozen
class Target:
    """The entry by which a stream says that the container drains, or one after it."""

    incarnation: str
    sequence: int


@frozen(kw_only=True)
class Stop:
    """One container on its way. Times are seconds of one clock; `targets` are by stream."""

    began: float
    has_heard: bool = False
    drains_since: float | None = None
    targets: Mapping[str, Target] = field(factory=dict)


@frozen
class Waiting:
    """It must not be stopped yet."""

    reason: str


@frozen
class Free:
    """It may be stopped."""

    reason: str


@frozen
class Refused:
    """It was never made to drain."""

    reason: str


Verdict: TypeAlias = Waiting | Free | Refused


def step(
    stop: Stop, answer: Answer | None, streams: Mapping[str, StreamView], now: float, patience: Patience
) -> tuple[Stop, Verdict]:
    """Return what is known, and what may be done, after a register answered, or not, and the streams were read."""
    stop = _seen(stop, answer, streams, now)
    if answer is not None and answer.listed and not answer.instances:
        return stop, Free("is not registered")
    reason = "; ".join(_awaited(stop, answer, streams, now, patience))
    if not reason:
        return stop, Free("nothing is open to it any more" if streams else "no stream tells whether something is open")
    elapsed_seconds = now - stop.began
    if not stop.has_heard and elapsed_seconds >= min(SILENCE_SECONDS, patience.timeout_seconds):
        return stop, Refused(reason)
    if elapsed_seconds < patience.timeout_seconds:
        return stop, Waiting(reason)
    if stop.drains_since is None:
        return stop, Refused(reason)
    return stop, Free(f"the {patience.timeout_seconds:g} s are over: {reason}")


def _seen(stop: Stop, answer: Answer | None, streams: Mapping[str, StreamView], now: float) -> Stop:
    if answer is None:
        # A register that starts anew does not know of us: what the streams said before is to be seen again.
        return evolve(stop, targets={})
    stop = evolve(stop, has_heard=True)
    if not answer.drains:
        return evolve(stop, drains_since=None, targets={})
    targets = {url: stop.targets.get(url) or _target(view, answer) for url, view in streams.items()}
    return evolve(
        stop,
        drains_since=now if stop.drains_since is None else stop.drains_since,
        targets={
            url: target
            for url, target in targets.items()
            if target is not None and target.incarnation == streams[url].incarnation
        },
    )


def _target(view: StreamView, answer: Answer) -> Target | None:
    serves = not view.serving.isdisjoint(answer.instances)
    return None if serves else Target(view.incarnation, view.sequence)


def _awaited(
    stop: Stop, answer: Answer | None, streams: Mapping[str, StreamView], now: float, patience: Patience
) -> Iterator[str]:
    if answer is None:
        yield "register does not answer"
    elif not answer.listed:
        yield "register has not listed what runs"
    elif stop.drains_since is None:
        yield "not every registry holds that it drains"
    else:
        for url, view in streams.items():
            yield from _awaited_in(stop.targets.get(url), view, answer)
        if now - stop.drains_since < patience.settle_seconds:
            yield f"it drains for {patience.settle_seconds:g} s at least"


def _awaited_in(target: Target | None, view: StreamView, answer: Answer) -> Iterator[str]:
    if target is None:
        yield "the stream does not say that it drains"
        return
    lagging = [one.id for one in view.proxies if not _has_applied(one, target)]
    if lagging:
        yield f"not known yet to {', '.join(lagging)}"
    open_now = {one.id: sum(one.leaving.get(name, 0) for name in answer.instances) for one in view.proxies}
    yield from (f"{count} open at {proxy}" for proxy, count in open_now.items() if count)


def _has_applied(proxy: ProxyView, target: Target) -> bool:
    return proxy.incarnation == target.incarnation and proxy.sequence >= target.sequence
