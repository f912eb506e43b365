"""The halves of a connection: what an end or a loss on one side means for the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_proxy.relay.halves import Command, Halves, Side, ended, lost


@pytest.mark.parametrize("first", list(Side))
def test_one_end_is_passed_on_and_two_are_the_end(first: Side) -> None:
    """FIN travels to the other side; when both were sent, both are closed."""
    halves, command = ended(Halves.BOTH_OPEN, first)
    assert command is Command.FINISH_OTHER
    assert ended(halves, first) == (halves, None)
    assert ended(halves, first.other) == (Halves.OVER, Command.CLOSE_BOTH)


@given(st.lists(st.sampled_from([*Side, "lost"]), max_size=6))
def test_a_connection_ends_once(events: list[Side | str]) -> None:
    """Whatever happens in whatever order: one FIN per side at most, and nothing after the end."""
    halves, commands = Halves.BOTH_OPEN, []
    for event in events:
        was_over = halves is Halves.OVER
        halves, command = ended(halves, event) if isinstance(event, Side) else lost(halves)
        assert not (was_over and command)
        commands.append(command)
    done = [command for command in commands if command]
    assert len(done) <= 2
    assert (halves is Halves.OVER) == (Command.CLOSE_BOTH in done or Command.RESET_OTHER in done)
