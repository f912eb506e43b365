"""What `mooring stop` sees of a stream."""

import pytest

from mooring.facts import InstanceAdded
from mooring.model import Address, Instance, State
from mooring.redis.memory import MemoryStream
from mooring.redis.stream import Appended
from mooring_register.stop.looking import look
from mooring_register.stop.progress import ProxyView, StreamView
from tests.streams import batch_of


def stream_of(*states: State) -> MemoryStream:
    """Return a stream with an instance in each of these states."""
    stream = MemoryStream()
    epoch = stream.lead("test", expiry_seconds=60)
    assert epoch is not None
    head = stream.begin(incarnation="life", epoch=epoch, run_id=stream.run_id())
    address = Address("10.0.0.1", 80)
    facts = [InstanceAdded(Instance(service="web/v1", id=one.value, address=address, state=one)) for one in states]
    assert stream.append(batch_of(head, *facts, complete=True)) == Appended(len(facts))
    return stream


def test_who_may_be_given_new_connections() -> None:
    """All but what drains, and what is down; who does not ask for the catalog is told nothing of it."""
    stream = stream_of(State.UP, State.STARTING, State.SUSPECT, State.DRAINING, State.DOWN)
    serving = frozenset({"web/v1|up", "web/v1|starting", "web/v1|suspect"})
    assert look(stream, reads_catalog=True) == StreamView("life", 5, serving, ())
    assert look(stream, reads_catalog=False) == StreamView("life", 5, frozenset(), ())


@pytest.mark.parametrize(
    ("leaving", "counts"),
    [
        ({"leaving": '{"web|a":2}'}, {"web|a": 2}),
        ({"leaving": "{}"}, {}),
        ({}, {}),
        *(({"leaving": text}, {}) for text in ("", "[", "[]", "7", '{"web|a":"many"}')),
    ],
)
def test_what_proxies_announce(leaving: dict[str, str], counts: dict[str, int]) -> None:
    """How far each is, and what is open to those who leave; of one that does not say so nothing is known."""
    stream = stream_of(State.UP)
    stream.announce("h:1936", {"incarnation": "life", "sequence": "7", **leaving}, expiry_seconds=5)
    stream.announce("h:1937", {"incarnation": "", "sequence": ""}, expiry_seconds=5)
    view = look(stream, reads_catalog=False)
    assert view is not None
    assert view.proxies == (ProxyView("h:1936", "life", 7, counts), ProxyView("h:1937", "", -1, {}))


def test_where_there_is_nothing_to_see() -> None:
    """No stream, or a Redis that does not answer: the same for whoever waits."""
    away = stream_of(State.UP)
    away.fail()
    assert look(MemoryStream(), reads_catalog=True) is None
    assert look(away, reads_catalog=True) is None
