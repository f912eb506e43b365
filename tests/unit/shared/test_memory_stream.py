"""What a test can do to the twin of Redis: take it away, give it back, empty it, put something foreign into it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.errors import Unavailable
from mooring.facts import EpochBegan
from mooring.redis.memory import MemoryStream
from mooring.redis.stream import Overtaken
from tests.checker import check
from tests.streams import LONG_SECONDS, batch_of, begun, reading, sequences, setting, written


def test_a_failure_reaches_every_connection_until_it_recovers() -> None:
    """Each call raises, with the reason; afterwards everything is as it was."""
    stream = MemoryStream()
    head = begun(stream)
    stream.fail("the cable is cut")
    for connection in (stream, stream.another()):
        with pytest.raises(Unavailable, match="the cable is cut"):
            connection.head()
    stream.recover()
    assert stream.head() == head


def test_a_failure_ends_a_blocked_read() -> None:
    """A read that waits does not wait the failure out."""
    stream = MemoryStream()
    begun(stream)
    with ThreadPoolExecutor(1) as pool:
        found = reading(pool, stream.another(), 0)
        stream.fail()
        with pytest.raises(Unavailable):
            found.result(LONG_SECONDS / 2)


def test_answers_are_lost_as_often_as_asked() -> None:
    """Writes happen although their answers do not come; reads are answered."""
    stream = MemoryStream()
    stream.lose_answer(times=2)
    for expected in (1, 2):
        with pytest.raises(Unavailable):
            stream.begin(incarnation=f"life {expected}", epoch=1, run_id="")
        head = stream.head()
        assert head is not None
        assert head.incarnation == f"life {expected}"
    begun(stream)


def test_a_wiped_server_is_another_server() -> None:
    """Nothing is left and the run id differs, for every connection."""
    stream = MemoryStream()
    run_id = stream.run_id()
    begun(stream)
    stream.another().wipe()
    assert stream.head() is None
    assert stream.run_id() != run_id


def test_a_foreign_entry_stands_in_the_right_place() -> None:
    """An entry that cannot be read follows the last one, and the checker objects to it."""
    stream = MemoryStream()
    begun(stream)
    written(stream, EpochBegan("a"), setting(1))
    assert stream.intrude({"v": "1", "type": "instance-added", "value": "{"}) == 3
    assert sequences(stream.read(0, block_seconds=0)) == [1, 2, 3]
    with pytest.raises(AssertionError, match="entry 3-0"):
        check(stream)
    with pytest.raises(ValueError, match="call begin first"):
        MemoryStream().intrude({})


def test_a_flushed_server_is_the_same_server() -> None:
    """FLUSHALL leaves nothing but the run id."""
    stream = MemoryStream()
    run_id = stream.run_id()
    begun(stream)
    stream.wipe(is_restarted=False)
    assert (stream.head(), stream.run_id()) == (None, run_id)


def test_a_head_without_its_stream_counts_as_none() -> None:
    """As in Redis: whoever deletes the stream alone leaves nothing to read, and nothing to append to."""
    stream = MemoryStream()
    begun(stream)
    head = written(stream, EpochBegan("a"))
    stream.delete_stream()
    assert stream.head() is None
    assert stream.append(batch_of(head, setting(1))) == Overtaken(None)


def test_a_strangers_entry_is_far_behind_and_ends_the_stream() -> None:
    """As in Redis: the head does not know of it, readers see it, and nothing is appended any more."""
    stream = MemoryStream()
    begun(stream)
    head = written(stream, EpochBegan("a"))
    stream.scribble({"by": "hand"})
    assert stream.head() == head
    assert [entry.fields for entry in stream.read(1, block_seconds=0)] == [{"by": "hand"}]
    assert stream.append(batch_of(head, setting(1))) == Overtaken(None)


def test_a_replica_that_takes_over_lacks_what_it_had_not_heard() -> None:
    """It has another run id; what is written there afterwards does not change the replica that was taken."""
    stream = MemoryStream()
    begun(stream)
    written(stream, EpochBegan("a"))
    run_id, replica = stream.run_id(), stream.replicate()
    for _ in range(2):
        written(stream, setting(1))
        stream.fail_over(replica)
        head = stream.head()
        assert head is not None
        assert (head.sequence, stream.catalog().settings) == (1, {})
        assert stream.run_id() != run_id
