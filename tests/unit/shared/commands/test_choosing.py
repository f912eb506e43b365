"""Which entries are shown to whom."""

from __future__ import annotations

import pytest

from mooring.commands.choosing import Ago, Choice, FromSequence, Since, parse_since
from mooring.facts import BindingAdded, Fact, InstanceAdded, InstanceChanged, InstanceRemoved, SourceLost
from mooring.model import Address, Binding, Instance
from mooring.selector import parse_selector
from tests.unit.shared.commands.making import raw_of

WEB = Instance(
    service="web/v1", id="h:web.1:80", address=Address("10.0.0.5", 80), path="/services/web/v1/a", tags=("eu",)
)
ELSEWHERE = Instance(service="web/v1", id="h:web.1:80", address=Address("10.0.0.5", 80), path="/services/b", tags=())
BINDING = Binding(key="h/c/BACKEND_WEB", service="web/v1", port=80, tags=("eu",))


CHOICES = [
    (Choice(), InstanceAdded(WEB), True),
    (Choice(types=frozenset({"instance-added"})), InstanceAdded(WEB), True),
    (Choice(types=frozenset({"instance-removed"})), InstanceAdded(WEB), False),
    (Choice(selector=parse_selector("web/v1")), InstanceAdded(WEB), True),
    (Choice(selector=parse_selector("web")), InstanceAdded(WEB), False),
    (Choice(selector=parse_selector("web/*")), InstanceRemoved(WEB), True),
    (Choice(selector=parse_selector("web/v1[eu]")), InstanceRemoved(ELSEWHERE), False),
    (Choice(selector=parse_selector("/services/web")), InstanceChanged(ELSEWHERE, WEB), True),
    (Choice(selector=parse_selector("/services/web")), InstanceChanged(WEB, ELSEWHERE), True),
    (Choice(selector=parse_selector("/services/web")), InstanceChanged(ELSEWHERE, ELSEWHERE), False),
    (Choice(selector=parse_selector("web/v1[eu]")), BindingAdded(BINDING), True),
    (Choice(selector=parse_selector("web/v1[us]")), BindingAdded(BINDING), False),
    (Choice(selector=parse_selector("db")), BindingAdded(BINDING), False),
    (Choice(selector=parse_selector("*")), SourceLost("s", "r"), False),
    (Choice(types=frozenset({"binding-added"}), selector=parse_selector("web/v1")), InstanceAdded(WEB), False),
]


@pytest.mark.parametrize(("choice", "fact", "is_wanted"), CHOICES)
def test_who_asks_for_a_service_or_a_type_gets_what_concerns_it(choice: Choice, fact: Fact, is_wanted: bool) -> None:
    """A change concerns what an instance was and what it is; a source concerns no service."""
    assert choice.wants(raw_of(fact)) is is_wanted


@pytest.mark.parametrize(
    ("said", "since"),
    [
        ("1", FromSequence(1)),
        ("4711", FromSequence(4711)),
        ("250ms", Ago(0.25)),
        ("30s", Ago(30.0)),
        ("10m", Ago(600.0)),
        ("2h", Ago(7200.0)),
        ("1d", Ago(86400.0)),
    ],
)
def test_since_is_a_sequence_or_a_duration(said: str, since: Since) -> None:
    """A bare number is an entry, one with a unit is how long ago."""
    assert parse_since(said) == since


@pytest.mark.parametrize("said", ["", "m", "-1", "1.5h", "1 h", "yesterday", "²", "3w"])
def test_anything_else_is_refused_with_what_is_expected(said: str) -> None:
    """The message says how to write it."""
    with pytest.raises(ValueError, match="expected the sequence of an entry, or a duration like 30s"):
        parse_since(said)
