"""What the tests of the commands that read Redis begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from mooring.redis.client import RedisStream
from tests.integration.commands.onlookers import hand_written
from tests.integration.discovers import Site, open_site
from tests.servers import EtcdServer, RedisServer


@pytest.fixture
def stream(redis_server: RedisServer, namespace: str) -> Iterator[RedisStream]:
    """Give a stream of one's own in the Redis of all tests."""
    with hand_written(redis_server, namespace) as made:
        yield made


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """Give the hand of somebody who writes to Redis what he should not."""
    with redis.Redis(port=redis_server.port, decode_responses=True) as made:
        yield made


@pytest.fixture
def site(etcd_server: EtcdServer, own_redis_server: RedisServer, tmp_path: Path, namespace: str) -> Iterator[Site]:
    """Give discovers a Redis that the test may break."""
    with open_site(etcd_server, own_redis_server, tmp_path, namespace) as one:
        yield one
