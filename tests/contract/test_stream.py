"""What every stream does, held to the twin in memory and to a real Redis: the head, incarnations, the atomic step."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.errors import Fenced, Unavailable
from mooring.facts import BindingAdded, EpochBegan, Fact, InstanceAdded, InstanceRemoved
from mooring.keys import RedisNames
from mooring.redis.step import MOST_ENTRIES
from mooring.redis.stream import Appended, Batch, Head, Overtaken
from tests.checker import check
from tests.histories import History, binding, histories, instance
from tests.streams import (
    LONG_SECONDS,
    Bench,
    batch_of,
    begun,
    facts_read,
    memory_bench,
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


# -- the head and the incarnation -------------------------------------------------------------------------------------


def test_there_is_no_head_before_an_incarnation_begins(bench: Bench) -> None:
    """Taking the lead writes an epoch, but opens no stream."""
    assert bench.stream.head() is None
    assert bench.stream.lead("a", expiry_seconds=LONG_SECONDS) == 1
    assert bench.stream.head() is None
    assert bench.stream.append(batch_of(Head(incarnation="life", epoch=1), setting(1))) == Overtaken(None)


def test_an_incarnation_begins_empty(bench: Bench) -> None:
    """What begin returns is what stands there: sequence 0, not complete, the run id of this Redis."""
    head = begun(bench.stream)
    assert head == Head(incarnation="life", epoch=1, run_id=bench.stream.run_id())
    assert bench.another().head() == head
    assert bench.stream.read(0, block_seconds=0) == ()


def test_a_new_incarnation_leaves_nothing_of_the_old(bench: Bench) -> None:
    """Entries, catalog, ports, sources and completeness are gone in the same moment."""
    facts = (EpochBegan("a"), InstanceAdded(instance(1, 1)), BindingAdded(binding(1, 1)), setting(1))
    bench.stream.append(batch_of(begun(bench.stream), *facts, ports={"80/tcp": "web"}, sources={"e:state": "x"}))
    head = begun(bench.stream, "next life")
    assert bench.stream.head() == head == Head(incarnation="next life", epoch=1, run_id=bench.stream.run_id())
    assert bench.stream.read(0, block_seconds=0) == bench.stream.tail(1) == ()
    assert bench.stream.ports() == {}
    assert not any((bench.stream.catalog().services, bench.stream.catalog().bindings, bench.stream.catalog().settings))


def test_an_incarnation_begins_only_in_the_epoch_that_leads(bench: Bench) -> None:
    """Neither a leader that was overtaken nor one from before a reset empties what another has begun."""
    head = begun(bench.stream, epoch=4)
    for epoch in (3, 5):
        with pytest.raises(Fenced, match=f"epoch 4, ours is {epoch}"):
            begun(bench.stream, "usurper", epoch=epoch)
    assert bench.stream.head() == head


def test_an_emptied_redis_has_no_head(bench: Bench) -> None:
    """After a reset there is no stream to read or to append to, and the lead is free."""
    head = begun(bench.stream)
    written(bench.stream, EpochBegan("a"))
    bench.stream.lead("a", expiry_seconds=LONG_SECONDS)
    bench.empty()
    assert bench.stream.head() is None
    assert bench.stream.append(batch_of(evolve(head, sequence=1), setting(1))) == Overtaken(None)
    assert bench.stream.lead("b", expiry_seconds=LONG_SECONDS) == 1


# -- append -----------------------------------------------------------------------------------------------------------


def test_a_batch_is_written_with_all_that_goes_with_it(bench: Bench) -> None:
    """Entries, catalog, ports, sources and completeness stand there after one append."""
    facts = (EpochBegan("a"), InstanceAdded(instance(1, 1)), BindingAdded(binding(1, 1)), setting(1))
    whole = batch_of(begun(bench.stream), *facts, ports={"80/tcp": "web"}, sources={"e:revision": "7"}, complete=True)
    assert bench.stream.append(whole) == Appended(4)
    reader = bench.another()
    head = reader.head()
    assert head is not None
    assert (head.sequence, head.complete, head.sources) == (4, True, {"e:revision": "7"})
    assert facts_read(reader.read(0, block_seconds=0)) == [*facts]
    assert reader.ports() == {"80/tcp": "web"}
    assert reader.catalog().settings == {"key/1": "x"}
    check(reader)


def test_a_batch_without_entries_changes_only_what_stands_beside(bench: Bench) -> None:
    """Ports are replaced as a whole, sources one by one, and what was complete once stays so."""
    head = begun(bench.stream)
    bench.stream.append(batch_of(head, ports={"1/tcp": "a", "2/tcp": "b"}, sources={"x": "1", "y": "1"}, complete=True))
    assert bench.stream.append(batch_of(head, ports={"2/tcp": "c"}, sources={"y": "2"})) == Appended(0)
    assert bench.stream.ports() == {"2/tcp": "c"}
    assert bench.stream.head() == evolve(head, complete=True, sources={"x": "1", "y": "2"})
    assert bench.stream.append(batch_of(head, ports={})) == Appended(0)
    assert bench.stream.ports() == {}


@pytest.mark.parametrize("wrong", [{"incarnation": "other"}, {"epoch": 2}, {"sequence": 0}, {"sequence": 2}])
def test_a_batch_that_follows_another_head_is_refused(bench: Bench, wrong: Mapping[str, Any]) -> None:
    """Whichever of incarnation, epoch and sequence differs: nothing is written, and the head comes back."""
    begun(bench.stream)
    head = written(bench.stream, EpochBegan("a"))
    stranger = batch_of(evolve(head, **wrong), setting(1), ports={"80/tcp": "web"}, complete=True)
    assert bench.stream.append(stranger) == Overtaken(head)
    assert bench.stream.head() == head
    assert sequences(bench.stream.read(0, block_seconds=0)) == [1]
    assert bench.stream.ports() == {}


def test_a_batch_sent_twice_is_written_once(bench: Bench) -> None:
    """The same batch again is recognised; another one of the same length is not mistaken for it."""
    head = begun(bench.stream)
    batch = batch_of(head, EpochBegan("a"), setting(1))
    assert bench.stream.append(batch) == bench.another().append(batch) == Appended(2)
    other = batch_of(head, EpochBegan("a"), setting(2))
    assert bench.stream.append(other) == Overtaken(evolve(head, sequence=2))
    assert check(bench.stream).sequence == 2


def test_an_answer_that_is_lost_is_no_entry_twice(bench: Bench) -> None:
    """The append happened although its answer never came; sent again, it counts as appended."""
    begun(bench.stream)
    head = written(bench.stream, EpochBegan("a"))
    batch = batch_of(head, setting(1), setting(2), ports={"80/tcp": "web"})
    bench.lose_answer()
    with pytest.raises(Unavailable):
        bench.stream.append(batch)
    assert sequences(bench.another().tail(9)) == [1, 2, 3]
    assert bench.stream.append(batch) == Appended(3)
    assert check(bench.stream).sequence == 3


def test_our_own_mistakes_are_no_bad_luck(bench: Bench) -> None:
    """A batch too large, or with entries that do not belong to it, is a bug and writes nothing."""
    head = begun(bench.stream)
    with pytest.raises(ValueError, match=f"at most {MOST_ENTRIES}"):
        bench.stream.append(batch_of(head, *map(setting, range(MOST_ENTRIES + 1))))
    good = batch_of(head, EpochBegan("a"), setting(1))
    for wrong in (good.entries[:0:-1], (evolve(good.entries[0], epoch=2),), (evolve(good.entries[0], sequence=2),)):
        with pytest.raises(ValueError, match="belongs"):
            bench.stream.append(evolve(good, entries=wrong))
    assert bench.stream.head() == head


def test_thousands_of_entries_give_the_catalog(bench: Bench) -> None:
    """5 000 entries in full batches: instances come and go, and the scanned catalog is the fold of all of them."""
    services = [instance(number, 1) for number in range(3000)]
    facts: list[Fact] = [EpochBegan("a"), *map(InstanceAdded, services)]
    facts += [InstanceRemoved(gone) for gone in services[:1999]]
    begun(bench.stream)
    for start in range(0, len(facts), MOST_ENTRIES):
        written(bench.stream, *facts[start : start + MOST_ENTRIES])
    report = check(bench.another())
    assert report.counts == {"epoch-began": 1, "instance-added": 3000, "instance-removed": 1999}
    assert {found.id for found in bench.stream.catalog().instances()} == {kept.id for kept in services[1999:]}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(history=histories(), data=st.data())
def test_any_history_in_any_pieces_is_whole(bench: Bench, history: History, data: st.DataObject) -> None:
    """However a history is cut into batches, and wherever its beginning is trimmed away, the checker passes it."""
    bench.empty()
    begun(bench.stream)
    rest = history.entries
    while rest:
        epoch, after = rest[0].epoch, rest[0].sequence - 1
        most = data.draw(st.integers(1, sum(entry.epoch == epoch for entry in rest)))
        if isinstance(rest[0].fact, EpochBegan) and epoch > 1:
            bench.stream.resign("x")
            assert bench.stream.lead("x", expiry_seconds=LONG_SECONDS) == epoch
        batch = Batch(incarnation="life", epoch=epoch, after=after, entries=rest[:most])
        assert bench.stream.append(batch) == Appended(after + most)
        rest = rest[most:]
    assert check(bench.stream).sequence == len(history.entries)
    bench.stream.trim(data.draw(st.integers(1, len(history.entries))))
    check(bench.stream)
