"""The lead: asked for, renewed, given up; and who is woken when it changes."""

from threading import Event

from mooring.redis.memory import MemoryStream
from mooring_discover.leadership import Leadership

DEADLINE_SECONDS = 10.0


def test_epoch_is_what_was_last_given() -> None:
    """None while another leads, the next number once it resigned; a failure changes nothing but is told."""
    stream = MemoryStream(lambda: 0.0)
    first, second = (Leadership(stream, name, expiry_seconds=2.0) for name in ("first", "second"))
    assert second.failure
    first.ask()
    second.ask()
    assert (first.epoch, second.epoch, second.failure) == (1, None, "")
    stream.resign("first")
    second.ask()
    first.ask()
    assert (first.epoch, second.epoch) == (None, 2)
    stream.fail("away")
    second.ask()
    assert (second.epoch, "away" in second.failure) == (2, True)


def test_lead_that_expired_is_taken_by_who_asks_first() -> None:
    """Time alone ends a lead that is not renewed, and no epoch comes twice."""
    now = [0.0]
    stream = MemoryStream(lambda: now[0])
    first, second = (Leadership(stream, name, expiry_seconds=2.0) for name in ("first", "second"))
    first.ask()
    now[0] = 1.9
    second.ask()
    assert (first.epoch, second.epoch) == (1, None)
    now[0] = 2.1
    second.ask()
    first.ask()
    assert [first.epoch, second.epoch] == [None, 2]


def test_thread_strives_wakes_and_resigns() -> None:
    """The lead is there as soon as it can be, whoever waits for it is woken, and the end gives it up."""
    stream = MemoryStream(lambda: 0.0)
    stream.lead("another", expiry_seconds=60.0)
    ours, woken = Leadership(stream, "ours", expiry_seconds=2.0), Event()
    ours.start(woken.set)
    stream.resign("another")
    assert woken.wait(DEADLINE_SECONDS)
    assert ours.epoch == 2
    ours.stop(DEADLINE_SECONDS)
    assert stream.lead("another", expiry_seconds=60.0) == 3


def test_end_without_redis_does_not_fail() -> None:
    """A lead that cannot be given up expires."""
    stream = MemoryStream(lambda: 0.0)
    ours, woken = Leadership(stream, "ours", expiry_seconds=2.0), Event()
    ours.start(woken.set)
    assert woken.wait(DEADLINE_SECONDS)
    stream.fail()
    ours.stop(DEADLINE_SECONDS)
    stream.recover()
    assert stream.lead("another", expiry_seconds=60.0) is None
