"""A host's own values, wanted against written."""

from hypothesis import given
from hypothesis import strategies as st

from mooring_register.value_plan import plan_values

values = st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=2))


@given(values, values)
def test_what_is_wanted_gets_written(wanted: dict[str, bytes], written: dict[str, bytes]) -> None:
    """Carried out until nothing is left to do, the plan leaves just what is wanted, and touches nothing else."""
    present, touched = dict(written), set[str]()
    for _ in range(2):
        changes = plan_values(wanted, present)
        touched |= changes.keys()
        present = {key: value for key, value in {**present, **changes}.items() if value is not None}
    assert present == wanted
    assert plan_values(wanted, present) == {}
    assert touched == {key for key in wanted.keys() | written.keys() if wanted.get(key) != written.get(key)}


def test_deletes_come_first() -> None:
    """What is wanted no more goes before what is new comes."""
    assert plan_values({"a": b"1", "b": b"2"}, {"a": b"0", "c": b"3"}) == {"c": None}
