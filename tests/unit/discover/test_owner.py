"""The owner and its publisher on a stream in memory: what begins it, restarts, other leaders, sources that are lost."""

from mooring.redis.memory import MemoryStream
from mooring_discover.observations import Answering, Silent
from mooring_discover.status import readiness, status
from tests.checker import check
from tests.unit.discover.making import FIRST, Desk, desk, fleet, head, instance, listed, seen, types, withdrawn


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


def test_incarnation_completes_only_when_every_source_has_listed() -> None:
    """One source of two is enough to begin, not to be complete."""
    one = Desk(MemoryStream(lambda: 0.0), sources=(FIRST, "second"))
    one.turn(listed(fleet(2)))
    assert not head(one).complete
    one.turn(listed(fleet(1, service="other"), source="second"))
    assert head(one).complete


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
