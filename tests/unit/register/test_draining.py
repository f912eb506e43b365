"""Which signals announce a container's end."""

import pytest

from mooring_register.draining import (
    NOT_STOPPED,
    SURVIVED,
    Drain,
    after_announcement,
    after_signal,
    announces_end,
    signal_number,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("15", 15),
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigterm", 15),
        ("SIGQUIT", 3),
        ("RTMIN+3", 37),
        ("SIGRTMIN+3", 37),
        ("SIGRTMIN", 34),
        ("RTMAX-1", 63),
        ("SIGRTMAX", 64),
        ("RTMIN+99", None),
        ("0", None),
        ("65", None),
        ("", None),
        ("SIGNONSENSE", None),
    ],
)
def test_signal_number(text: str, number: int | None) -> None:
    """A signal is read from its number, its name with or without SIG, and from both ends of the real-time signals."""
    assert signal_number(text) == number


@pytest.mark.parametrize(
    ("sent", "stop_signal", "drains"),
    [
        ("15", "SIGTERM", True),
        ("15", "15", True),
        ("3", "SIGQUIT", True),
        ("15", "SIGQUIT", False),
        ("37", "RTMIN+3", True),
        ("9", "SIGTERM", False),
        ("1", "SIGTERM", False),
        ("1", "SIGHUP", False),
        ("28", "SIGWINCH", False),
        ("10", "SIGUSR1", False),
        ("nonsense", "nonsense", False),
    ],
)
def test_announces_end(sent: str, stop_signal: str, drains: bool) -> None:
    """The container's own stop signal drains; what people send to reload never does."""
    assert announces_end(sent, stop_signal) is drains


def test_draining_ends() -> None:
    """A stop signal is believed until Docker would have killed the container, and five seconds more."""
    assert after_signal(None, 1000.0, 10.0) == Drain(1015.0, SURVIVED)


def test_of_two_announced_ends_the_later_counts() -> None:
    """Announced again, an end is never believed for less long than before, whether by a signal or by a word."""
    announced = after_announcement(Drain(1015.0, SURVIVED), 1005.0)
    assert announced == Drain(1015.0, NOT_STOPPED)
    assert after_announcement(announced, 1020.0).until == 1020.0
    assert after_signal(after_announcement(None, 1060.0), 1000.0, 10.0) == Drain(1060.0, SURVIVED)
