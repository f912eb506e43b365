"""The tree of errors is what its module says, and their words name the thing and the reason."""

import inspect

import pytest

from mooring import errors
from mooring.errors import (
    DescriptorError,
    DocumentError,
    EntryError,
    InvalidInput,
    LeaseLost,
    MooringError,
    NewerVersion,
    SettingsError,
    WorldError,
)

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, MooringError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_tree_is_drawn_as_it_is(kind: type[MooringError]) -> None:
    """Each error stands in the drawing, as deep below the root as it is derived."""
    drawing = inspect.getdoc(errors) or ""
    depth = kind.__mro__.index(MooringError)
    (line,) = [line for line in drawing.splitlines() if line.strip(" │├└─").split(" ")[0] == kind.__name__]
    assert line.index(kind.__name__) == 4 + 4 * depth


@pytest.mark.parametrize("kind", [DescriptorError, DocumentError, EntryError, NewerVersion, SettingsError])
def test_bad_input_names_the_thing_and_the_reason(kind: type[InvalidInput]) -> None:
    """An error about bad input reads as "where: why" and has both apart, for those who count by thing."""
    error = kind("label SERVICE_NAME", "is empty")
    assert str(error) == "label SERVICE_NAME: is empty"
    assert (error.where, error.reason) == ("label SERVICE_NAME", "is empty")


def test_kinds_do_not_mix() -> None:
    """No error is bad input and a failing world at once; each has the answer of its kind."""
    assert not [kind for kind in KINDS if issubclass(kind, InvalidInput) and issubclass(kind, WorldError)]


def test_lost_lease_is_named_as_etcd_writes_it() -> None:
    """The id is shown in hexadecimal, as etcd's own tools show it."""
    assert str(LeaseLost(0x694D7E1)) == "lease 694d7e1 is gone"
