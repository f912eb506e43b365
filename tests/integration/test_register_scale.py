"""A register of many containers: each change is written once, nothing is lost, and what is unchanged costs no write.

`make bench-scale` does the same with ten thousand, and says what it takes; here is counted, not timed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mooring.etcd.client import connect
from mooring.etcd.store import At, Committed, Put
from mooring.model import parse_address
from mooring_register.transactions import MOST_BYTES, MOST_OPERATIONS
from tests.bench import scenes
from tests.bench.crowd import Crowd
from tests.servers import EtcdServer

SLOW_SECONDS = 0.2


@pytest.fixture
def crowd(own_etcd_server: EtcdServer, tmp_path: Path, namespace: str) -> Iterator[Crowd]:
    """Give an engine without containers, and an etcd to which nobody else writes: each of its writes is counted."""
    with Crowd(own_etcd_server, tmp_path, namespace) as one:
        yield one


@pytest.fixture
def far_crowd(etcd_server: EtcdServer, tmp_path: Path, namespace: str) -> Iterator[Crowd]:
    """Give one whose register has an etcd that answers late."""
    with Crowd(etcd_server, tmp_path, namespace, delay_seconds=SLOW_SECONDS) as one:
        yield one


def told(figures: scenes.Figures) -> str:
    """Return figures as one line."""
    return json.dumps({name: round(figure, 3) for name, figure in figures.items()})


def test_a_crowd(crowd: Crowd, measured: Callable[[str], None]) -> None:
    """F-13: many are registered with one write each, compared with none, and end right after any churn."""
    measured(f"register of many: {told(scenes.register_all(crowd, 200, '--resync', '1'))}")
    measured(f"register, reconcile: {told(scenes.reconcile(crowd, 2))}")
    measured(f"register, one change: {told(scenes.change_one(crowd, 5))}")
    measured(f"register, churn: {told(scenes.churn(crowd, 1200, 40))}")


def test_a_burst_with_a_slow_registry(far_crowd: Crowd, measured: Callable[[str], None]) -> None:
    """F-5: of 500 that end and start while the registry is slow none is lost, and none is written twice."""
    scenes.register_all(far_crowd, 250)
    measured(f"register, burst with an etcd late by {SLOW_SECONDS} s: {told(scenes.burst(far_crowd, 500))}")


def test_an_etcd_takes_the_largest_transactions(etcd_server: EtcdServer, namespace: str) -> None:
    """As much as is ever written at once is not too much for an etcd that was told nothing."""
    store = connect([parse_address(etcd_server.address)])
    keys = [f"/{namespace}/{number}" for number in range(MOST_OPERATIONS)]
    value = b"x" * (MOST_BYTES // MOST_OPERATIONS)
    conditions = tuple(At(key, 0) for key in keys)
    assert isinstance(store.commit(conditions, tuple(Put(key, value) for key in keys)), Committed)
    store.close()
