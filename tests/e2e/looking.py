"""What is seen of a running stack from its host: its parts' own answers, its stream, its registry."""

from __future__ import annotations

from urllib.request import urlopen

from mooring.entries import Entry, decode_entry
from mooring.etcd.client import connect
from mooring.facts import InstanceAdded, InstanceRemoved, seen_docker
from mooring.keys import STORE_KEY
from mooring.model import Address
from tests.checker import check
from tests.compose import Stack
from tests.servers import ask

READY = b"GET /readyz HTTP/1.0\r\n\r\n"
PROXY_ADMIN_PORT = 1936
# Where each part of a stack says that it is ready, and how it is asked: a question, and what a good answer begins with.
ASKED = {
    "etcd": (2379, b"GET /health HTTP/1.0\r\n\r\n", b"HTTP/1.0 200"),
    "redis": (6379, b"PING\r\n", b"+PONG"),
    "register": (1934, READY, b"HTTP/1.0 200"),
    "discover": (1935, READY, b"HTTP/1.0 200"),
    "sockets": (1933, READY, b"HTTP/1.0 200"),
    "proxy": (PROXY_ADMIN_PORT, READY, b"HTTP/1.0 200"),
}


def answers(service: str) -> bool:
    """Tell whether a part says that it is ready."""
    port, question, beginning = ASKED[service]
    return ask(port, question).startswith(beginning)


def entries(stack: Stack) -> list[Entry]:
    """Return the whole stream."""
    with stack.stream() as stream:
        decoded = (decode_entry(raw.sequence, raw.fields) for raw in stream.tail(10_000))
        return [entry for entry in decoded if entry is not None]


def catalog(stack: Stack, service: str) -> set[str]:
    """Return the ids of a service's instances, once nothing was found wrong with the stream."""
    with stack.stream() as stream:
        check(stream)
        return {instance.id for instance in stream.catalog().services.get(service, {}).values()}


def applied_by_all(stack: Stack, proxies: int) -> bool:
    """Tell whether so many proxies say that they have applied the whole stream."""
    with stack.stream() as stream:
        head, announced = stream.head(), stream.announced().values()
        assert head is not None
        return len([one for one in announced if one["sequence"] == str(head.sequence)]) == proxies


def carries(admin_port: int, service: str) -> bool:
    """Tell whether a proxy has relayed a connection for a service."""
    with urlopen(f"http://127.0.0.1:{admin_port}/metrics", timeout=5) as answer:
        return f'mooring_proxy_connections_total{{service="{service}"}}' in answer.read().decode()


def facts(stack: Stack, service: str) -> list[tuple[int, float]]:
    """Return the sequence of each fact about the service, and when Docker saw what it is about."""
    return [
        (sequence, seen_docker(fact) or 0)
        for sequence, fact in ((entry.sequence, entry.fact) for entry in entries(stack))
        if isinstance(fact, InstanceAdded | InstanceRemoved) and fact.instance.service == service
    ]


def applied_at(stack: Stack, sequence: int) -> float:
    """Return when the proxy had applied the stream up to here; 0 while it has not said so."""
    with stack.stream() as stream:
        times = [float(one["applied_at"]) for one in stream.announced().values() if one["sequence"] == str(sequence)]
    return max(times, default=0)


def store_id() -> bytes:
    """Return what tells this etcd from one that took its place."""
    store = connect([Address("127.0.0.1", ASKED["etcd"][0])])
    try:
        (item,) = store.list(STORE_KEY).items
        return item.value
    finally:
        store.close()


def epoch(stack: Stack) -> int:
    """Return the number of the present leadership, 0 before the first."""
    with stack.stream() as stream:
        head = stream.head()
        return head.epoch if head else 0
