"""What a command tells about itself over HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path

import pytest

from mooring.admin import Admin, is_on_this_machine
from mooring.errors import DocumentError, SettingsError
from mooring.healthcheck import main as check_health
from mooring.healthcheck import verdict
from mooring.model import Address


class ImpatientAdmin(Admin):
    """An admin server that hangs up soon."""

    silence_seconds = 0.1


class Part:
    """Something that can be not ready."""

    reason: str | None = "still listing"
    stands_still: str | None = None


@pytest.fixture
def part() -> Part:
    """Return a part that is not ready yet."""
    return Part()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a file that shall say where the admin server is."""
    return tmp_path / "admin"


@pytest.fixture
def admin(part: Part, file: Path) -> Iterator[Admin]:
    """Serve the part's state on a free port."""

    def double(document: object) -> dict[str, object]:
        if not isinstance(document, int):
            raise DocumentError("/double", f"expected a number, got {document!r}")
        return {"doubled": 2 * document}

    served = Admin(
        Address("127.0.0.1", 0),
        ready=lambda: part.reason,
        standstill=lambda: part.stands_still,
        state=lambda: {"instances": 3},
        file=file,
        orders={"/double": double},
    )
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


def _post(
    admin: Admin, path: str, body: str, kind: str = "application/json", headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, object]]:
    connection = HTTPConnection(admin.address.host, admin.address.port, timeout=5)
    try:
        connection.request("POST", path, body, {"Content-Type": kind, **(headers or {})})
        answer = connection.getresponse()
        document: dict[str, object] = json.loads(answer.read())
        return answer.status, document
    finally:
        connection.close()


def test_an_order_is_carried_out(admin: Admin) -> None:
    """What is posted as JSON reaches the command, and its answer comes back."""
    assert _post(admin, "/double", "21") == (200, {"doubled": 42})


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "problem"),
    [
        ("/state", "21", "application/json", 404, "no such order"),
        ("/double", "21", "text/plain", 415, "an order is JSON"),
        ("/double", "{", "application/json", 400, "Expecting property name"),
        ("/double", "[" * 60_000, "application/json", 400, "recursion"),
        ("/double", '"' + "x" * 70_000 + '"', "application/json", 400, "expected up to 65536 bytes, got 70002"),
        ("/double", '"x"', "application/json", 400, "/double: expected a number, got 'x'"),
    ],
    ids=["unknown", "not JSON", "broken", "deep", "long", "wrong"],
)
def test_an_order_that_makes_no_sense_is_refused_with_the_reason(
    admin: Admin, path: str, body: str, kind: str, status: int, problem: str
) -> None:
    """A browser that was talked into posting sends no JSON; everything else is told what is wrong."""
    answered, document = _post(admin, path, body, kind)
    assert answered == status
    assert problem in str(document["problem"])


@pytest.mark.parametrize("length", ["-1", "1e3", "none"])
def test_an_order_that_does_not_say_how_long_it_is_is_not_read(admin: Admin, length: str) -> None:
    """It is refused at once: of one without an end nobody would know when to stop reading."""
    head = f"POST /double HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection((admin.address.host, admin.address.port), timeout=5) as open_end:
        open_end.sendall(head.encode())
        answer = open_end.makefile().read()
    assert " 400 " in answer
    assert f"expected up to 65536 bytes, got {length}" in answer


@pytest.mark.parametrize(
    "said", ["", "POST /double HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n4"]
)
def test_who_falls_silent_is_hung_up_on(said: str) -> None:
    """Nobody keeps a thread by asking half a question."""
    served = ImpatientAdmin(Address("127.0.0.1", 0), ready=lambda: None, state=dict, orders={"/double": lambda _: {}})
    served.start()
    with socket.create_connection((served.address.host, served.address.port), timeout=30) as open_end:
        open_end.sendall(said.encode())
        assert open_end.makefile().read() == ""
    served.stop()


def test_a_web_page_orders_nothing(admin: Admin) -> None:
    """A page whose name was made to mean this machine may post as it likes, but its browser says whose page it is."""
    status, document = _post(admin, "/double", "21", headers={"Origin": "http://rebound.example:1934"})
    assert (status, document) == (403, {"problem": "orders are not taken from web pages"})


@pytest.mark.parametrize(
    ("peer", "own", "is_here"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.9", "127.0.0.1", True),
        ("::1", "::1", True),
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.6", "10.0.0.5", False),
        ("fe80::1%eth0", "fe80::2", False),
    ],
)
def test_orders_are_taken_from_this_machine_only(peer: str, own: str, is_here: bool) -> None:
    """Wherever an admin server listens, only its own machine tells it what to do."""
    assert is_on_this_machine(peer, own) is is_here


def test_alive_is_said_whatever_the_state(admin: Admin, part: Part) -> None:
    """A process whose loops turn is alive, ready or not; one that has a loop which stands still says which."""
    assert _get(admin, "/healthz") == (200, "ok\n")
    part.stands_still = "the owner has made no turn"
    assert _get(admin, "/healthz") == (503, "the owner has made no turn\n")


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


def test_the_file_says_where_it_listens_and_nothing_lies_beside_it(admin: Admin, file: Path) -> None:
    """One line, the address; what it was drafted in is gone."""
    assert file.read_text() == f"{admin.address}\n"
    assert list(file.parent.iterdir()) == [file]


def test_the_file_goes_at_the_end(part: Part, file: Path) -> None:
    """Whoever looks for a command that has ended finds nothing, not an address that somebody else may have now."""
    served = Admin(Address("127.0.0.1", 0), ready=lambda: part.reason, state=dict, file=file)
    served.start()
    served.stop()
    assert list(file.parent.iterdir()) == []


def test_the_file_of_a_successor_stays(part: Part, file: Path) -> None:
    """A command that ends after its successor has begun leaves the successor's file alone."""
    old, new = (Admin(Address("127.0.0.1", 0), ready=lambda: part.reason, state=dict, file=file) for _ in range(2))
    old.start()
    new.start()
    old.stop()
    assert file.read_text() == f"{new.address}\n"
    new.stop()


def test_a_file_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    """What only shows when it is written is named like what shows at once."""
    served = Admin(Address("127.0.0.1", 0), ready=lambda: None, state=dict, file=tmp_path / "gone" / "admin")
    with pytest.raises(SettingsError, match=r"--admin-file: .*/gone/admin: No such file"):
        served.start()
    served.stop()


def test_a_health_check_says_what_the_command_says(
    admin: Admin, file: Path, part: Part, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1 and the reason until it is ready, then status 0."""
    assert admin.address.port
    assert (check_health([str(file)]), capsys.readouterr().out) == (1, "still listing\n")
    part.reason = None
    assert (check_health([str(file)]), capsys.readouterr().out) == (0, "ready\n")


def test_a_health_check_finds_a_command_on_ipv6(part: Part, file: Path) -> None:
    """An address in brackets is understood."""
    served = Admin(Address("::1", 0), ready=lambda: part.reason, state=dict, file=file)
    served.start()
    assert verdict(str(file)) == (False, "still listing")
    served.stop()


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "No such file"), ("", "invalid literal"), ("127.0.0.1:1", "refused")]
)
def test_a_health_check_without_a_command_says_why(file: Path, text: str | None, reason: str) -> None:
    """A command that has not begun, that left half a file, or that was killed: unhealthy, with what is known."""
    if text is not None:
        file.write_text(text)
    is_ready, said = verdict(str(file))
    assert not is_ready
    assert reason in said


def test_a_health_check_told_nothing_says_how_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with status 1: Docker has reserved 2."""
    assert check_health([]) == 1
    assert "usage" in capsys.readouterr().out
