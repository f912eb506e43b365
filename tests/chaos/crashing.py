"""Failures at a chosen call: whatever a part asks of etcd or Redis passes a trap, and one call springs it.

A trap counts the calls that pass it, of all lives together, and knows three ways to fail at one of them, before it had
its effect or after:

- the world fails: this call raises `Unavailable`, the next one is answered;
- we die: the life that called has no effect any more, whatever it still does; the test begins the next life;
- we are killed: the process that called ends by SIGKILL.

`tried_at_every_call` plays a story undisturbed, and then once per call and side, and wants the same ending each time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from random import Random
from threading import Lock
from typing import Any, TypeVar, cast

from attrs import AttrsInstance, fields_dict, frozen

from mooring.errors import Unavailable

T = TypeVar("T")

RUNS_AT_ONCE = 6
SOON_CALLS = 8  # the second crash of a pair comes at most so many calls after the first


class Side(StrEnum):
    """Whether a call fails before it had its effect, or after."""

    BEFORE = "before"
    AFTER = "after"


class Fate(StrEnum):
    """Who fails."""

    OUTAGE = "the world fails"
    DEATH = "we die"
    SIGKILL = "we are killed"


@frozen
class Crash:
    """A failure at a call; `number` counts from 1, or from the crash before this one, and only calls of that purpose.

    Where several threads call, their order is nobody's: there a call is told by its purpose.
    """

    number: int
    side: Side
    fate: Fate
    purpose: str = ""

    def __str__(self) -> str:
        """Return it as a sentence tells it."""
        return f"{self.fate} {self.side} {self.purpose or 'call'} {self.number}"


@frozen
class Call:
    """A call that passed: its method, and what it was to do, in words."""

    method: str
    purpose: str
    writes: bool

    def __str__(self) -> str:
        """Return its words."""
        return self.purpose


@frozen
class Seam:
    """A protocol behind which something can fail: which of its methods write, and how a call is put into words."""

    protocol: type
    writes: frozenset[str]
    purpose: Callable[[str, Sequence[Any]], str]
    never_fails: frozenset[str] = frozenset({"close"})

    @property
    def methods(self) -> frozenset[str]:
        """Return the names of all methods that can fail."""
        return frozenset(name for name in dir(self.protocol) if not name.startswith("_")) - self.never_fails


class Life:
    """One life of a part; once it is over nothing that it does has an effect."""

    is_over = False


class Trap:
    """Lets calls pass, and springs at those that it was set to. Safe to use from several threads."""

    def __init__(self, *crashes: Crash) -> None:
        self.calls: list[Call] = []
        self.sprung: list[str] = []
        self._crashes = list(crashes)
        self._since_last = 0
        self._lock = Lock()

    @property
    def is_spent(self) -> bool:
        """Whether everything that it was set to has happened."""
        return not self._crashes

    def guard(self, inner: T, seam: Seam, life: Life) -> T:
        """Return the same thing behind the trap, for one life."""
        return cast("T", _Guarded(inner, seam, life, self))

    def let_pass(self, life: Life, call: Call, act: Callable[[], object]) -> object:
        """Count a call, and carry it out unless it fails before that."""
        with self._lock:
            if life.is_over:
                raise Unavailable("this life is over")
            crash = self._next(call)
            if crash is not None and crash.side is Side.BEFORE:
                raise self._spring(crash, call, life)
        answer = act()
        if crash is not None:
            with self._lock:
                raise self._spring(crash, call, life)
        if life.is_over:
            raise Unavailable("this life ended meanwhile")
        return answer

    def _next(self, call: Call) -> Crash | None:
        self.calls.append(call)
        if not self._crashes or self._crashes[0].purpose not in ("", call.purpose):
            return None
        self._since_last += 1
        if self._crashes[0].number != self._since_last:
            return None
        self._since_last = 0
        return self._crashes.pop(0)

    def _spring(self, crash: Crash, call: Call, life: Life) -> Unavailable:
        self.sprung.append(f"{crash} ({call})")
        if crash.fate is Fate.SIGKILL:
            os.kill(os.getpid(), signal.SIGKILL)
        life.is_over = life.is_over or crash.fate is Fate.DEATH
        return Unavailable(f"{crash.fate} {crash.side} this call")


class _Guarded:
    """Whatever stands behind a seam, with each of its methods behind a trap."""

    def __init__(self, inner: object, seam: Seam, life: Life, trap: Trap) -> None:
        self._inner, self._seam, self._life, self._trap = inner, seam, life, trap

    def __getattr__(self, name: str) -> object:
        method = getattr(self._inner, name)
        if name not in self._seam.methods:
            return method

        def passing(*positional: Any, **named: Any) -> object:  # noqa: ANN401 -- whatever the method takes
            purpose = self._seam.purpose(name, (*positional, *named.values()))
            call = Call(name, purpose, name in self._seam.writes)
            return self._trap.let_pass(self._life, call, lambda: method(*positional, **named))

        return passing


# -- stories: played once per crash, with one ending


@frozen
class Story:
    """Something that happens to a part from beginning to end. `play` asserts what must hold on the way."""

    name: str
    play: Callable[[Trap], AttrsInstance]


@frozen
class Tried:
    """What was tried: the calls of the undisturbed run, and how many runs were made besides."""

    calls: tuple[Call, ...]
    runs: int

    @property
    def methods(self) -> frozenset[str]:
        """Return the methods at which there were crashes."""
        return frozenset(call.method for call in self.calls)

    @property
    def written(self) -> frozenset[str]:
        """Return the purposes of the writes at which there were crashes."""
        return frozenset(call.purpose for call in self.calls if call.writes)


def crash_points(calls: Iterable[Call], fate: Fate, *, dies_reading: bool = False) -> Iterator[Crash]:
    """Yield a crash before and after each write, and an outage at each reading.

    Who dies at a reading leaves behind what he left after the write before it, unless he writes elsewhere, too.
    """
    for number, call in enumerate(calls, 1):
        if call.writes or dies_reading or fate is Fate.OUTAGE:
            yield Crash(number, Side.BEFORE, fate)
        if call.writes:
            yield Crash(number, Side.AFTER, fate)


def tried_at_every_call(story: Story, *fates: Fate, dies_reading: bool = False) -> Tried:
    """Play the story undisturbed, then with a crash of each fate at each of its calls; all must end the same.

    Raises:
        AssertionError: it ended otherwise, or something on the way was wrong: for each such crash, how.
    """
    undisturbed = Trap()
    ending = story.play(undisturbed)
    traps = [
        Trap(crash) for fate in fates for crash in crash_points(undisturbed.calls, fate, dies_reading=dies_reading)
    ]
    _assert_same_ending(story, ending, traps)
    assert all(trap.is_spent for trap in traps), "a run made fewer calls than the undisturbed one"
    return Tried(tuple(undisturbed.calls), len(traps))


def tried_twice(story: Story, fates: Sequence[Fate], count: int, dice: Random) -> int:
    """Play the story with so many pairs of crashes, the second soon after the first; return how many had both."""
    undisturbed = Trap()
    ending = story.play(undisturbed)
    points = [crash for fate in fates for crash in crash_points(undisturbed.calls, fate)]
    seconds = [Crash(dice.randint(1, SOON_CALLS), dice.choice(list(Side)), dice.choice(fates)) for _ in range(count)]
    traps = [Trap(dice.choice(points), second) for second in seconds]
    _assert_same_ending(story, ending, traps)
    return sum(trap.is_spent for trap in traps)


@frozen
class Moment:
    """When a part is to be killed: in which of its processes, at which call of that purpose."""

    process: int
    purpose: str
    number: int = 1


def killed_at_every(moments: Iterable[Moment], play: Callable[[Crash, int], int]) -> int:
    """Play a story with a SIGKILL before and after each of these calls; return how often.

    `play` is given the crash and the number of the process that it is for, asserts that the story ended well, and
    returns how often somebody was killed.
    """
    crashes = [
        (Crash(moment.number, side, Fate.SIGKILL, moment.purpose), moment.process)
        for moment in moments
        for side in Side
    ]
    with ThreadPoolExecutor(RUNS_AT_ONCE) as pool:
        told = list(pool.map(lambda one: _killed(play, *one), crashes))
    wrong = [text for text in told if text]
    assert not wrong, "\n\n".join((f"{len(wrong)} of {len(crashes)} deaths did harm:", *wrong))
    return len(crashes)


def _killed(play: Callable[[Crash, int], int], crash: Crash, process: int) -> str:
    try:
        deaths = play(crash, process)
    except AssertionError as error:
        return f"{crash} in process {process}: {error}"
    return "" if deaths == 1 else f"{crash} in process {process}: {deaths} were killed"


def _assert_same_ending(story: Story, ending: AttrsInstance, traps: Sequence[Trap]) -> None:
    # A run mostly waits for a disk or a socket.
    with ThreadPoolExecutor(RUNS_AT_ONCE) as pool:
        objections = list(pool.map(lambda trap: _objection(story, ending, trap), traps))
    wrong = [text for text in objections if text]
    assert not wrong, "\n\n".join((f"{story.name}: {len(wrong)} of {len(traps)} crashes did harm:", *wrong))


def _objection(story: Story, ending: AttrsInstance, trap: Trap) -> str:
    try:
        got = story.play(trap)
    except AssertionError as error:
        return f"{'; '.join(trap.sprung)}: {error}"
    return "" if got == ending else f"{'; '.join(trap.sprung)}: ended otherwise:{_differences(got, ending)}"


def _differences(got: AttrsInstance, wanted: AttrsInstance) -> str:
    """Return in which of their fields two values of one class differ."""
    both = [(name, getattr(got, name), getattr(wanted, name)) for name in fields_dict(type(wanted))]
    return "".join(f"\n  {name} {this}\n  instead of {that}" for name, this, that in both if this != that)
