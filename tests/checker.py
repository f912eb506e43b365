"""The checker of histories, as tests use it: asserts that a stream is legal and that its fold is the catalog.

The rules are those of `mooring verify` (mooring.redis.history), which keep a model of their own; that they see every
damage is tried in tests/unit/shared/test_history.py.
"""

from __future__ import annotations

from mooring.redis.history import Report, objections, report_of
from mooring.redis.stream import StreamReader
from mooring.redis.whole import read_whole


def check(stream: StreamReader) -> Report:
    """Read a stream, whole, and assert that nothing is wrong with it. A writer may be at work."""
    whole = read_whole(stream)
    assert whole is not None, "there is no stream"
    found = objections(whole.head, whole.entries, whole.catalog)
    assert not whole.unreadable, whole.unreadable
    assert not found, "\n".join(("the history is damaged:", *found))
    return report_of(whole.head, whole.entries)
