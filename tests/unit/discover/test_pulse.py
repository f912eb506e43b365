"""A store that is asked once a second whether it answers."""

from threading import Thread

from attrs import define, field

from mooring.errors import Unavailable
from mooring.etcd.memory import MemoryStore
from mooring.etcd.store import KeyValue
from mooring_discover.sources.pulse import SLOW_SECONDS, Pulse

JOIN_SECONDS = 5.0


@define
class Told:
    """What a pulse told."""

    words: list[str] = field(factory=list)

    def lost(self, reason: str) -> None:
        """Note a silence."""
        self.words.append(reason)

    def recovered(self) -> None:
        """Note an answer."""
        self.words.append("recovered")


class SlowStore(MemoryStore):
    """A store that lets time pass before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.takes_seconds = 0.0

    def get(self, key: str) -> KeyValue | None:
        """Take a while, then answer."""
        self.time += self.takes_seconds
        return super().get(key)


def test_answers_and_failures_are_told_as_they_are() -> None:
    """Lost with the reason while the store fails, recovered with each answer."""
    store, told = MemoryStore(), Told()
    pulse = Pulse(store, lost=told.lost, recovered=told.recovered)
    pulse.beat()
    store.fail("refused")
    pulse.beat()
    store.recover()
    pulse.beat()
    assert told.words == ["recovered", str(Unavailable("refused")), "recovered"]


def test_slow_answer_is_a_silence_that_is_over() -> None:
    """A store that was frozen answers in the end, and may have expired leases as it woke."""
    store, told = SlowStore(), Told()
    pulse = Pulse(store, lost=told.lost, recovered=told.recovered, monotonic=lambda: store.time)
    store.takes_seconds = SLOW_SECONDS
    pulse.beat()
    store.takes_seconds = SLOW_SECONDS + 1.0
    pulse.beat()
    assert told.words == ["recovered", "took 2.5 s to answer", "recovered"]


def test_stop_ends_the_asking_at_once() -> None:
    """Nobody waits for the next beat, and a failure after that is not told."""
    store, told = MemoryStore(), Told()
    pulse = Pulse(store, lost=told.lost, recovered=told.recovered)
    thread = Thread(target=pulse.run)
    thread.start()
    pulse.stop()
    thread.join(JOIN_SECONDS)
    assert not thread.is_alive()
    store.fail()
    pulse.beat()
    assert told.words == []
