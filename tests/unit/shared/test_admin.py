"""What a command tells about itself over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from mooring.admin import Admin
from mooring.model import Address


class Part:
    """Something that can be not ready."""

    reason: str | None = "still listing"


@pytest.fixture
def part() -> Part:
    """Return a part that is not ready yet."""
    return Part()


@pytest.fixture
def admin(part: Part) -> Iterator[Admin]:
    """Serve the part's state on a free port."""
    served = Admin(Address("127.0.0.1", 0), ready=lambda: part.reason, state=lambda: {"instances": 3})
    served.start()
    yield served
    served.stop()


def _get(admin: Admin, path: str) -> tuple[int, str]:
    connection = HTTPConnection(admin.address.host, admin.address.port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_alive_is_said_whatever_the_state(admin: Admin) -> None:
    """A process that answers is alive."""
    assert _get(admin, "/healthz") == (200, "ok\n")


def test_not_ready_says_why_until_it_is(admin: Admin, part: Part) -> None:
    """503 with the reason, then 200."""
    assert _get(admin, "/readyz") == (503, "still listing\n")
    part.reason = None
    assert _get(admin, "/readyz") == (200, "ready\n")


def test_the_state_is_json(admin: Admin) -> None:
    """The state is what the part says, as JSON."""
    status, text = _get(admin, "/state")
    assert (status, json.loads(text)) == (200, {"instances": 3})


def test_metrics_are_there_for_prometheus(admin: Admin) -> None:
    """The counters of the process are exposed."""
    status, text = _get(admin, "/metrics")
    assert status == 200
    assert "# TYPE python_info gauge" in text


def test_any_other_path_tells_what_there_is(admin: Admin) -> None:
    """A wrong path answers 404 with the right ones."""
    status, text = _get(admin, "/status?x=1")
    assert status == 404
    assert "/readyz" in text
