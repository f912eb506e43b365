"""The rules of what is believed to be gone, as tables."""

import pytest

from mooring_discover.suspects import Policy, follows_silence, is_mass_expiry, may_leave, unbelieved

POLICY = Policy(hold_seconds=30, ttl_seconds=15, host_share=0.2, listing_share=0.5)


@pytest.mark.parametrize(
    ("expired", "known", "mass"),
    [(0, 10, False), (1, 1, False), (1, 3, False), (2, 10, False), (3, 10, True), (2, 3, True), (2, 2, True)],
)
def test_mass_expiry_takes_more_than_one_host_and_more_than_a_fifth(expired: int, known: int, mass: bool) -> None:
    """One host that dies is one host that dies; several at once make the registry the suspect."""
    hosts = [f"host{number}" for number in range(known)]
    assert is_mass_expiry(hosts[:expired], hosts, POLICY) is mass


@pytest.mark.parametrize(
    ("expired_at", "ended", "follows"),
    [(100.0, None, False), (100.0, 99.0, True), (100.0, 85.0, True), (100.0, 84.9, False), (100.0, 100.5, True)],
)
def test_expiry_within_a_ttl_of_silence_is_doubted(expired_at: float, ended: float | None, follows: bool) -> None:
    """A registry that was frozen expires leases as it wakes, even before we notice that it woke."""
    assert follows_silence(expired_at, ended, POLICY) is follows


KEYS = [("web", "a"), ("web", "b"), ("web", "c"), ("db", "a")]


@pytest.mark.parametrize(
    ("missing", "suspect"),
    [
        ([], []),
        ([("web", "a")], []),
        ([("web", "a"), ("web", "b")], []),
        ([("db", "a")], [("db", "a")]),
        ([("web", "a"), ("db", "a")], [("db", "a")]),
        ([("web", "a"), ("web", "b"), ("web", "c")], [("web", "a"), ("web", "b"), ("web", "c")]),
        (KEYS, KEYS),
    ],
)
def test_listing_that_lacks_too_much_is_not_believed(
    missing: list[tuple[str, str]], suspect: list[tuple[str, str]]
) -> None:
    """All of it when over half or everything is missing, else only services that lost every instance."""
    listed = [key for key in KEYS if key not in missing]
    assert unbelieved(len(KEYS), listed, missing, POLICY) == frozenset(suspect)


def test_an_empty_listing_of_bindings_is_not_believed() -> None:
    """Bindings have no service to go by; the share and the emptiness count for them as well."""
    assert unbelieved(1, [], ["host/container/DB"], POLICY) == {"host/container/DB"}
    assert unbelieved(3, ["x", "y"], ["host/container/DB"], POLICY) == frozenset()


@pytest.mark.parametrize(
    ("after_seconds", "others_renew", "leaves"), [(29.9, True, False), (30.0, True, True), (1e6, False, False)]
)
def test_suspects_leave_only_while_others_renew(after_seconds: float, others_renew: bool, leaves: bool) -> None:
    """When nobody renews, the registry is what fails, however long it takes."""
    assert may_leave(100.0, 100.0 + after_seconds, others_renew=others_renew, policy=POLICY) is leaves
