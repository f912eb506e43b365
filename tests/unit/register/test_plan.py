"""What is written next."""

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mooring.documents import decode_instance
from mooring.etcd.store import Delete, Put
from mooring.model import Address, Instance, State
from mooring_register.deregistration import Failure
from mooring_register.plan import Change, Wanted, Written, carried_out, plan
from mooring_register.registrar import Withdrawal
from mooring_register.transactions import MOST_OPERATIONS

LEASE = 7
WEB = Instance(
    service="web", id="a", address=Address("10.0.0.1", 80), cause="started", host="h", container="c", seen_docker=1.0
)
KEY = "/services/web/a"
AS_WANTED = Written(5, LEASE, WEB)


def changes(
    wanted: dict[str, Instance], written: dict[str, Written], why: dict[str, Withdrawal] | None = None
) -> list[Change]:
    """Return the next changes, whatever transactions they are in."""
    return [change for batch in plan(Wanted(wanted, why or {}), written, LEASE, 100.0) for change in batch]


def test_a_new_key() -> None:
    """A new instance is put under the lease if the key is not there, with the time of writing."""
    (change,) = changes({KEY: WEB}, {})
    assert isinstance(change.operation, Put)
    assert (change.key, change.revision, change.operation.lease) == (KEY, 0, LEASE)
    assert decode_instance(change.operation.value, where=KEY) == evolve(WEB, seen_registry=100.0)


def test_nothing_changed() -> None:
    """Another cause and other times alone cost no write."""
    assert changes({KEY: evolve(WEB, cause="reconciled", seen_docker=9.0)}, {KEY: AS_WANTED}) == []


def test_changed() -> None:
    """A changed instance is put if the key is still as we know it."""
    (change,) = changes({KEY: evolve(WEB, weight=0)}, {KEY: AS_WANTED})
    assert (change.revision, change.instance and change.instance.weight) == (5, 0)


def test_another_lease_or_a_broken_document() -> None:
    """A key on another lease, or one that is no document, is written anew."""
    assert len(changes({KEY: WEB}, {KEY: Written(5, 8, WEB)})) == 1
    assert len(changes({KEY: WEB}, {KEY: Written(5, LEASE, None)})) == 1


def test_what_failed_stays_marked() -> None:
    """[R-L] A container that failed is marked down with its exit code, and its key stays until that is forgotten."""
    failures = {"c": Failure("exited 1", 50.0)}
    ((mark,),) = plan(Wanted({}, {}, failures=failures), {KEY: AS_WANTED}, LEASE, 100.0)
    assert mark.instance is not None
    assert (mark.instance.state, mark.instance.cause, mark.instance.seen_docker) == (State.DOWN, "exited 1", 50.0)
    written = carried_out({KEY: AS_WANTED}, [mark], 6)
    assert plan(Wanted({}, {}, failures=failures), written, LEASE, 100.0) == ()
    ((again,),) = plan(Wanted({KEY: WEB}, {}, failures=failures), written, LEASE, 100.0)
    assert again.instance == WEB
    ((delete,),) = plan(Wanted({}, {}), written, LEASE, 100.0)
    assert isinstance(delete.operation, Delete)


def test_withdrawal_has_two_steps() -> None:
    """What is no longer wanted is marked down with its cause, and deleted when that is written."""
    (mark,) = changes({}, {KEY: AS_WANTED}, {KEY: Withdrawal("exited 137", 50.0)})
    assert mark.instance is not None
    assert (mark.instance.state, mark.instance.cause, mark.instance.seen_docker) == (State.DOWN, "exited 137", 50.0)
    written = carried_out({KEY: AS_WANTED}, [mark], 6)
    (delete,) = changes({}, written)
    assert (delete.operation, delete.revision) == (Delete(KEY), 6)
    assert carried_out(written, [delete], 7) == {}


def test_a_crash_between_the_steps() -> None:
    """A key that an earlier register left as down is deleted, without being marked again."""
    (delete,) = changes({}, {KEY: Written(9, LEASE, evolve(WEB, state=State.DOWN))})
    assert (delete.operation, delete.revision) == (Delete(KEY), 9)


def test_a_broken_document_is_deleted() -> None:
    """A key of ours that is no document, and not wanted, is deleted."""
    (delete,) = changes({}, {KEY: Written(9, LEASE, None)})
    assert delete.operation == Delete(KEY)


def test_a_cause_nobody_knows() -> None:
    """What an earlier register wrote and nobody knows any more is withdrawn with the cause that was given for that."""
    ((mark,),) = plan(Wanted({}, {}, "withdrawn"), {KEY: AS_WANTED}, LEASE, 100.0)
    assert mark.instance is not None
    assert mark.instance.cause == "withdrawn"


def test_a_rename_is_one_transaction() -> None:
    """The old id goes down in the very transaction in which the new one comes up, however much else is to be done."""
    others = {f"/services/x/{number}": evolve(WEB, id=str(number), container=f"{number}") for number in range(99)}
    renamed = evolve(WEB, id="b")
    batches = plan(Wanted(others | {"/services/web/b": renamed}, {}), {KEY: AS_WANTED}, LEASE, 100.0)
    together = [{change.key for change in batch} for batch in batches if any(change.key == KEY for change in batch)]
    assert [{KEY, "/services/web/b"} <= batch for batch in together] == [True]


KEYS = st.sampled_from([f"/services/web/{number}" for number in range(8)])
INSTANCES = st.builds(
    Instance,
    service=st.just("web"),
    id=st.just("x"),
    address=st.just(Address("10.0.0.1", 80)),
    weight=st.integers(0, 2),
    container=st.sampled_from(["c1", "c2"]),
)
WRITTEN = st.builds(
    Written,
    st.integers(1, 9),
    st.sampled_from([LEASE, 8]),
    st.none() | INSTANCES | INSTANCES.map(lambda one: evolve(one, state=State.DOWN)),
)


@given(st.dictionaries(KEYS, INSTANCES), st.dictionaries(KEYS, WRITTEN))
def test_following_the_plan_reaches_what_is_wanted(wanted: dict[str, Instance], written: dict[str, Written]) -> None:
    """From anything written, following the plan ends after at most two rounds, with what is wanted and nothing else."""
    for revision in (10, 11):
        for batch in plan(Wanted(wanted, {}), written, LEASE, 100.0):
            assert len({change.key for change in batch}) == len(batch)
            written = carried_out(written, batch, revision)
    assert plan(Wanted(wanted, {}), written, LEASE, 100.0) == ()
    assert written.keys() == wanted.keys()
    assert all(one.instance is not None and wanted[key].same_as(one.instance) for key, one in written.items())


@given(st.integers(0, 350), st.integers(1, 130))
def test_transactions_are_small_enough(count: int, containers: int) -> None:
    """No transaction has more operations than etcd takes, and none is empty."""
    wanted = {
        f"/s/{number:03}": evolve(WEB, id=str(number), container=str(number % containers)) for number in range(count)
    }
    batches = plan(Wanted(wanted, {}), {}, LEASE, 100.0)
    assert all(0 < len(batch) <= MOST_OPERATIONS for batch in batches)
    assert sum(len(batch) for batch in batches) == count
