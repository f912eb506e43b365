"""The state directory: the newest catalog in one piece, whatever happens while it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mooring.catalog import catalog_of
from mooring.model import Address, Instance
from mooring_proxy.following import Known, Position
from mooring_proxy.state_dir import FILE_NAME, Saver, load, save


def known(sequence: int) -> Known:
    """Return a catalog at a sequence."""
    return Known(Position("life", sequence), catalog_of([Instance(service="web", id="a", address=Address("h", 1))]), {})


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """The later replaces the earlier, and nothing else is left in the directory."""
    assert load(tmp_path) is None
    save(tmp_path, known(1))
    save(tmp_path, known(2))
    assert load(tmp_path) == known(2)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_broken_file_is_not_used(tmp_path: Path) -> None:
    """It is said, and the proxy starts without."""
    (tmp_path / FILE_NAME).write_text("{")
    assert load(tmp_path) is None


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    """If we crash before the rename, what was stored before is still there, whole."""
    save(tmp_path, known(1))
    (tmp_path / f"{FILE_NAME}.1.new").write_text('{"v": 1, "incarn')
    assert load(tmp_path) == known(1)


def test_another_proxy_of_our_process_number_is_not_disturbed(tmp_path: Path) -> None:
    """Two containers may share the directory, and both proxies be process 1: neither writes into the other's draft."""
    others = tmp_path / f"{FILE_NAME}.{os.getpid()}.new"
    others.write_text('{"v": 1, "incarn')
    save(tmp_path, known(1))
    assert others.read_text() == '{"v": 1, "incarn'
    assert load(tmp_path) == known(1)


def test_only_the_newest_is_stored(tmp_path: Path) -> None:
    """What was overtaken before its turn came is not written at all; the last one is, even when told to stop."""
    written: list[int] = []
    saver = Saver(tmp_path, lambda _, known: written.append(known.position.sequence))
    for sequence in (1, 2, 3):
        saver.put(known(sequence))
    saver.stop()
    saver.run()
    assert written == [3]


def test_a_bug_while_storing_ends_nothing(tmp_path: Path) -> None:
    """The thread goes on, for a proxy that ended would take its traffic along."""

    def fail(directory: Path, known: Known) -> None:
        raise ZeroDivisionError

    saver = Saver(tmp_path, fail)
    saver.put(known(1))
    saver.stop()
    saver.run()
    assert load(tmp_path) is None


def test_a_directory_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    """The proxy goes on without a stored table."""
    saver = Saver(tmp_path / "missing")
    saver.put(known(1))
    saver.stop()
    saver.run()
    with pytest.raises(OSError, match="missing"):
        save(tmp_path / "missing", known(1))
