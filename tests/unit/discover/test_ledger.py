"""What listings and changes of a registry's keys say, as observations."""

from collections.abc import Sequence

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.documents import encode_binding, encode_instance
from mooring.etcd.store import Change, KeyValue, Listing, Removed
from mooring.keys import BINDINGS_PREFIX, HOSTS_PREFIX, STORE_KEY
from mooring.model import Address, Binding, Instance, State
from mooring_discover.layout import InstanceLayout, WishLayout
from mooring_discover.ledger import Ledger
from mooring_discover.observations import Gone, HostGone, HostSeen, Listed, Observation, Seen, Sighting, Withdrawn
from tests.unit.discover.making import FIRST, instance

LEASE = 7


def put(record: Instance, revision: int = 5, path: str = "") -> KeyValue:
    """Return the key of an instance, as the registry holds it."""
    return KeyValue(path or record.path, encode_instance(evolve(record, path="")).encode(), revision, LEASE)


def ledger() -> Ledger:
    """Return a ledger of instances that knows nothing."""
    return Ledger(FIRST, InstanceLayout("/services/"))


def say(book: Ledger, *changes: Change, gone: Sequence[int] = ()) -> tuple[Observation, ...]:
    """Return what changes say."""
    return book.changed(changes, 1.0, gone).observations


def test_put_is_a_sighting_with_the_path() -> None:
    """The document is the instance; where it was found is added."""
    assert say(ledger(), put(instance())) == (Seen(FIRST, "5", 1.0, instance()),)


def test_foreign_document_is_named_by_its_key() -> None:
    """A document without our version takes service and id from its key; the environment in it is dropped."""
    text = b'{"ipaddress": "10.0.0.9", "port": "80", "env": ["PASSWORD=x"], "id": "not this"}'
    (observation,) = say(ledger(), KeyValue("/services/hello/v1/web%2F1", text, 5))
    assert isinstance(observation, Seen)
    assert isinstance(observation.record, Instance)
    assert observation.record.key == ("hello/v1", "web/1")
    assert observation.record.address == Address("10.0.0.9", 80)
    assert not observation.record.extra


def test_state_down_is_a_withdrawal_and_its_delete_says_nothing_new() -> None:
    """The cause comes with the document that says down; the key's end is not told a second time."""
    book = ledger()
    say(book, put(instance()))
    down = evolve(instance(), state=State.DOWN, cause="exited 137", seen_docker=7.5, seen_registry=7.6)
    seen = Sighting(7.5, 7.6)
    assert say(book, put(down, 6)) == (Withdrawn(FIRST, "6", 1.0, ("web", "a"), "exited 137", seen),)
    assert say(book, Removed(instance().path, 7)) == ()


def test_bare_delete_is_an_expiry_only_when_the_lease_is_gone() -> None:
    """Which leases matter is told first; which of them are gone is asked by the caller."""
    for gone, expired in (([], False), ([LEASE], True)):
        book = ledger()
        say(book, put(instance()))
        assert book.leases_of([Removed(instance().path, 6)]) == {LEASE}
        assert say(book, Removed(instance().path, 6), gone=gone) == (Gone(FIRST, "6", 1.0, ("web", "a"), expired),)


def test_unknown_key_that_goes_says_nothing() -> None:
    """A key that was never seen to hold anything takes nothing with it."""
    assert say(ledger(), Removed("/services/web/x", 6)) == ()
    assert ledger().leases_of([Removed("/services/web/x", 6)]) == frozenset()


def test_broken_document_is_a_problem_told_once() -> None:
    """It names the key and the reason, and the last word of its key stands."""
    book = ledger()
    say(book, put(instance()))
    reading = book.changed([KeyValue(instance().path, b"{", 6, LEASE)], 1.0, ())
    assert not reading.observations
    (problem,) = reading.problems
    assert problem.path == "/services/web/a"
    assert "not JSON" in problem.reason
    assert not book.changed([KeyValue(instance().path, b"{", 7, LEASE)], 1.0, ()).problems
    assert set(book.broken) == {"/services/web/a"}
    assert say(book, Removed(instance().path, 8)) == (Gone(FIRST, "8", 1.0, ("web", "a"), expired=False),)
    assert not book.broken


def test_mended_document_is_a_sighting() -> None:
    """Once it can be read again it is no problem any more."""
    book = ledger()
    book.changed([KeyValue(instance().path, b"[]", 5)], 1.0, ())
    assert say(book, put(instance(), 6)) == (Seen(FIRST, "6", 1.0, instance()),)
    assert not book.broken


def test_names_that_no_key_could_hold_are_problems() -> None:
    """An empty service, a control character, a state that only discover gives."""
    for broken in (instance("a//b"), instance("a\x01b"), instance(state=State.SUSPECT)):
        assert len(ledger().changed([put(broken)], 1.0, ()).problems) == 1
    one_segment = KeyValue("/services/x", b'{"ipaddress": "10.0.0.9", "port": "80"}', 5)
    assert len(ledger().changed([one_segment], 1.0, ()).problems) == 1


def test_listing_says_what_is_there_what_goes_and_what_cannot_be_read() -> None:
    """One listing: two instances, one on its way out, one broken."""
    down = evolve(instance(name="c"), state=State.DOWN, cause="stopped")
    items = (put(instance()), put(instance(name="b")), put(down), KeyValue("/services/web/d", b"nope", 5))
    reading = ledger().listed(Listing(9, items), 1.0)
    assert reading.observations == (
        Listed(
            source=FIRST,
            revision="9",
            at=1.0,
            instances=(instance(), instance(name="b")),
            down={("web", "c"): "stopped"},
            unreadable=frozenset({"/services/web/d"}),
        ),
    )
    assert [problem.path for problem in reading.problems] == ["/services/web/d"]


def test_broken_document_known_from_before_keeps_its_key_through_a_listing() -> None:
    """A listing finds a document broken that was well: when its key goes, the instance goes."""
    book = ledger()
    say(book, put(instance()))
    book.listed(Listing(9, (KeyValue(instance().path, b"{", 6, LEASE),)), 1.0)
    assert say(book, Removed(instance().path, 10)) == (Gone(FIRST, "10", 1.0, ("web", "a"), expired=False),)


def test_broken_document_never_read_ends_what_an_earlier_discover_read() -> None:
    """After a restart only the key tells which instance it may have held."""
    book = ledger()
    book.listed(Listing(9, (KeyValue(instance().path, b"{", 6),)), 1.0)
    assert say(book, Removed(instance().path, 10)) == (Gone(FIRST, "10", 1.0, ("web", "a"), expired=False),)


def test_record_that_moves_to_another_key_is_not_gone_with_its_old_key() -> None:
    """New key first, then the old one's end, in one transaction: the instance was there all the time."""
    book = ledger()
    say(book, put(instance()))
    moved = put(instance(), 6, "/services/web/other")
    (sighting,) = say(book, moved, Removed(instance().path, 6))
    assert isinstance(sighting, Seen)
    assert say(book, Removed("/services/web/other", 7)) == (Gone(FIRST, "7", 1.0, ("web", "a"), expired=False),)


def test_key_that_holds_another_record_ends_the_former() -> None:
    """One key, another instance in it: the former is gone, the other is there."""
    book = ledger()
    say(book, put(instance()))
    other = evolve(instance(name="b"), path=instance().path)
    assert say(book, put(other, 6)) == (
        Gone(FIRST, "6", 1.0, ("web", "a"), expired=False),
        Seen(FIRST, "6", 1.0, other),
    )


def test_wishes_are_bindings_and_hosts() -> None:
    """Below /mooring/ lie bindings and hosts; whatever else is there is none of our business."""
    book = Ledger(FIRST, WishLayout())
    binding = Binding(key="h1/c1/DB", service="db", port=5432, host="h1")
    item = KeyValue(BINDINGS_PREFIX + binding.key, encode_binding(binding).encode(), 5, LEASE)
    host = KeyValue(HOSTS_PREFIX + "h1", b"{}", 5, LEASE)
    broken = KeyValue(BINDINGS_PREFIX + "h1/c1/X", b"{}", 5)
    reading = book.listed(Listing(9, (item, host, broken, KeyValue(STORE_KEY, b"uuid", 1))), 1.0)
    assert reading.observations == (
        Listed(
            source=FIRST,
            revision="9",
            at=1.0,
            bindings=(binding,),
            hosts=frozenset({"h1"}),
            unreadable=frozenset({"h1/c1/X"}),
        ),
    )
    assert say(book, Removed(host.key, 10), host) == (HostGone(FIRST, 1.0, "h1"), HostSeen(FIRST, 1.0, "h1"))
    assert say(book, Removed(item.key, 11), gone=[LEASE]) == (Gone(FIRST, "11", 1.0, "h1/c1/DB", expired=True),)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["up", "down", "broken", "gone"])), max_size=30))
def test_words_add_up_to_what_the_keys_hold(steps: list[tuple[str, str]]) -> None:
    """After any changes, the words about each key end where the last document that could be read left it."""
    book = ledger()
    held: set[str] = set()
    heard: set[str] = set()
    for revision, (name, what) in enumerate(steps, 2):
        one = instance(name=name)
        changes: dict[str, Change] = {
            "up": put(one, revision),
            "down": put(evolve(one, state=State.DOWN), revision),
            "broken": KeyValue(one.path, b"{", revision, LEASE),
            "gone": Removed(one.path, revision),
        }
        held = held | {name} if what == "up" else held if what == "broken" else held - {name}
        for word in say(book, changes[what]):
            heard = heard | {name} if isinstance(word, Seen) else heard - {name}
        assert heard == held
