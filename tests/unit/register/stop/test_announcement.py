"""What `mooring stop` says to a register, and what that answers."""

import pytest
from attrs import evolve

from mooring.errors import DocumentError
from mooring.model import Address, Instance, State
from mooring_register.addresses.reach import Policy
from mooring_register.containers import Container, PortMapping, read_container
from mooring_register.draining import DRAIN_MARGIN_SECONDS
from mooring_register.observations import Listed
from mooring_register.plan import Holding
from mooring_register.registrar import Registrar, apply
from mooring_register.stop.announcement import (
    Announcement,
    Answer,
    answer_to,
    decode_announcement,
    decode_answer,
    encode_announcement,
    encode_answer,
)

WEB = Container(id="c1", name="/web.1", image="web", ports=(PortMapping(80, "tcp", "0.0.0.0", 32768),))
LISTED = apply(Registrar(policy=Policy(host="h", ip="10.0.0.1")), [Listed(frozenset({"c1"}), (WEB,), 900.0)], 900.0)
SAID = Announcement("c1", 5.0)
FIELDS = ("web|h:web.1:80",)


def holding(state: State, *, is_all: bool = True) -> Holding:
    """Return what a registry holds: the container's instance in that state, and another one's."""
    one = Instance(service="web", id="h:web.1:80", address=Address("10.0.0.1", 32768), state=state)
    other = evolve(one, id="h:web.2:80", state=State.UP)
    return Holding({one.key: one, other.key: other}, is_all)


NOTHING = Holding({}, is_all=True)


def test_an_announcement_is_read_as_it_was_written() -> None:
    """What the one side says is what the other understands."""
    assert decode_announcement(encode_announcement(SAID)) == SAID


def test_the_longest_end_can_be_announced() -> None:
    """A container that Docker waits for without end drains until it has ended, or somebody should look at it."""
    patient = read_container({"Id": "c1", "Config": {"StopTimeout": -1}})
    said = Announcement("c1", patient.stop_timeout_seconds + DRAIN_MARGIN_SECONDS)
    assert decode_announcement(encode_announcement(said)) == said


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"container": "c1"}, *({"container": "c1", "seconds": one} for one in (0, -1, "5", 1e9, None))],
)
def test_what_is_no_announcement_is_refused(document: object) -> None:
    """A container and a bounded time, or nothing."""
    with pytest.raises(DocumentError, match="/stopping: expected a container and up to 86405 seconds"):
        decode_announcement(document)


def test_an_answer_is_read_as_it_was_written() -> None:
    """And what is no answer is told from one."""
    answer = Answer(listed=True, instances=FIELDS, drains=True)
    assert decode_answer(encode_answer(answer)) == answer
    with pytest.raises(DocumentError, match="no register's answer"):
        decode_answer({"listed": True})


@pytest.mark.parametrize(
    ("holdings", "drains"),
    [
        ([holding(State.DRAINING)], True),
        ([holding(State.DRAINING, is_all=False)], True),
        ([NOTHING], True),
        ([Holding({}, is_all=False)], False),
        ([holding(State.UP)], False),
        ([holding(State.STARTING)], False),
        ([None], False),
        ([holding(State.DRAINING), holding(State.UP)], False),
        ([holding(State.DRAINING), None], False),
    ],
    ids=[
        *("draining", "draining, and others are on their way", "withdrawn", "perhaps on its way", "up", "starting"),
        *("not written yet", "one of two", "one of two not written yet"),
    ],
)
def test_a_container_drains_when_every_registry_holds_it(holdings: list[Holding | None], drains: bool) -> None:
    """One registry that lags is enough to wait."""
    assert answer_to(SAID, LISTED, holdings) == Answer(listed=True, instances=FIELDS, drains=drains)


def test_a_container_that_offers_nothing_is_not_registered() -> None:
    """Nothing is known of it; but only somebody who has listed can tell."""
    other = Announcement("c2", 5.0)
    assert answer_to(other, LISTED, [NOTHING]) == Answer(listed=True, instances=(), drains=True)
    assert not answer_to(other, Registrar(policy=Policy(host="h")), [None]).listed


def test_what_an_unhealthy_container_offered_is_told_too() -> None:
    """It is withdrawn, and connections from before may still be open to it."""
    ill = Listed(frozenset({"c1"}), (evolve(WEB, health="unhealthy"),), 950.0)
    assert answer_to(SAID, apply(LISTED, [ill], 950.0), [NOTHING]) == Answer(listed=True, instances=FIELDS, drains=True)
