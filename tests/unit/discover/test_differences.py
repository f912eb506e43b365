"""What is missing in the stream, and where each fact says that it came from."""

from attrs import evolve

from mooring.catalog import Catalog, catalog_of
from mooring.facts import BindingAdded, InstanceAdded, InstanceChanged, InstanceRemoved, SourceLost, SourceRecovered
from mooring.model import Binding
from mooring_discover.differences import News, differences, source_news, source_states
from mooring_discover.observations import Answering, Listed, Observation, Seen, Sighting, Silent, Withdrawn
from mooring_discover.reducer import Known, know_nothing, reduce, settled
from tests.unit.discover.making import FIRST, POLICY, instance, listed, seen, withdrawn

STATE = f"{FIRST}:state"


def heard(*observations: Observation) -> Known:
    """Return the state of who has heard just these."""
    return reduce(know_nothing((FIRST,)), observations, POLICY)


def missing(written: Catalog, known: Known, *, everything: bool = False, reconciling: bool = False) -> list[News]:
    """Return what is missing at second 50."""
    return differences(written, known, 50.0, everything=everything, reconciling=reconciling)


def test_fact_says_when_where_and_at_which_revision_it_was_heard() -> None:
    """An addition and a removal carry the origin of their word, the removal its cause too."""
    one, two = instance(), instance(name="b", port=8001)
    known = reduce(heard(listed([one])), [seen(two, at=7.0), withdrawn(one.key, "exited 1", at=8.0)], POLICY)
    assert missing(catalog_of([one]), known) == [
        News(InstanceAdded(two), 7.0, FIRST, "2"),
        News(InstanceRemoved(one, "exited 1"), 8.0, FIRST, "3"),
    ]


def test_removal_says_when_its_end_was_seen() -> None:
    """The times of a removal are those of the document that withdrew it; the last instance stays as it was."""
    one = instance()
    word = Withdrawn(FIRST, "3", 8.0, one.key, "exited 1", Sighting(7.5, 7.6))
    (news,) = missing(catalog_of([one]), reduce(heard(listed([one])), [word], POLICY))
    assert news.fact == InstanceRemoved(one, "exited 1", 7.5, 7.6)


def test_only_what_was_touched_is_compared() -> None:
    """What is settled costs nothing, until everything is to be compared; then its source is looked up."""
    one = instance()
    known = settled(heard(listed([one])))
    assert missing(Catalog(), known) == []
    assert missing(Catalog(), known, everything=True) == [News(InstanceAdded(one), 50.0, FIRST, "1")]


def test_removal_without_a_word_says_so() -> None:
    """A written instance that nobody knows of is removed; of a single source the revision is known."""
    assert missing(catalog_of([instance()]), heard(listed([])), everything=True) == [
        News(InstanceRemoved(instance(), "removed"), 50.0, FIRST, "1")
    ]


def test_another_sighting_is_no_fact() -> None:
    """The written instance differs in cause and times only: nothing is missing."""
    written = evolve(instance(), cause="reconciled", seen_docker=1.0)
    assert missing(catalog_of([written]), heard(seen(instance()))) == []
    changed = evolve(instance(), weight=1)
    assert missing(catalog_of([written]), heard(seen(changed))) == [
        News(InstanceChanged(changed, written), 0.0, FIRST, "2")
    ]


def test_new_incarnation_reconciles() -> None:
    """What is added to a stream begun anew was there before, and says so."""
    (news,) = missing(Catalog(), heard(seen(evolve(instance(), cause="started"))), reconciling=True)
    assert news.fact == InstanceAdded(evolve(instance(), cause="reconciled"))


def test_bindings_are_compared_too() -> None:
    """A binding that was heard of and is not written is missing."""
    binding = Binding(key="h/c/DB", service="db", port=5432)
    known = heard(Seen(FIRST, "2", 3.0, binding))
    assert missing(Catalog(), known) == [News(BindingAdded(binding), 3.0, FIRST, "2")]
    assert missing(Catalog(bindings={binding.key: binding}), known) == []


def test_source_is_lost_after_a_few_seconds_and_recovered_at_once() -> None:
    """A blip is no fact; what the head says of the source decides what is news."""
    known = reduce(heard(listed([])), [Silent(FIRST, 100.0, "refused")], POLICY)
    following = {STATE: "following"}
    assert list(source_news(following, known, 102.9)) == []
    assert source_states(following, known, 102.9)[STATE] == "following"
    assert list(source_news(following, known, 103.0)) == [News(SourceLost(FIRST, "refused"), 100.0, FIRST, "1")]
    lost = source_states(following, known, 103.0)
    assert lost == {STATE: "lost since 1970-01-01T00:01:40+00:00", f"{FIRST}:revision": "1"}
    assert list(source_news(lost, known, 200.0)) == []
    back = reduce(known, [Answering(FIRST, 201.0)], POLICY)
    assert list(source_news(lost, back, 201.0)) == [News(SourceRecovered(FIRST), 201.0, FIRST, "1")]
    assert list(source_news(following, back, 201.0)) == []


def test_source_that_was_never_listed_is_not_said_to_be_followed() -> None:
    """Half a listing is none; a source that was lost stays so until it has listed."""
    half = heard(Listed(source=FIRST, revision="1", at=0.0, instances=()))
    assert STATE not in source_states({}, half, 1.0)
    assert source_states({STATE: "lost since then"}, half, 1.0)[STATE] == "lost since then"
    assert list(source_news({STATE: "lost since then"}, half, 1.0)) == []
