"""How changes are cut into transactions."""

import functools

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from mooring.etcd.store import Operation, Put
from mooring_register.transactions import MOST_BYTES, MOST_OPERATIONS, transactions_of


@frozen
class Change:
    """A change of one key."""

    operation: Operation


@functools.cache
def value_of(size: int) -> bytes:
    """Return a value of this size, always the same one: some are large."""
    return b"x" * size


def changes(*sizes: int) -> list[Change]:
    """Return changes that write values of these sizes."""
    return [Change(Put(f"/{number}", value_of(size))) for number, size in enumerate(sizes)]


SIZES = st.one_of(st.integers(0, 100), st.sampled_from([MOST_BYTES // 3, MOST_BYTES // 2, MOST_BYTES]))


@given(groups=st.lists(st.lists(SIZES, min_size=1, max_size=150), max_size=6))
def test_transactions_fit(groups: list[list[int]]) -> None:
    """Every change is in one transaction, in order, and none of these is too much for an etcd if it can be cut."""
    given_changes = [changes(*sizes) for sizes in groups]
    batches = list(transactions_of(given_changes))
    assert [one for batch in batches for one in batch] == [one for group in given_changes for one in group]
    for batch in batches:
        assert 0 < len(batch) <= MOST_OPERATIONS
        size = sum(len(one.operation.value) for one in batch if isinstance(one.operation, Put))
        assert size <= MOST_BYTES or len(batch) == 1


def test_what_belongs_together_stays_together() -> None:
    """A group begins a transaction of its own when it does not fit behind the others."""
    first, second = changes(*[1] * (MOST_OPERATIONS - 1)), changes(1, 1)
    assert list(transactions_of([first, second])) == [tuple(first), tuple(second)]
    large, small = changes(MOST_BYTES // 2), changes(MOST_BYTES // 4, MOST_BYTES // 3)
    assert list(transactions_of([large, small])) == [tuple(large), tuple(small)]


def test_no_transaction_for_nothing() -> None:
    """Without changes there is nothing to commit."""
    assert list(transactions_of([[], []])) == []
