"""What every stream does, held to the twin in memory and to a real Redis: leading, reading, trimming, announcing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from attrs import evolve

from mooring.errors import Unavailable
from mooring.facts import EpochBegan
from mooring.keys import RedisNames
from mooring.redis.stream import Appended, Lead, Overtaken, StreamWriter
from tests.checker import check
from tests.streams import (
    LONG_SECONDS,
    SHORT_SECONDS,
    Bench,
    batch_of,
    begun,
    eventually,
    memory_bench,
    reading,
    redis_bench,
    sequences,
    setting,
    written,
)


@pytest.fixture(params=["memory", "redis"])
def bench(request: pytest.FixtureRequest, namespace: str) -> Iterator[Bench]:
    """Run the test twice: on the twin, and on a Redis that it shares with others."""
    if request.param == "memory":
        with memory_bench() as made:
            yield made
    else:
        with redis_bench(request.getfixturevalue("redis_server"), RedisNames(namespace)) as made:
            yield made


# -- the lead ---------------------------------------------------------------------------------------------------------


def test_one_leads_and_keeps_its_epoch(bench: Bench) -> None:
    """Whoever asks first leads; renewing keeps the epoch, and nobody else gets it meanwhile."""
    other = bench.another()
    assert bench.stream.lead("a", expiry_seconds=LONG_SECONDS) == 1
    assert other.lead("b", expiry_seconds=LONG_SECONDS) is None
    assert bench.stream.lead("a", expiry_seconds=LONG_SECONDS) == 1


def test_everybody_sees_who_leads(bench: Bench) -> None:
    """Whoever reads sees the leader with its epoch, and nobody once the lead was given up or has expired."""
    reader = bench.another()
    assert reader.leader() is None
    bench.stream.lead("host:1 a", expiry_seconds=LONG_SECONDS)
    assert reader.leader() == Lead("host:1 a", 1)
    bench.stream.resign("host:1 a")
    assert reader.leader() is None
    bench.stream.lead("b", expiry_seconds=SHORT_SECONDS)
    eventually(bench, lambda: reader.leader() is None, "the lead to expire")
    bench.stream.lead("c", expiry_seconds=LONG_SECONDS)
    assert reader.leader() == Lead("c", 3)


def test_of_many_that_ask_at_once_one_leads(bench: Bench) -> None:
    """A race for the lead has exactly one winner."""
    streams = [bench.another() for _ in range(8)]
    with ThreadPoolExecutor(len(streams)) as pool:
        asked = [
            pool.submit(stream.lead, f"leader {number}", expiry_seconds=LONG_SECONDS)
            for number, stream in enumerate(streams)
        ]
        answers = [one.result(LONG_SECONDS) for one in asked]
    assert sorted(answers, key=str) == [1, *[None] * 7]


def test_who_resigns_is_followed_at_once(bench: Bench) -> None:
    """A standby leads without waiting, in the next epoch; resigning what one does not hold changes nothing."""
    bench.stream.lead("a", expiry_seconds=LONG_SECONDS)
    bench.stream.resign("b")
    assert bench.another().lead("b", expiry_seconds=LONG_SECONDS) is None
    bench.stream.resign("a")
    assert bench.another().lead("b", expiry_seconds=LONG_SECONDS) == 2


def test_a_lead_whose_answer_was_lost_is_the_same_lead(bench: Bench) -> None:
    """Asked again, the lead that was taken unnoticed is renewed, not taken anew."""
    bench.stream.lead("a", expiry_seconds=LONG_SECONDS)
    bench.stream.resign("a")
    bench.lose_answer()
    with pytest.raises(Unavailable):
        bench.stream.lead("a", expiry_seconds=LONG_SECONDS)
    assert bench.stream.lead("a", expiry_seconds=LONG_SECONDS) == 2


def test_a_leader_that_wakes_too_late_is_refused(bench: Bench) -> None:
    """Its lead expired while it stood still, another took over: its next batch is not written."""
    epoch = bench.stream.lead("a", expiry_seconds=SHORT_SECONDS)
    assert epoch == 1
    begun(bench.stream, epoch=epoch)
    before = written(bench.stream, EpochBegan("a"))
    successor = bench.another()
    eventually(bench, lambda: successor.lead("b", expiry_seconds=LONG_SECONDS) == 2, "the lead to expire")
    assert bench.stream.append(batch_of(before, setting(1))) == Overtaken(evolve(before, epoch=2))
    assert bench.stream.lead("a", expiry_seconds=LONG_SECONDS) is None
    written(successor, EpochBegan("b"))
    assert check(successor).epochs == (1, 2)


def test_two_writers_of_one_epoch_leave_no_gap(bench: Bench) -> None:
    """Even if two believed to lead in one epoch, each entry has one writer and the history stays whole."""
    begun(bench.stream)
    written(bench.stream, EpochBegan("a"))

    def write(stream: StreamWriter, numbers: range) -> int:
        refusals = 0
        for number in numbers:
            while True:
                head = stream.head()
                assert head is not None
                if isinstance(stream.append(batch_of(head, setting(number))), Appended):
                    break
                refusals += 1
        return refusals

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(write, bench.another(), range(100))
        second = pool.submit(write, bench.another(), range(100, 200))
        first.result(LONG_SECONDS)
        second.result(LONG_SECONDS)
    assert check(bench.stream).counts == {"epoch-began": 1, "setting-changed": 200}


# -- reading ----------------------------------------------------------------------------------------------------------


def test_a_read_gives_what_comes_after(bench: Bench) -> None:
    """Entries after the cursor come in order, at most as many as asked for; at the end there are none."""
    begun(bench.stream)
    written(bench.stream, EpochBegan("a"), *map(setting, range(4)))
    assert sequences(bench.stream.read(2, block_seconds=0)) == [3, 4, 5]
    assert sequences(bench.stream.read(0, block_seconds=0, most=2)) == [1, 2]
    assert bench.stream.read(5, block_seconds=0) == ()
    assert sequences(bench.stream.tail(2)) == [4, 5]


def test_a_read_waits_for_what_comes(bench: Bench) -> None:
    """A read that finds nothing sleeps until something is appended, even where no stream is yet."""
    reader = bench.another()
    begun(bench.stream)
    with ThreadPoolExecutor(1) as pool:
        for expected in (1, 2):
            found = reading(pool, reader, expected - 1)
            assert not found.done()
            written(bench.stream, EpochBegan("a") if expected == 1 else setting(1))
            assert sequences(found.result(LONG_SECONDS)) == [expected]


def test_a_read_that_waited_in_vain_gives_nothing(bench: Bench) -> None:
    """When nothing comes, the read ends by itself."""
    begun(bench.stream)
    assert bench.stream.read(0, block_seconds=0.05) == ()


def test_a_reset_under_a_blocked_read_shows_in_the_head_alone(bench: Bench) -> None:
    """A stream that is emptied and refilled up to the cursor wakes nobody; past it, entries of another life come."""
    begun(bench.stream)
    written(bench.stream, EpochBegan("a"), setting(1))
    reader = bench.another()
    with ThreadPoolExecutor(1) as pool:
        found = reading(pool, reader, 2)
        bench.empty()
        begun(bench.stream, "next life")
        written(bench.stream, EpochBegan("a"), setting(1))
        assert not found.done()
        written(bench.stream, setting(2))
        (entry,) = found.result(LONG_SECONDS)
    assert (entry.sequence, entry.fields["incarnation"]) == (3, "next life")


def test_closing_ends_a_blocked_read(bench: Bench) -> None:
    """A read in another thread ends at once with an error; other connections live on, this one is of no more use."""
    begun(bench.stream)
    reader = bench.another()
    reader.head()
    with ThreadPoolExecutor(1) as pool:
        found = reading(pool, reader, 0)
        reader.close()
        with pytest.raises(Unavailable):
            found.result(1.5)  # less than the wait that is asked of Redis at a time
    with pytest.raises(Unavailable, match="closed"):
        reader.head()
    assert bench.stream.head() is not None


# -- trimming ---------------------------------------------------------------------------------------------------------


def test_trimming_drops_the_beginning(bench: Bench) -> None:
    """What is read afterwards begins at the first entry kept, which the head names; the catalog keeps everything."""
    begun(bench.stream)
    head = written(bench.stream, EpochBegan("a"), *map(setting, range(5)))
    bench.stream.trim(4)
    assert sequences(bench.another().read(1, block_seconds=0)) == [4, 5, 6]
    assert bench.stream.head() == evolve(head, first=4)
    assert len(bench.stream.catalog().settings) == 5
    check(bench.stream)
    written(bench.stream, setting(9))
    assert check(bench.stream).sequence == 7


@pytest.mark.parametrize("first", [-1, 0, 1, 2, 5, 99])
def test_trimming_never_goes_back_nor_past_the_end(bench: Bench, first: int) -> None:
    """What was dropped does not come back, and the newest entry stays whatever is asked."""
    begun(bench.stream)
    written(bench.stream, EpochBegan("a"), *map(setting, range(3)))
    bench.stream.trim(3)
    before = bench.stream.head()
    bench.stream.trim(first)
    assert bench.stream.head() == before
    assert sequences(bench.stream.read(0, block_seconds=0)) == [3, 4]


def test_trimming_where_nothing_is_changes_nothing(bench: Bench) -> None:
    """Neither without a stream nor in an empty one."""
    bench.stream.trim(3)
    assert bench.stream.head() is None
    head = begun(bench.stream)
    bench.stream.trim(3)
    assert bench.stream.head() == head


# -- announcing -------------------------------------------------------------------------------------------------------


def test_proxies_are_seen_until_they_fall_silent(bench: Bench) -> None:
    """Each announcement replaces the one before, and is gone after its expiry."""
    assert bench.stream.announced() == {}
    bench.stream.announce("edge*1", {"sequence": "1", "frozen": "x"}, expiry_seconds=1)
    bench.another().announce("edge/2", {"sequence": "7"}, expiry_seconds=100)
    bench.stream.announce("edge*1", {"sequence": "2"}, expiry_seconds=1)
    assert bench.stream.announced() == {"edge*1": {"sequence": "2"}, "edge/2": {"sequence": "7"}}
    eventually(bench, lambda: bench.stream.announced() == {"edge/2": {"sequence": "7"}}, "the other to expire")
