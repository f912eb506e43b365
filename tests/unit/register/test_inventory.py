"""The inventory of what a host has written: what it lists, what it never claims, and how little it changes."""

from hypothesis import given
from hypothesis import strategies as st

from mooring_register.inventory import holder_in, inventory_root, mark, marks_on, shelves

WEB = ("/services/web/a", b"10.0.0.1:80")
listed = st.sets(st.tuples(st.text(max_size=8), st.binary(max_size=8)), max_size=60)


@given(listed, listed)
def test_all_that_is_listed_is_found(first: set[tuple[str, bytes]], second: set[tuple[str, bytes]]) -> None:
    """Whatever was listed before, every key is found with its value; and with nothing to list nothing is left."""
    present = shelves("h1", second, shelves("h1", first, {}))
    assert marks_on(present.values()).issuperset(mark(key, value) for key, value in second)
    assert shelves("h1", set(), present) == {}


@given(listed, listed)
def test_fewer_keys_change_no_shelf(first: set[tuple[str, bytes]], second: set[tuple[str, bytes]]) -> None:
    """What goes costs no write: a mark may be there longer than its key."""
    present = shelves("h1", first | second, {})
    for fewer in (first, first | second):
        assert shelves("h1", fewer, present) == (present if fewer else {})


def test_a_shelf_that_changes_forgets_what_is_gone() -> None:
    """A mark that is needed no more goes with the next change of its shelf: no shelf grows for ever."""
    present: dict[str, bytes] = {}
    for number in range(2000):
        present = shelves("h1", {(f"/services/web/{number}", b"10.0.0.1:80")}, present)
    assert len(marks_on(present.values())) <= 16


def test_another_value_is_not_ours() -> None:
    """What somebody else has written to a key of ours is not listed."""
    marks = marks_on(shelves("h1", {WEB}, {}).values())
    assert mark(*WEB) in marks
    assert mark(WEB[0], b"10.0.0.2:80") not in marks
    assert mark(WEB[0] + "1", b"0.0.0.1:80") not in marks


def test_the_holder() -> None:
    """Of several hosts the one is found that lists a key with its value, whatever its name."""
    present = {**shelves("h1", set(), {}), **shelves("rack 2/h%", {WEB}, {})}
    assert all(key.startswith(inventory_root("rack 2/h%")) for key in present)
    assert holder_in(present, *WEB) == "rack 2/h%"
    assert holder_in(present, WEB[0], b"10.0.0.2:80") == ""


@given(st.binary() | st.sampled_from([b"[]", b"{}", b'{"marks":3}', b'{"marks":[3,null]}', b'"x"', b"[" * 100_000]))
def test_no_bytes_do_harm(value: bytes) -> None:
    """Whatever somebody puts on a shelf, it lists words or nothing."""
    assert all(isinstance(one, str) for one in marks_on([value]))
