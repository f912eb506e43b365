"""When a container may be stopped."""

from __future__ import annotations

import pytest
from attrs import evolve

from mooring_register.stop.announcement import Answer
from mooring_register.stop.progress import Free, Patience, ProxyView, Refused, Stop, StreamView, Verdict, Waiting, step

PATIENCE = Patience(timeout_seconds=30.0, settle_seconds=2.0)
WEB = "web|h:web.1:80"
UP = Answer(listed=True, instances=(WEB,), drains=False)
DRAINS = Answer(listed=True, instances=(WEB,), drains=True)
BEGUN = Stop(began=100.0)


def proxy(name: str, sequence: int, *, incarnation: str = "life", leaving: int = 0) -> ProxyView:
    """Return a proxy that has applied so much, with so many connections open to the container."""
    return ProxyView(name, incarnation, sequence, {WEB: leaving, "other|x": 7})


def stream(*proxies: ProxyView, sequence: int = 10, serves: bool = False, incarnation: str = "life") -> StreamView:
    """Return a stream; `serves` says that its catalog still gives the container new connections."""
    return StreamView(incarnation, sequence, frozenset({WEB, "web|else"} if serves else {"web|else"}), proxies)


class Course:
    """One container's way, a step at a time."""

    def __init__(self) -> None:
        self.stop = BEGUN

    def at(self, now: float, answer: Answer | None, *streams: StreamView) -> Verdict:
        """Make a step at that time, with what was answered and seen."""
        seen = {f"redis-{number}": view for number, view in enumerate(streams)}
        self.stop, verdict = step(self.stop, answer, seen, now, PATIENCE)
        return verdict


def test_it_goes_when_every_proxy_has_applied_it_and_nothing_is_open() -> None:
    """One step after the other: written, in the stream, applied by all, the last connection ended."""
    one = Course()
    assert one.at(100.0, UP, stream()) == Waiting("not every registry holds that it drains")
    serving = stream(proxy("a", 9), serves=True)
    assert one.at(100.5, DRAINS, serving) == Waiting(
        "the stream does not say that it drains; it drains for 2 s at least"
    )
    assert one.at(103.0, DRAINS, serving) == Waiting("the stream does not say that it drains")
    lags = stream(proxy("a", 9), proxy("b", 10, leaving=2))
    assert one.at(104.0, DRAINS, lags) == Waiting("not known yet to a; 2 open at b")
    grown = stream(proxy("a", 10), proxy("b", 11, leaving=1), sequence=50)
    assert one.at(105.0, DRAINS, grown) == Waiting("1 open at b")
    assert one.at(106.0, DRAINS, stream(proxy("a", 10), proxy("b", 50))) == Free("nothing is open to it any more")


def test_it_drains_for_a_while_whoever_is_seen() -> None:
    """Proxies of other hosts and readers of other layouts are not seen: without any stream, they are all there is."""
    one = Course()
    assert one.at(100.0, DRAINS) == Waiting("it drains for 2 s at least")
    assert one.at(101.9, DRAINS) == Waiting("it drains for 2 s at least")
    assert one.at(102.0, DRAINS) == Free("no stream tells whether something is open")


def test_every_stream_counts() -> None:
    """Each host may have a Redis of its own."""
    one = Course()
    behind = (stream(proxy("a", 10)), stream(proxy("b", 4), sequence=5))
    assert one.at(110.0, DRAINS, *behind) == Waiting("not known yet to b; it drains for 2 s at least")
    assert one.at(113.0, DRAINS, stream(proxy("a", 10)), stream(proxy("b", 5))) == Free(
        "nothing is open to it any more"
    )


def test_what_is_not_registered_goes_at_once() -> None:
    """Nobody was ever sent there."""
    assert Course().at(100.0, Answer(listed=True)) == Free("is not registered")


def test_a_register_that_has_not_listed_knows_nothing_yet() -> None:
    """What it does not know may be registered all the same."""
    assert Course().at(100.0, Answer(listed=False)) == Waiting("register has not listed what runs")


@pytest.mark.parametrize(("at", "verdict"), [(104.9, Waiting), (105.0, Refused)])
def test_a_register_that_never_answers_is_not_waited_for_long(at: float, verdict: type[Verdict]) -> None:
    """It is not there, and the container cannot be drained."""
    assert Course().at(at, None) == verdict("register does not answer")


def test_when_the_time_is_over_it_goes_if_it_was_drained() -> None:
    """What is still open is told; what was never drained stays."""
    drained, never = Course(), Course()
    open_ = stream(proxy("a", 10, leaving=3))
    assert drained.at(129.9, DRAINS, open_) == Waiting("3 open at a; it drains for 2 s at least")
    assert drained.at(132.0, DRAINS, open_) == Free("the 30 s are over: 3 open at a")
    assert never.at(129.9, UP, open_) == Waiting("not every registry holds that it drains")
    assert never.at(130.0, UP, open_) == Refused("not every registry holds that it drains")


def test_a_register_that_restarts_is_waited_for() -> None:
    """Nothing is stopped before the new one has said that it drains, and the streams have told so again."""
    one = Course()
    free = stream(proxy("a", 10))
    one.at(100.0, DRAINS, free)
    assert one.at(103.0, None, free) == Waiting("register does not answer")
    # It listed, and wrote what it then knew; that is taken back now.
    assert one.at(103.2, UP, stream(proxy("a", 10), sequence=11, serves=True)) == Waiting(
        "not every registry holds that it drains"
    )
    assert one.at(103.4, DRAINS, stream(proxy("a", 11), sequence=12)) == Waiting(
        "not known yet to a; it drains for 2 s at least"
    )
    assert one.at(105.4, DRAINS, stream(proxy("a", 12), sequence=12)) == Free("nothing is open to it any more")


def test_after_a_silence_the_streams_are_to_be_seen_again() -> None:
    """Whoever was silent may have been restarted, and have said in between that the container is up."""
    one = Course()
    one.at(100.0, DRAINS, stream(proxy("a", 10)))
    one.at(103.0, None, stream(proxy("a", 10)))
    later = stream(proxy("a", 11), sequence=12)
    assert one.at(103.2, DRAINS, later) == Waiting("not known yet to a")
    assert one.at(103.4, DRAINS, evolve(later, proxies=(proxy("a", 12),))) == Free("nothing is open to it any more")


def test_a_register_that_died_while_all_drained_is_not_waited_for_for_ever() -> None:
    """What it wrote stands, until its lease ends or a successor comes."""
    one = Course()
    one.at(100.0, DRAINS)
    assert one.at(130.0, None) == Free("the 30 s are over: register does not answer")


def test_a_stream_that_begins_anew_is_looked_at_anew() -> None:
    """An entry of another life says nothing of this one, nor does a proxy that still serves by the old one."""
    one = Course()
    one.at(100.0, DRAINS, stream(proxy("a", 9)))
    anew = stream(proxy("a", 10), sequence=3, incarnation="another")
    assert one.at(103.0, DRAINS, anew) == Waiting("the stream does not say that it drains")
    assert one.at(103.2, DRAINS, anew) == Waiting("not known yet to a")
    there = evolve(anew, proxies=(proxy("a", 3, incarnation="another"),))
    assert one.at(103.4, DRAINS, there) == Free("nothing is open to it any more")
