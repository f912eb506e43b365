"""How a host is given up in several registries at once."""

import itertools

from mooring.etcd.memory import MemoryStore
from mooring_register.layouts.native import Native
from mooring_register.ownership import Claim
from mooring_register.writers.etcd import EtcdWriter
from mooring_register.writers.retiring import retire_all
from mooring_register.writers.writer import Terms

CLAIM = Claim(host="h1", engine="E1", ttl_seconds=15, version="0.1", started="now")
tokens = (f"token{number}" for number in itertools.count())


def holder(store: MemoryStore) -> EtcdWriter:
    """Return a writer that holds the host, and has written nothing else."""
    terms = Terms(
        claim=CLAIM,
        resync_seconds=60.0,
        clock=lambda: 100.0,
        tokens=lambda: next(tokens),
        owner_idle_seconds=lambda: 0.0,
    )
    one = EtcdWriter(store, "etcd://memory", Native("/services"), terms)
    one.turn()
    return one


def test_one_that_does_not_answer_keeps_no_other() -> None:
    """The host is given up where that can be done, and that it could not be done everywhere is told."""
    silent, well = MemoryStore(), MemoryStore()
    writers = [holder(silent), holder(well)]
    silent.fail("gone fishing")
    assert not retire_all(writers, 0.0)
    assert well.list("/").items == ()
    silent.recover()
    assert retire_all(writers, 0.0)
    assert silent.list("/").items == ()


def test_what_another_register_took_is_left_to_it() -> None:
    """A successor that was faster keeps the host, and nobody waits for it."""
    taken, ours = MemoryStore(), MemoryStore()
    writers = [holder(taken), holder(ours)]
    holder(taken)
    assert retire_all(writers, 0.0)
    assert len(taken.list("/").items) == 1
    assert ours.list("/").items == ()
