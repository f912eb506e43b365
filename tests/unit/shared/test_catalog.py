"""The laws of the catalog: facts are absolute, differences lead where they should, and every fact can be undone."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from mooring.catalog import Catalog, apply, catalog_of, diff, fold, undo
from mooring.facts import (
    BindingAdded,
    BindingChanged,
    BindingRemoved,
    EpochBegan,
    Fact,
    InstanceAdded,
    InstanceChanged,
    InstanceRemoved,
    SettingChanged,
    SettingRemoved,
    SourceLost,
    SourceRecovered,
)
from mooring.model import Address, Instance
from tests.histories import History, histories
from tests.strategies import catalogs, facts, plain_instances

FACTS = facts(plain_instances())


def instance(service: str, number: int) -> Instance:
    """Return an instance that is told from others by its number."""
    return Instance(service=service, id=f"h:{number}:80", address=Address("10.0.0.5", 8000 + number))


@given(catalogs(), FACTS)
def test_applying_a_fact_twice_changes_nothing(catalog: Catalog, fact: Fact) -> None:
    """apply(apply(c, f), f) == apply(c, f), whatever the catalog and the fact."""
    once = apply(catalog, fact)
    assert apply(once, fact) == once


@given(catalogs(), catalogs())
def test_difference_leads_from_one_to_the_other(before: Catalog, after: Catalog) -> None:
    """fold(a, diff(a, b)) == b."""
    assert fold(before, diff(before, after)) == after


@given(catalogs())
def test_nothing_differs_from_itself(catalog: Catalog) -> None:
    """diff(a, a) is empty, also when the two were built apart."""
    assert diff(catalog, copy.deepcopy(catalog)) == ()


@given(catalogs(), catalogs())
def test_difference_is_undone_backwards(before: Catalog, after: Catalog) -> None:
    """Taking the facts of a difference back, the last one first, leads to where it began."""
    back = [taken_back for fact in reversed(diff(before, after)) for taken_back in undo(fact)]
    assert fold(after, back) == before


@given(histories())
def test_history_is_undone_backwards(history: History) -> None:
    """Any legal history, undone from its end, leads back to nothing."""
    back = [taken_back for entry in reversed(history.entries) for taken_back in undo(entry.fact)]
    assert fold(history.catalog, back) == Catalog()


@given(catalogs(), st.lists(FACTS, max_size=6), st.integers(0, 6))
def test_fold_may_be_cut_anywhere(catalog: Catalog, drawn: list[Fact], cut: int) -> None:
    """A snapshot and the facts after it give the same as all facts from the beginning."""
    assert fold(fold(catalog, drawn[:cut]), drawn[cut:]) == fold(catalog, drawn)


@given(catalogs(), st.lists(FACTS, max_size=6))
def test_fold_leaves_its_catalog_alone(catalog: Catalog, drawn: list[Fact]) -> None:
    """A catalog is never changed: whoever holds one goes on holding it."""
    kept = copy.deepcopy(catalog)
    fold(catalog, drawn)
    assert catalog == kept


@given(catalogs(), st.lists(FACTS, max_size=10))
def test_catalog_equals_a_plain_dictionary(catalog: Catalog, drawn: list[Fact]) -> None:
    """The fold is what the simplest possible model says: the last word on each key."""
    model: dict[tuple[object, ...], object] = {each.key: each for each in catalog.instances()}
    model |= {("binding", key): binding for key, binding in catalog.bindings.items()}
    model |= {("setting", key, ""): value for key, value in catalog.settings.items()}
    for fact in drawn:
        _note(model, fact)
    result = fold(catalog, drawn)
    assert {each.key: each for each in result.instances()} | {
        ("binding", key): binding for key, binding in result.bindings.items()
    } | {("setting", key, ""): value for key, value in result.settings.items()} == model
    assert all(result.services.values()), "a service without instances is no service"


def _note(model: dict[tuple[object, ...], object], fact: Fact) -> None:
    match fact:
        case InstanceAdded(instance) | InstanceChanged(instance):
            model[instance.key] = instance
        case InstanceRemoved(instance):
            model.pop(instance.key, None)
        case BindingAdded(binding) | BindingChanged(binding):
            model["binding", binding.key] = binding
        case BindingRemoved(binding):
            model.pop(("binding", binding.key), None)
        case SettingChanged(key, value):
            model["setting", key, ""] = value
        case SettingRemoved(key):
            model.pop(("setting", key, ""), None)
        case EpochBegan() | SourceLost() | SourceRecovered():
            pass


def test_difference_adds_before_it_removes() -> None:
    """A service all of whose instances were replaced is never empty on the way, nor waits for another service."""
    before = catalog_of([instance("a", 1), instance("b", 1)])
    after = catalog_of([instance("a", 2), instance("b", 2)])
    assert diff(before, after, "reconciled") == (
        InstanceAdded(instance("a", 2)),
        InstanceRemoved(instance("a", 1), "reconciled"),
        InstanceAdded(instance("b", 2)),
        InstanceRemoved(instance("b", 1), "reconciled"),
    )


def test_fold_shares_what_it_does_not_touch() -> None:
    """A fold copies the services that its facts name, not the world: the others are the very same objects."""
    before = catalog_of([instance("a", 1), instance("b", 1)])
    after = fold(before, [InstanceAdded(instance("a", 2)), InstanceAdded(instance("a", 3))])
    assert after.services["b"] is before.services["b"]
    assert len(after.services["a"]) == 3


def test_later_of_two_with_one_key_wins() -> None:
    """A catalog holds one value for a key."""
    moved = Instance(service="a", id="h:1:80", address=Address("10.0.0.6", 80))
    assert list(catalog_of([instance("a", 1), moved]).instances()) == [moved]
    assert catalog_of([moved]).instance("a", "h:1:80") == moved
    assert catalog_of([moved]).instance("b", "h:1:80") is None
