"""The owner and its publisher when the stream loses answers, is away, emptied, damaged, another, or the owner dies."""

from typing import cast

import pytest

from mooring.redis.memory import MemoryStream
from mooring.redis.step import Table
from mooring.redis.stream import Batch, Head, Outcome, StreamWriter
from mooring_discover.publisher import Absent, Publisher
from mooring_discover.status import readiness
from tests.checker import check
from tests.fates import FINE, Fated
from tests.unit.discover.making import Desk, desk, fleet, head, instance, listed, seen, states, types, withdrawn


def test_emptied_redis_is_begun_anew_and_complete_again() -> None:
    """It is noticed without anything happening; every known instance is reconciled in one new incarnation."""
    one = desk()
    one.turn(listed(fleet(3)))
    former = head(one).incarnation
    one.stream.wipe()
    one.quiet_down()
    assert head(one).incarnation != former
    assert head(one).complete
    assert types(one) == ["epoch-began", *["instance-added"] * 3]
    check(one.stream)


class Reborn(MemoryStream):
    """A stream in a Redis that can be started again with its data."""

    lives = 1

    def run_id(self) -> str:
        """Return another id in each life."""
        return f"life-{self.lives}"


def test_redis_of_another_life_is_begun_anew() -> None:
    """Its data may be there, but nobody can tell how much of the tail; a successor does not continue it either."""
    stream = Reborn(lambda: 0.0)
    one = Desk(stream)
    one.turn(listed(fleet(2)))
    assert head(one).run_id == "life-1"
    stream.lives = 2
    one.restart()
    one.turn(listed(fleet(2)))
    assert (head(one).incarnation, head(one).run_id) == ("incarnation-2", "life-2")
    check(stream)


class Nameless(MemoryStream):
    """A stream in a managed Redis whose provider hides the run id."""

    def run_id(self) -> str:
        """Return nothing."""
        return ""


def test_replica_that_lacked_the_last_entries_is_begun_anew_whatever_its_run_id() -> None:
    """A head behind what we have written says enough: those who read on have seen the numbers that come next."""
    stream = Nameless(lambda: 0.0)
    one = Desk(stream)
    one.turn(listed([instance(name="a")]))
    replica = stream.replicate()
    one.turn(seen(instance(name="b", port=8001)))
    stream.fail_over(replica)
    one.quiet_down()
    assert (head(one).incarnation, head(one).run_id) == ("incarnation-2", "")
    assert {one.id for one in stream.catalog().instances()} == {"a", "b"}
    check(stream)


@pytest.mark.parametrize("writes", range(1, 6))
def test_lost_answers_lose_and_repeat_nothing(writes: int) -> None:
    """Whichever writes happen but are not answered: the history has no hole, no repetition, one epoch entry."""
    one = desk()
    one.stream.lose_answer(writes)
    one.turn(listed(fleet(2)))
    for _ in range(writes + 2):
        one.quiet_down()
    one.turn(seen(instance("late", port=9999)))
    assert check(one.stream).counts == {"epoch-began": len(check(one.stream).epochs), "instance-added": 3}


class Dying(MemoryStream):
    """A stream whose writer dies right after its nth write happened."""

    def __init__(self, writes: int) -> None:
        super().__init__(lambda: 0.0)
        self.left = writes

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise SystemExit

    def begin(self, *, incarnation: str, epoch: int, run_id: str) -> Head:
        """Begin, and perhaps die."""
        made = super().begin(incarnation=incarnation, epoch=epoch, run_id=run_id)
        self._count()
        return made

    def append(self, batch: Batch) -> Outcome:
        """Append, and perhaps die."""
        made = super().append(batch)
        self._count()
        return made

    def trim(self, first: int) -> None:
        """Trim, and perhaps die."""
        super().trim(first)
        self._count()


@pytest.mark.parametrize("writes", range(1, 8))
def test_crash_after_any_write_ends_in_the_same_place(writes: int) -> None:
    """Whenever the process dies, its successor finishes: the same catalog, complete, nothing repeated."""
    instances = fleet(30, each=17)  # three batches
    one = Desk(Dying(writes))

    def live() -> None:
        one.turn(listed(instances))
        one.turn(withdrawn(instances[0].key))
        one.turn(seen(instance("late", port=9999)))

    try:
        live()
    except SystemExit:
        one.restart()
    one.turn(listed([*instances[1:], instance("late", port=9999)]))
    one.quiet_down()
    assert head(one).complete
    assert set(states(one.stream.catalog().instances())) == {
        *(each.key for each in instances[1:]),
        instance("late").key,
    }
    check(one.stream)


def test_outage_ends_with_one_minimal_difference() -> None:
    """What came and went while Redis was away leaves no trace; what stayed is written once."""
    one = desk()
    one.turn(listed(fleet(2)))
    one.stream.fail("away")
    for number in range(20):
        passing = instance("job", f"job{number}", port=9000 + number)
        one.turn(seen(passing), after_seconds=1.0)
        one.turn(withdrawn(passing.key), after_seconds=1.0)
    one.turn(withdrawn(fleet(2)[0].key, "exited 137"))
    assert readiness(one.owner, one.leadership) == "Redis: away"
    assert len(one.owner.known.origins) <= 2
    one.stream.recover()
    one.quiet_down()
    assert types(one)[3:] == ["instance-removed"]
    assert one.stream.tail(1)[0].fields["cause"] == "exited 137"
    assert readiness(one.owner, one.leadership) is None
    check(one.stream)


def test_what_was_written_without_an_answer_and_is_gone_by_then_is_removed_with_its_cause() -> None:
    """The addition stands in Redis though nobody heard so; the withdrawal that came meanwhile is not forgotten."""
    one = desk()
    one.turn(listed(fleet(2)))
    one.stream.lose_answer()
    passing = instance("job", port=9999)
    one.turn(seen(passing))
    one.stream.fail("away")
    one.turn(withdrawn(passing.key, "exited 0"), after_seconds=1.0)
    one.turn(after_seconds=5.0)
    one.stream.recover()
    one.quiet_down()
    assert types(one)[3:] == ["instance-added", "instance-removed"]
    assert one.stream.tail(1)[0].fields["cause"] == "exited 0"
    check(one.stream)


def test_damaged_catalog_is_begun_anew() -> None:
    """A value in Redis that cannot be read is no base to continue from."""
    one = desk()
    one.turn(listed(fleet(2)))
    one.stream._server.contents.tables[Table.CATALOG]["web|x"] = "{"  # noqa: SLF001 -- damage from outside
    one.restart()
    one.turn(listed(fleet(2)))
    assert head(one).incarnation == "incarnation-2"
    check(one.stream)


def test_a_failover_while_one_looks_ends_the_incarnation() -> None:
    """A replica that fell behind takes over between two questions: no position that was lost is written anew."""
    stream = MemoryStream(lambda: 0.0)
    first = Desk(stream)
    first.turn(listed([instance()]))
    replica = stream.replicate()
    first.turn(seen(instance(port=8001)))
    fated = Fated(stream.another(), lambda _: stream.fail_over(replica))
    fated.fates.extend([FINE, "failed over"])
    publisher = Publisher(cast("StreamWriter", fated), new_incarnation=lambda: "next", stream_length=100)
    assert publisher.look(head(first).epoch) == Absent(stream.run_id())
