"""Instances that are arranged anew after a change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.model import Address, Instance
from mooring_register.layouts.arrangement import Arrangement, arranged_anew
from mooring_register.layouts.named import NAMES, layout_of

INSTANCES = st.builds(
    Instance,
    service=st.sampled_from(["web", "a/b", "a-b", "é"]),
    id=st.sampled_from(["h:x:80", "h:y:80", "port"]),
    address=st.builds(Address, st.just("10.0.0.1"), st.sampled_from([80, 81])),
    weight=st.sampled_from([0, 100]),
    container=st.sampled_from(["c1", "c2"]),
)
WANTED = st.lists(INSTANCES, unique_by=lambda one: one.key, max_size=5).map(lambda some: {one.key: one for one in some})


@pytest.mark.parametrize("name", NAMES)
@given(history=st.lists(WANTED, min_size=1, max_size=4))
def test_arranged_as_if_for_the_first_time(name: str, history: list[dict[tuple[str, str], Instance]]) -> None:
    """Whatever stood there before, instances are arranged as if nothing had."""
    layout = layout_of(name, "/services")
    arrangement = Arrangement(layout)
    for instances in history:
        arrangement = arranged_anew(arrangement, instances)
        anew = layout.arrange(instances)
        assert arrangement.arranged.instances == anew.instances
        assert [str(one) for one in arrangement.arranged.problems] == [str(one) for one in anew.problems]


def test_only_what_changed_is_arranged() -> None:
    """The keys of what did not change have the very values that they had; the same mapping is not arranged at all."""
    one, other = (Instance(service="web", id=name, address=Address("10.0.0.1", 80)) for name in "ab")
    before = arranged_anew(Arrangement(layout_of("native", "/services")), {one.key: one})
    after = arranged_anew(before, {one.key: one, other.key: other})
    assert after.arranged.instances["/services/web/a"] is one
    assert arranged_anew(after, after.instances) is after
