"""The demo's directory: its own, removed at the end, and by the next demo if it could not do so itself."""

from __future__ import annotations

from pathlib import Path

from mooring_stack.home import PREFIX, home


def test_it_is_there_within_and_gone_after(tmp_path: Path) -> None:
    """Whatever was put into it goes with it."""
    with home(tmp_path) as made:
        (made / "some.log").write_text("x")
        assert made.parent == tmp_path
    assert not list(tmp_path.iterdir())


def test_of_two_at_once_each_leaves_the_others_alone(tmp_path: Path) -> None:
    """The second demo's look for forgotten directories passes by the first one's."""
    with home(tmp_path) as first, home(tmp_path) as second:
        assert first != second
        assert first.is_dir()


def test_what_a_killed_demo_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """A lock that nobody holds marks a directory whose demo is dead."""
    forgotten = tmp_path / f"{PREFIX}dead"
    forgotten.mkdir()
    (forgotten / "lock").touch()
    with home(tmp_path):
        assert not forgotten.exists()


def test_a_directory_that_is_just_being_made_is_left_alone(tmp_path: Path) -> None:
    """Without a lock in place yet it cannot be told from a living one, so it is."""
    young = tmp_path / f"{PREFIX}young"
    young.mkdir()
    (young / "locking").touch()
    with home(tmp_path):
        assert young.is_dir()
