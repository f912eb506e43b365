"""What all sources together are taken to hold, also after a restart."""

from mooring.catalog import Catalog, catalog_of
from mooring.model import State
from mooring_discover.hearing import Silence
from mooring_discover.observations import Answering, HostGone, HostSeen, Listed, Observation, Silent
from mooring_discover.reducer import (
    Known,
    inherit,
    know_nothing,
    reduce,
    settled,
    tick,
    without_old_origins,
    without_vanished,
)
from tests.unit.discover.making import (
    FIRST,
    POLICY,
    SECOND,
    deleted,
    fleet,
    instance,
    listed,
    seen,
    states,
    withdrawn,
)


def hear(known: Known, *observations: Observation) -> Known:
    """Return the state after observations."""
    return reduce(known, observations, POLICY)


def heard(*observations: Observation, sources: tuple[str, ...] = (FIRST,)) -> Known:
    """Return the state of who has heard just these."""
    return hear(know_nothing(sources), *observations)


def names(known: Known) -> set[str]:
    """Return the ids that are shown."""
    return {one.id for one in known.shown.instances()}


def test_sources_add_up_and_the_last_one_that_drops_removes() -> None:
    """An instance that two sources hold is there until both have dropped it."""
    one = instance()
    known = heard(listed([one]), listed([one], source=SECOND), sources=(FIRST, SECOND))
    known = hear(known, withdrawn(one.key))
    assert names(known) == {"a"}
    known = hear(known, withdrawn(one.key, source=SECOND))
    assert names(known) == set()
    assert known.origins[one.key].touch.cause == "stopped"


def test_words_before_and_after_a_listing_keep_their_order() -> None:
    """Words are collected, but never carried past a listing of the same source."""
    one, two = instance(name="a"), instance(name="b", port=8001)
    known = heard(seen(one), listed([two]), withdrawn(two.key), seen(one))
    assert names(known) == {"a"}


def test_hosts_and_silence_are_kept_per_source() -> None:
    """Hosts come and go; the first reason of a silence stands until it ends."""
    known = heard(HostSeen(FIRST, 1.0, "h1"), HostSeen(FIRST, 1.0, "h2"), HostGone(FIRST, 2.0, "h1"))
    assert known.views[FIRST].hosts == {"h2"}
    known = hear(known, Silent(FIRST, 3.0, "refused"), Silent(FIRST, 4.0, "timeout"))
    assert known.views[FIRST].silence == Silence(3.0, "refused")
    known = hear(known, Answering(FIRST, 5.0))
    assert (known.views[FIRST].silence, known.views[FIRST].silence_ended) == (None, 5.0)


def test_inheritance_stays_until_every_source_has_listed() -> None:
    """A restart while one of two registries is away withdraws nothing that only this one knows."""
    ours, theirs = instance(name="a"), instance(name="b", port=8001)
    known = inherit(know_nothing((FIRST, SECOND)), catalog_of([ours, theirs]), 100.0)
    assert names(known) == {"a", "b"}
    known = tick(hear(known, listed([ours])), 200.0, POLICY)
    assert names(known) == {"a", "b"}
    known = tick(hear(known, listed([theirs], source=SECOND)), 201.0, POLICY)
    assert names(known) == {"a", "b"}
    assert known.inherited.is_empty


def test_inheritance_that_nobody_claims_is_judged_as_a_listing_is() -> None:
    """A few missing are gone; all missing are suspect, and leave only while others renew."""
    instances = fleet(4)
    most = tick(hear(inherit(heard(), catalog_of(instances), 100.0), listed(instances[1:])), 101.0, POLICY)
    assert set(states(most.shown.instances())) == {one.key for one in instances[1:]}
    none = tick(hear(inherit(heard(), catalog_of(instances), 100.0), listed([])), 101.0, POLICY)
    assert set(states(none.shown.instances()).values()) == {State.SUSPECT}
    assert len(list(tick(none, 500.0, POLICY).shown.instances())) == 4
    back = tick(hear(none, seen(instances[0])), 131.0, POLICY)
    assert states(back.shown.instances()) == {instances[0].key: State.UP}


def test_inherited_suspect_stays_suspect() -> None:
    """What an earlier discover doubted is doubted on, for another hold."""
    ghost = instance(name="ghost", state=State.SUSPECT, port=8001)
    known = tick(hear(inherit(heard(), catalog_of([ghost]), 100.0), listed([instance()])), 101.0, POLICY)
    assert states(known.shown.instances())[ghost.key] is State.SUSPECT
    assert names(tick(known, 129.0, POLICY)) == {"a", "ghost"}
    assert names(tick(known, 130.0, POLICY)) == {"a"}


def test_standby_knows_what_was_withdrawn_between_two_leaders() -> None:
    """The last instance of a service, withdrawn while nobody led, is removed with its cause, not suspected."""
    one, other = instance("db"), instance("web", port=8001)
    known = hear(heard(listed([one, other])), withdrawn(one.key, "exited 1"))
    known = tick(inherit(known, catalog_of([one, other]), 100.0), 101.0, POLICY)
    assert set(states(known.shown.instances())) == {other.key}
    assert known.origins[one.key].touch.cause == "exited 1"


def test_unreadable_document_keeps_what_was_inherited_from_it() -> None:
    """A document broken while discover was restarted: the written word stands until its key says something."""
    one, other = instance(name="a"), instance(name="b", port=8001)
    listing = Listed(
        source=FIRST, revision="1", at=0.0, instances=(other,), bindings=(), unreadable=frozenset({one.path})
    )
    known = tick(hear(inherit(heard(), catalog_of([one, other]), 100.0), listing), 500.0, POLICY)
    assert states(known.shown.instances()) == {one.key: State.UP, other.key: State.UP}
    assert names(hear(known, deleted(one.key))) == {"b"}


def test_settled_state_remembers_no_origins() -> None:
    """What is written needs no origin; a standby keeps its own for a minute; what came and went is forgotten."""
    one = instance()
    known = heard(seen(one, at=100.0))
    assert not settled(known).origins
    assert without_old_origins(known, 160.0) is known
    assert not without_old_origins(known, 160.1).origins
    gone = hear(known, withdrawn(one.key))
    assert not without_vanished(gone, []).origins
    assert without_vanished(gone, [Catalog(), catalog_of([one])]) is gone
