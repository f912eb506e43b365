"""The loop of `mooring stop`, with an engine and a register that do what the test says."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import pytest
from attrs import define, field

from mooring.errors import Unavailable
from mooring_register.containers import Container
from mooring_register.stop.announcement import Announcement, Answer
from mooring_register.stop.progress import Patience
from mooring_register.stop.stopping import BELIEVED_SECONDS, Outside, Stopping

UP = Answer(listed=True, instances=("web|a",))
DRAINS = Answer(listed=True, instances=("web|a",), drains=True)
UNKNOWN = Answer(listed=True)


@define
class Place:
    """A host: `answers` are what its register says of each container, in turn, the last one for ever."""

    answers: dict[str, list[Answer | None]]
    broken: frozenset[str] = frozenset()
    happened: list[str] = field(factory=list)
    seconds: dict[str, list[float]] = field(factory=dict)
    _lock: Lock = field(factory=Lock)

    def container(self, name: str) -> Container | None:
        """Return a container, if the register has an answer about it; `web.0` does not run."""
        if name not in self.answers:
            return None
        return Container(id=name, name=f"/{name}", running=name != "web.0", stop_timeout_seconds=3.0)

    def stop(self, container: Container) -> None:
        """Stop it, or break."""
        if container.id in self.broken:
            raise Unavailable("the engine says no")
        self.note(f"{container.id} stopped")

    def announce(self, announcement: Announcement) -> Answer:
        """Answer what comes next."""
        with self._lock:
            self.seconds.setdefault(announcement.container_id, []).append(announcement.seconds)
            answers = self.answers[announcement.container_id]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            raise Unavailable("nobody is there")
        return answer

    def note(self, text: str) -> None:
        """Note what happened."""
        with self._lock:
            self.happened.append(text)

    def stopping(self, *, force: bool = False) -> Stopping:
        """Return the loop; it waits for nobody for long."""
        say: Callable[[str, str], None] = lambda name, text: self.note(f"{name}: {text}")  # noqa: E731
        outside = Outside(engine=self, register=self, streams={}, say=say)
        return Stopping(outside, Patience(timeout_seconds=1.0, settle_seconds=0.0), force=force)


def test_several_are_stopped_each_when_it_is_free() -> None:
    """One that drains at once does not wait for another; what is named twice is stopped once."""
    place = Place({"slow": [UP, UP, DRAINS], "quick": [DRAINS]})
    assert place.stopping().run(["slow", "quick", "slow"])
    assert [one for one in place.happened if one.endswith(" stopped")] == ["quick stopped", "slow stopped"]


def test_it_drains_until_it_has_ended() -> None:
    """What is said is believed for a moment, and at the last for as long as the container is given to end."""
    place = Place({"web": [UP, DRAINS]})
    assert place.stopping().run(["web"])
    *before, last = place.seconds["web"]
    assert set(before) == {BELIEVED_SECONDS}
    assert last == 3.0 + 5.0


@pytest.mark.parametrize(
    ("name", "answers", "told"),
    [
        ("web", [UP], "not stopped: not every registry holds that it drains"),
        ("web", [None], "not stopped: register does not answer (nobody is there)"),
        ("nobody", [UP], "not stopped: there is no such container"),
    ],
    ids=["cannot be drained", "no register", "no container"],
)
def test_what_cannot_be_drained_is_not_stopped(name: str, answers: list[Answer | None], told: str) -> None:
    """It is said why."""
    place = Place({"web": answers})
    assert not place.stopping().run([name])
    assert place.happened[-1] == f"{name}: {told}"
    assert "web stopped" not in place.happened


def test_force() -> None:
    """Whoever insists has it stopped, after the attempt."""
    place = Place({"web": [None]})
    assert place.stopping(force=True).run(["web"])
    assert "web: stopping by force: register does not answer (nobody is there)" in place.happened
    assert "web stopped" in place.happened


def test_what_does_not_run_is_left_alone() -> None:
    """It is stopped already, and nobody is told."""
    place = Place({"web.0": [DRAINS]})
    assert place.stopping().run(["web.0"])
    assert place.happened == ["web.0: does not run"]
    assert place.seconds == {}


def test_an_engine_that_does_not_stop_it() -> None:
    """One that fails does not keep another from being stopped, and is told."""
    place = Place({"web": [UNKNOWN], "other": [UNKNOWN]}, broken=frozenset({"web"}))
    assert not place.stopping().run(["web", "other"])
    assert "web: not stopped: the engine says no" in place.happened
    assert "other stopped" in place.happened


def test_the_same_is_said_once() -> None:
    """A step is a line, however often it is looked at."""
    place = Place({"web": [UP, UP, UP, DRAINS]})
    assert place.stopping().run(["web"])
    assert len([one for one in place.happened if "waiting" in one]) == 1
