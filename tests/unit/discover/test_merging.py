"""Whose version of an instance is shown when several sources know it."""

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.catalog import Catalog, catalog_of
from mooring.model import Address, Binding, Instance, State
from mooring_discover.merging import merge, merge_service
from tests.unit.discover.making import instance


def version(*instances: Instance) -> dict[str, Instance]:
    """Return one source's version of a service."""
    return {one.id: one for one in instances}


def test_first_source_is_shown() -> None:
    """Two versions of one instance: the one of the source that was given first."""
    ours, theirs = instance(), evolve(instance(), weight=5)
    assert merge_service([version(ours), version(theirs)]) == {"a": ours}
    assert merge_service([version(), version(theirs)]) == {"a": theirs}


def test_live_word_goes_before_a_suspect() -> None:
    """What one source only suspects, and another sees alive, is alive."""
    doubted = instance(state=State.SUSPECT)
    assert merge_service([version(doubted), version(instance())]) == {"a": instance()}
    assert merge_service([version(instance(state=State.DRAINING)), version(instance())])["a"].state is State.DRAINING


def test_one_address_counts_once() -> None:
    """The same port under two ids, seen by two registers, is one instance: the first source's."""
    ours, theirs, other = instance(name="z"), instance(name="a"), instance(name="b", port=8001)
    assert merge_service([version(ours), version(theirs, other)]) == {"z": ours, "b": other}


def test_one_address_of_one_source_shows_the_lower_id_but_no_suspect() -> None:
    """Within a source the choice is stable, and a container that came back at its address beats its own ghost."""
    assert merge_service([version(instance(name="b"), instance(name="a"))]) == {"a": instance(name="a")}
    ghost = instance(name="a", state=State.SUSPECT)
    assert merge_service([version(ghost, instance(name="b"))]) == {"b": instance(name="b")}


def test_same_port_of_another_protocol_is_another_address() -> None:
    """53/tcp and 53/udp are two instances."""
    tcp = instance(name="a", port=53)
    udp = evolve(tcp, id="a:udp", address=Address("10.0.0.1", 53, "udp"))
    assert len(merge_service([version(tcp, udp)])) == 2


def test_merge_names_what_changed_beside_what_was_touched() -> None:
    """When an instance goes, the one that was hidden behind its address is shown: both changed."""
    first, hidden = instance(name="a"), instance(name="b")
    shown, changed = merge(Catalog(), [catalog_of([first]), catalog_of([hidden])], [("web", "a")])
    assert (set(shown.services["web"]), changed) == ({"a"}, {("web", "a")})
    shown, changed = merge(shown, [Catalog(), catalog_of([hidden])], [("web", "a")])
    assert (set(shown.services["web"]), changed) == ({"b"}, {("web", "a"), ("web", "b")})


def test_merge_leaves_untouched_services_as_they_are() -> None:
    """Only touched services are looked at; the others are the very same objects."""
    before, _ = merge(Catalog(), [catalog_of([instance("web"), instance("db")])], [("web", "a"), ("db", "a")])
    after, changed = merge(before, [catalog_of([instance("db")])], [("web", "a")])
    assert changed == {("web", "a")}
    assert "web" not in after.services
    assert after.services["db"] is before.services["db"]


def test_binding_stays_while_one_source_has_it() -> None:
    """A binding of two sources goes when the last one drops it."""
    ours, theirs = (Binding(key="h/c/DB", service=service, port=5432) for service in ("db", "other"))
    both = [Catalog(bindings={ours.key: ours}), Catalog(bindings={theirs.key: theirs})]
    shown, _ = merge(Catalog(), both, [ours.key])
    assert shown.bindings == {ours.key: ours}
    shown, _ = merge(shown, [Catalog(), both[1]], [ours.key])
    assert shown.bindings == {theirs.key: theirs}
    assert merge(shown, [Catalog(), Catalog()], [ours.key])[0].bindings == {}


@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 4)), unique_by=lambda one: one[0]), max_size=3)
)
def test_merge_loses_no_address(versions: list[list[tuple[str, int]]]) -> None:
    """Whatever ids and addresses sources have: no address is shown twice, and an id that has its own is shown."""
    made = [version(*(instance(name=name, port=port) for name, port in one)) for one in versions]
    merged = merge_service(made)
    first = {name: one for each in reversed(made) for name, one in each.items()}
    addresses = [one.address for one in merged.values()]
    assert len(addresses) == len(set(addresses))
    assert {one.address for one in first.values()} == set(addresses)
