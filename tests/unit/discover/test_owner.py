"""The owner and its publisher on a stream in memory: restarts, lost answers, other leaders, emptied Redis."""

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from mooring.model import Instance, State
from mooring.redis.memory import MemoryStream
from mooring.redis.step import Table
from mooring.redis.stream import Batch, Head, Outcome
from mooring_discover.observations import Answering, Key, Observation, Silent
from mooring_discover.status import readiness, status
from mooring_discover.suspects import Policy
from tests.checker import check
from tests.unit.discover.making import FIRST, Desk, deleted, expired, fleet, instance, listed, seen, states, withdrawn


def desk() -> Desk:
    """Return an owner that leads on an empty Redis."""
    return Desk(MemoryStream(lambda: 0.0))


def types(one: Desk) -> list[str]:
    """Return the types of all entries, oldest first."""
    return [entry.fields["type"] for entry in one.stream.tail(1000)]


def head(one: Desk) -> Head:
    """Return the head that must be there."""
    present = one.stream.head()
    assert present is not None
    return present


def test_first_listing_begins_the_stream_and_completes_it() -> None:
    """An epoch, one reconciled addition per instance, complete."""
    one = desk()
    one.turn(listed(fleet(3)))
    report = check(one.stream)
    assert types(one) == ["epoch-began", *["instance-added"] * 3]
    assert {entry.fields.get("cause") for entry in one.stream.tail(3)} == {"reconciled"}
    assert head(one).complete
    assert report.epochs == (1,)
    assert head(one).sources == {f"{FIRST}:state": "following", f"{FIRST}:revision": "1"}


def test_restart_with_nothing_changed_appends_one_entry() -> None:
    """The epoch's beginning, and nothing else, however often."""
    one = desk()
    one.turn(listed(fleet(3)))
    for _ in range(3):
        one.restart()
        one.turn()
        one.turn(listed(fleet(3)))
        one.quiet_down()
    assert types(one) == ["epoch-began", *["instance-added"] * 3, *["epoch-began"] * 3]
    check(one.stream)


def test_restart_appends_only_the_differences() -> None:
    """One came and one went while nobody looked."""
    one = desk()
    instances = fleet(5)
    one.turn(listed(instances[:4]))
    one.restart()
    one.turn(listed(instances[1:]))
    one.quiet_down()
    assert types(one)[5:] == ["epoch-began", "instance-removed", "instance-added"] or types(one)[5:] == [
        "epoch-began",
        "instance-added",
        "instance-removed",
    ]
    check(one.stream)


def test_empty_registry_is_not_believed_at_once() -> None:
    """No incarnation is begun from an empty listing before the hold is over; with an instance, it is."""
    one = desk()
    one.turn(listed([]))
    one.turn(after_seconds=29.0)
    assert one.stream.head() is None
    one.turn(after_seconds=1.0)
    assert head(one).complete
    other = desk()
    other.turn(listed([]))
    other.turn(seen(instance()))
    assert head(other).complete


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


def test_incarnation_completes_only_when_every_source_has_listed() -> None:
    """One source of two is enough to begin, not to be complete."""
    one = Desk(MemoryStream(lambda: 0.0), sources=(FIRST, "second"))
    one.turn(listed(fleet(2)))
    assert not head(one).complete
    one.turn(listed(fleet(1, service="other"), source="second"))
    assert head(one).complete


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


def test_paused_leader_that_wakes_is_fenced() -> None:
    """Another led meanwhile: the first one's batch is refused, and it stands by."""
    one = desk()
    one.turn(listed(fleet(2)))
    other = Desk(one.stream.another(), name="other")
    one.stream.resign(one.leadership.leader)
    other.lead()
    other.turn(listed(fleet(2)))
    one.turn(seen(instance("mine", port=9999)))
    one.turn(after_seconds=5.0)
    assert [entry.fields["type"] for entry in one.stream.tail(10)].count("instance-added") == 2
    one.lead()
    assert one.leadership.epoch is None
    other.turn(seen(instance("mine", port=9999)))
    assert check(one.stream).epochs == (1, 2)


def test_standby_takes_over_with_what_it_heard() -> None:
    """Its own sources are warm; it reads the written catalog and appends what is missing."""
    one = desk()
    instances = fleet(3)
    standby = Desk(one.stream.another(), name="other")
    standby.lead()
    assert standby.leadership.epoch is None
    for each in (one, standby):
        each.turn(listed(instances))
    one.stream.resign(one.leadership.leader)
    standby.turn(withdrawn(instances[0].key, "exited 1"))
    standby.lead()
    standby.turn()
    assert types(one)[-2:] == ["epoch-began", "instance-removed"]
    assert one.stream.tail(1)[0].fields["cause"] == "exited 1"
    check(one.stream)


def test_leader_that_comes_back_reads_what_another_wrote() -> None:
    """Leading again, it continues from Redis's catalog and not from its own memory of it."""
    one = desk()
    one.turn(listed(fleet(3)))
    other = Desk(one.stream.another(), name="other")
    one.stream.resign(one.leadership.leader)
    other.lead()
    other.turn(listed(fleet(3)), seen(instance("late", port=9999)))
    one.lead()
    one.turn(seen(instance("late", port=9999)))
    one.stream.resign(other.leadership.leader)
    one.lead()
    one.turn()
    assert types(one).count("instance-added") == 4
    assert check(one.stream).epochs == (1, 2, 3)


def test_damaged_catalog_is_begun_anew() -> None:
    """A value in Redis that cannot be read is no base to continue from."""
    one = desk()
    one.turn(listed(fleet(2)))
    one.stream._server.contents.tables[Table.CATALOG]["web|x"] = "{"  # noqa: SLF001 -- damage from outside
    one.restart()
    one.turn(listed(fleet(2)))
    assert head(one).incarnation == "incarnation-2"
    check(one.stream)


def test_lost_source_is_a_fact_and_takes_nothing_with_it() -> None:
    """Its last word stands; that it is lost, and recovered, is written once each, across restarts."""
    one = desk()
    one.turn(listed(fleet(2)))
    one.turn(Silent(FIRST, 0.0, "refused"))
    one.quiet_down()
    assert head(one).sources[f"{FIRST}:state"].startswith("lost since ")
    one.restart()
    one.turn()
    one.turn(listed(fleet(2)))
    one.turn(Answering(FIRST, 0.0))
    one.quiet_down()
    assert types(one)[3:] == ["source-lost", "epoch-began", "source-recovered"]
    assert head(one).sources[f"{FIRST}:state"] == "following"
    check(one.stream)


def test_stream_is_kept_at_its_length() -> None:
    """Old entries go, the head says from where on it holds, and the history still undoes backwards."""
    one = desk()
    one.publisher._stream_length = 50  # noqa: SLF001 -- shorter than the command allows
    for number in range(100):
        one.turn(*([listed([instance()])] if number == 0 else []), seen(instance(port=100 + number)))
    assert head(one).first > 1
    assert head(one).sequence - head(one).first < 60
    check(one.stream)


def test_ready_means_listed_and_redis_answers() -> None:
    """Each reason is named; the state is what json can write."""
    one = desk()
    assert readiness(one.owner, one.leadership) == f"not listed yet: {FIRST}"
    one.turn(Silent(FIRST, 0.0, "refused"))
    assert readiness(one.owner, one.leadership) == f"not listed yet: {FIRST} (refused)"
    one.turn(listed(fleet(2)), Answering(FIRST, 0.0))
    assert readiness(one.owner, one.leadership) is None
    one.stream.fail("out of memory")
    one.turn(seen(instance("late", port=9)))
    assert readiness(one.owner, one.leadership) == "Redis: out of memory"
    view = status(one.owner, one.leadership, one.publisher, [])
    assert (view["role"], view["instances"], view["not_written"]) == ("leading", 3, 1)


class Lives(RuleBasedStateMachine):
    """Discover at a Redis in memory through everything that can happen to it; every history must check.

    What is written must be what is known, as soon as Redis answers again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(MemoryStream(lambda: 0.0), policy=Policy(hold_seconds=20.0))
        self.held: dict[str, Instance] = {}

    names = st.sampled_from("abcdef")

    def make(self, name: str, weight: int) -> Instance:
        """Return an instance whose everything follows from its name, but for its port."""
        return instance(
            f"service{ord(name) % 2}", name, host=f"host{ord(name) % 3}", port=1000 + ord(name) * 10 + weight
        )

    @rule(name=names, weight=st.integers(0, 3))
    def see(self, name: str, weight: int) -> None:
        """An instance is there."""
        self.held[name] = self.make(name, weight)
        self.desk.turn(seen(self.held[name]))

    @rule(name=names, how=st.sampled_from([withdrawn, deleted, expired]))
    def lose(self, name: str, how: Callable[[Key], Observation]) -> None:
        """An instance goes."""
        self.held.pop(name, None)
        self.desk.turn(how(self.make(name, 0).key))

    @rule()
    def list_anew(self) -> None:
        """The source starts over."""
        self.desk.turn(listed(self.held.values()))

    @rule()
    def restart(self) -> None:
        """Killed, and started again."""
        self.desk.stream.recover()
        self.desk.stream.lose_answer(0)
        self.desk.restart()
        self.desk.turn(listed(self.held.values()))

    @rule(times=st.integers(1, 3))
    def lose_answers(self, times: int) -> None:
        """The next writes happen, and nobody hears of it."""
        self.desk.stream.lose_answer(times)

    @rule()
    def wipe(self) -> None:
        """Redis is another, empty one."""
        self.desk.stream.wipe()

    @rule()
    def fail(self) -> None:
        """Redis does not answer."""
        self.desk.stream.fail()

    @rule()
    def be_usurped(self) -> None:
        """Somebody else takes the lead for a moment."""
        self.desk.stream.recover()
        self.desk.stream.lose_answer(0)
        self.desk.stream.resign(self.desk.leadership.leader)
        self.desk.stream.lead("somebody", expiry_seconds=1e9)
        self.desk.turn()
        self.desk.stream.resign("somebody")

    @rule(seconds=st.floats(0.0, 30.0))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.desk.lead()
        self.desk.turn(after_seconds=seconds)

    @rule()
    def come_to_rest(self) -> None:
        """Redis answers again and nothing happens for a while: all is written, nothing twice."""
        self.desk.stream.recover()
        self.desk.stream.lose_answer(0)
        self.desk.turn(listed(self.held.values()))
        for _ in range(12):
            self.desk.quiet_down()
        report = check(self.desk.stream)
        assert report.epochs
        written = self.desk.stream.catalog()
        assert states(written.instances()) == states(self.desk.owner.known.shown.instances())
        unmarked = {one.id for one in written.instances() if one.state is not State.SUSPECT}
        assert unmarked == set(self.held)
        assert head(self.desk).complete

    def teardown(self) -> None:
        """Every life ends at rest."""
        self.come_to_rest()


TestLives = Lives.TestCase
TestLives.settings = settings(stateful_step_count=30)
