"""One source's version of the catalog, after all that was heard of it."""

from attrs import evolve

from mooring.model import Binding, Instance, State
from mooring_discover.hearing import Silence, SourceView, hear, list_anew, release, settle
from mooring_discover.observations import Gone, Listed, Seen
from mooring_discover.suspects import Policy
from tests.unit.discover.making import FIRST, POLICY, deleted, expired, fleet, instance, listed, seen, states, withdrawn


def view_of(instances: list[Instance]) -> SourceView:
    """Return the view after a listing."""
    view, _ = list_anew(SourceView(), listed(instances), POLICY)
    return view


def shown(view: SourceView) -> dict[tuple[str, str], State]:
    """Return what a view holds, with the states."""
    return dict(states(view.catalog.instances()))


def test_last_word_about_a_key_counts() -> None:
    """An instance that came and went between two turns leaves no trace in the view."""
    one = instance()
    view, touches = hear(SourceView(), [seen(one), withdrawn(one.key)])
    assert shown(view) == {}
    assert touches[one.key].cause == "stopped"


def test_sighting_that_says_nothing_new_touches_nothing() -> None:
    """The same instance, seen at another time for another reason, is no news."""
    one = instance()
    view, touches = hear(view_of([one]), [seen(evolve(one, cause="reconciled", seen_docker=5.0))])
    assert not touches
    assert view.catalog.instance(*one.key) is one


def test_withdrawal_and_deletion_pass_at_once() -> None:
    """What went with a word, or was deleted by somebody, waits for nothing."""
    two = fleet(2)
    view, touches = hear(view_of(two), [withdrawn(two[0].key, "exited 137"), deleted(two[1].key)])
    assert shown(view) == {}
    assert {key: touch.cause for key, touch in touches.items()} == {two[0].key: "exited 137", two[1].key: "deleted"}


def test_single_expired_host_goes_after_settling() -> None:
    """An expiry waits a second for others; alone, it is believed."""
    instances = fleet(3, each=2)
    view, touches = hear(view_of(instances), [expired(one.key, at=100.0) for one in instances[:2]])
    assert len(shown(view)) == 6
    assert not touches
    view, touches = settle(view, 100.5, POLICY)
    assert len(shown(view)) == 6
    view, touches = settle(view, 101.0, POLICY)
    assert set(shown(view)) == {one.key for one in instances[2:]}
    assert {touch.cause for touch in touches.values()} == {"expired"}


def test_hosts_that_expire_together_become_suspect() -> None:
    """Two hosts of three at once: their instances stay, marked."""
    instances = fleet(3)
    view, _ = hear(view_of(instances), [expired(instances[0].key, at=100.0), expired(instances[1].key, at=100.8)])
    view, _ = settle(view, 101.0, POLICY)
    view, touches = settle(view, 102.0, POLICY)
    assert shown(view) == {
        instances[0].key: State.SUSPECT,
        instances[1].key: State.SUSPECT,
        instances[2].key: State.UP,
    }
    assert set(touches) == {instances[1].key}


def test_second_host_within_the_window_is_doubted() -> None:
    """The first of two hosts was believed; that another follows within a minute is a mass expiry all the same."""
    instances = fleet(3)
    view, _ = settle(hear(view_of(instances), [expired(instances[0].key, at=100.0)])[0], 102.0, POLICY)
    assert instances[0].key not in shown(view)
    soon, _ = settle(hear(view, [expired(instances[1].key, at=150.0)])[0], 152.0, POLICY)
    assert shown(soon)[instances[1].key] is State.SUSPECT
    late, _ = settle(hear(view, [expired(instances[1].key, at=170.0)])[0], 172.0, POLICY)
    assert instances[1].key not in shown(late)


def test_expiry_after_silence_is_doubted_even_for_one_host() -> None:
    """A registry that was silent, or still is, may have expired what it should not have."""
    one = instance()
    for silence in ({"silence_ended": 95.0}, {"silence": Silence(90.0, "frozen")}):
        view, _ = hear(evolve(view_of([one]), **silence), [expired(one.key, at=100.0)])
        view, _ = settle(view, 101.0, POLICY)
        assert shown(view) == {one.key: State.SUSPECT}


def test_suspect_that_is_seen_again_is_as_it_was() -> None:
    """One sighting takes all doubt away, and with it the cause of the doubt."""
    instances = fleet(2)
    view, _ = settle(hear(view_of(instances), [expired(one.key, at=100.0) for one in instances])[0], 101.0, POLICY)
    view, touches = hear(view, [seen(instances[0])])
    assert shown(view) == {instances[0].key: State.UP, instances[1].key: State.SUSPECT}
    assert set(touches) == {instances[0].key}
    assert set(view.suspects) == {instances[1].key}


def test_suspects_leave_with_the_cause_of_the_doubt() -> None:
    """After the hold, and only then, a suspect is removed for what made it one."""
    instances = fleet(2)
    view, _ = settle(hear(view_of(instances), [expired(one.key, at=100.0) for one in instances])[0], 101.0, POLICY)
    assert release(view, 129.0, others_renew=True, policy=POLICY)[1] == {}
    assert release(view, 500.0, others_renew=False, policy=POLICY)[1] == {}
    view, touches = release(view, 130.0, others_renew=True, policy=POLICY)
    assert shown(view) == {}
    assert {touch.cause for touch in touches.values()} == {"expired"}


def test_source_renews_while_anything_of_it_is_alive() -> None:
    """A host's key or an unmarked instance shows that leases are renewed; a silent source shows nothing."""
    assert not SourceView().renews()
    assert SourceView(hosts=frozenset({"h1"})).renews()
    assert view_of([instance()]).renews()
    assert not evolve(view_of([instance()]), silence=Silence(1.0, "gone")).renews()


def test_empty_listing_makes_everything_suspect() -> None:
    """A registry that has nothing, where it had something, is not believed."""
    instances = fleet(3)
    view, _ = list_anew(view_of(instances), listed([]), POLICY)
    assert set(shown(view).values()) == {State.SUSPECT}
    assert len(view.suspects) == 3


def test_listing_removes_the_few_that_it_lacks() -> None:
    """What is missing in a listing that is believed is gone, and what is new in it is there."""
    instances = fleet(4)
    view, touches = list_anew(view_of(instances[:3]), listed(instances[1:]), POLICY)
    assert set(shown(view)) == {one.key for one in instances[1:]}
    assert {key: touch.cause for key, touch in touches.items()} == {instances[0].key: "unlisted", instances[3].key: ""}


def test_listing_leaves_what_is_being_withdrawn_out() -> None:
    """A document that says down is a withdrawal with its cause, even if it is the last of its service."""
    one = instance()
    listing = evolve(listed([]), down={one.key: "exited 1"})
    view, touches = list_anew(view_of([one]), listing, POLICY)
    assert shown(view) == {}
    assert touches[one.key].cause == "exited 1"


def test_unreadable_document_leaves_the_last_word() -> None:
    """A document that cannot be read now changes nothing of what it said before."""
    instances = fleet(3)
    listing = evolve(listed(instances[1:]), unreadable=frozenset({instances[0].path}))
    view, touches = list_anew(view_of(instances), listing, POLICY)
    assert len(shown(view)) == 3
    assert not touches


def test_listing_of_one_part_says_nothing_of_the_other() -> None:
    """Bindings are listed apart from instances; a source is listed when both were."""
    binding = Binding(key="h/c/DB", service="db", port=5432)
    first = Listed(source=FIRST, revision="1", at=0.0, bindings=(binding,), hosts=frozenset({"h"}))
    view, touches = list_anew(SourceView(), first, POLICY)
    assert set(touches) == {"h/c/DB"}
    assert not view.is_listed
    view, _ = list_anew(view, Listed(source=FIRST, revision="2", at=0.0, instances=()), POLICY)
    assert view.is_listed
    assert view.hosts == {"h"}
    assert view.catalog.bindings == {"h/c/DB": binding}


def test_bindings_are_heard_as_instances_are() -> None:
    """A binding comes, changes, and goes; one that expires settles, and as a suspect it just stays."""
    binding = Binding(key="h/c/DB", service="db", port=5432, host="h")
    view, touches = hear(SourceView(), [Seen(FIRST, "1", 0.0, binding)])
    assert set(touches) == {"h/c/DB"}
    assert not hear(view, [Seen(FIRST, "2", 0.0, binding)])[1]
    frozen = evolve(hear(view, [Gone(FIRST, "3", 100.0, "h/c/DB", expired=True)])[0], silence_ended=99.0)
    held, touches = settle(frozen, 101.0, Policy())
    assert dict(held.catalog.bindings) == {"h/c/DB": binding}
    assert not touches
    released, touches = release(held, 131.0, others_renew=True, policy=Policy())
    assert not released.catalog.bindings
    assert touches["h/c/DB"].cause == "expired"
