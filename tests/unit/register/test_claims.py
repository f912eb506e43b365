"""What all containers claim together: worked out for what changed only, and the same as if it were for all."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.model import Address, Instance
from mooring_register.addresses.reach import Policy
from mooring_register.claims import claims_of
from mooring_register.containers import Container, Network, PortMapping
from mooring_register.observations import Declared, Died, Gone, Inspected, Listed, Observation, Signalled
from mooring_register.registrar import Registrar, apply, withdrawals

NAMES = ("a", "b", "c", "d")
POLICY = Policy(host="h", ip="10.0.0.1")
STATIC = Instance(service="web", id="given", address=Address("10.0.0.9", 80))


@st.composite
def containers(draw: st.DrawFn) -> Container:
    """Draw one of a few containers, of which some claim the same id, and some share networks."""
    name = draw(st.sampled_from(NAMES))
    labels = {"SERVICE_NAME": "web", "SERVICE_ID": draw(st.sampled_from(["", "given", "given", "x" * 300]))}
    mode = draw(st.sampled_from(["default", "default", "host", *(f"container:{other}" for other in NAMES)]))
    port = draw(st.sampled_from([8001, 8002]))
    return Container(
        id=name,
        name=f"/{name}",
        labels=labels,
        wishes=draw(st.sampled_from([{}, {"BACKEND_DB": "db;5432"}, {"BACKEND_DB": "not one"}])),
        running=draw(st.sampled_from([True, True, True, False])),
        paused=draw(st.sampled_from([True, False, False])),
        started_at=draw(st.sampled_from([1.0, 2.0])),
        network_mode=mode,
        networks=() if mode != "default" else (Network("bridge", f"172.17.0.{port - 8000}"),),
        ports=(PortMapping(80, "tcp", "0.0.0.0", port),),
    )


SOME_NAME = st.sampled_from(NAMES)
OBSERVATIONS: st.SearchStrategy[Observation] = st.one_of(
    st.builds(Inspected, containers(), st.just("updated"), st.just(5.0)),
    st.builds(Inspected, containers(), st.just("updated"), st.just(5.0)),
    st.builds(
        Listed,
        st.frozensets(SOME_NAME),
        st.lists(containers(), unique_by=lambda one: one.id).map(tuple),
        st.just(5.0),
    ),
    st.builds(Died, SOME_NAME, st.just(1), st.just(5.0)),
    st.builds(Gone, SOME_NAME, st.just(5.0)),
    st.builds(Signalled, SOME_NAME, st.just("15"), st.just(5.0)),
    st.builds(Declared, st.sampled_from([(), (STATIC,)]), st.just(()), st.just(5.0)),
)


@given(turns=st.lists(st.lists(OBSERVATIONS, max_size=3), max_size=8))
def test_claims_are_those_of_all(turns: list[list[Observation]]) -> None:
    """However it came to them, what containers claim is what they would claim if all were looked at now."""
    state = Registrar(policy=POLICY)
    for number, observations in enumerate(turns):
        before, state = state, apply(state, observations, 10.0 * number)
        anew = claims_of(state.containers, state.declared)
        assert (state.instances, state.bindings) == (anew.instances, anew.bindings)
        assert [str(problem) for problem in state.problems] == [str(problem) for problem in anew.problems]
        assert withdrawals(before, state, 0.0).keys() == before.instances.keys() - state.instances.keys()


@given(first=st.lists(containers(), unique_by=lambda one: one.id), then=containers())
def test_what_nothing_happened_to_is_the_same_value(first: list[Container], then: Container) -> None:
    """Whatever happens to one container, those on networks of their own keep the very values that they had."""
    others = tuple(one for one in first if one.id != then.id)
    listed = Listed(frozenset(one.id for one in others), others, 1.0)
    state = apply(Registrar(policy=POLICY), [listed], 1.0)
    after = apply(state, [Inspected(then, "updated", 2.0)], 2.0)
    for one, known in state.containers.items():
        if not known.container.network_mode.startswith("container:"):
            assert after.containers[one] is known
    again = apply(after, [Inspected(evolve(then), "updated", 3.0)], 3.0)
    assert again.problems == after.problems
    assert not again.changed - again.sharing


def test_nothing_new_keeps_all_claims() -> None:
    """A turn in which nothing changes hands on the very mappings, so that no writer is told."""
    one = Container(id="a", name="/a", ports=(PortMapping(80, "tcp", "0.0.0.0", 8001),))
    state = apply(Registrar(policy=POLICY), [Listed(frozenset({"a"}), (one,), 1.0)], 1.0)
    after = apply(state, [Listed(frozenset({"a"}), (evolve(one),), 2.0)], 2.0)
    assert after.instances is state.instances
    assert after.bindings is state.bindings
    assert after.changed == frozenset()


def test_an_id_that_two_claim() -> None:
    """When the first of two that claim one id goes, or comes back, the other one has it, or not."""
    first, second = (
        Container(
            id=name,
            name=f"/{name}",
            labels={"SERVICE_NAME": "web", "SERVICE_ID": "given"},
            started_at=started_at,
            ports=(PortMapping(80, "tcp", "0.0.0.0", 8001),),
        )
        for name, started_at in (("a", 1.0), ("b", 2.0))
    )
    both = apply(Registrar(policy=POLICY), [Listed(frozenset("ab"), (first, second), 3.0)], 3.0)
    assert [one.container for one in both.instances.values()] == ["a"]
    assert len(both.problems) == 1
    alone = apply(both, [Gone("a", 4.0)], 4.0)
    assert [one.container for one in alone.instances.values()] == ["b"]
    assert alone.problems == ()
    again = apply(alone, [Inspected(first, "started", 5.0)], 5.0)
    assert [one.container for one in again.instances.values()] == ["a"]
    assert len(again.problems) == 1
