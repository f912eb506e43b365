"""What the whoami reads in a request, what it answers, where its settings come from."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_stack.whoami import Request, Settings, request_in, response, settings_from

HEAD = b"GET /hello/v1 HTTP/1.1\r\nHost: example\r\nX-Request-ID: 17\r\n\r\n"


def test_a_request_is_read_with_its_id() -> None:
    """Method, path and the id are found, whatever the case of the header's name."""
    assert request_in(HEAD) == Request("GET", "/hello/v1", "17")


def test_a_request_without_an_id_is_marked_so() -> None:
    """A dash stands for an id that was not sent."""
    assert request_in(b"GET / HTTP/1.0\r\n\r\n") == Request("GET", "/", "-")


@given(st.integers(min_value=0, max_value=len(HEAD)))
def test_a_request_cut_anywhere_never_has_a_wrong_id(length: int) -> None:
    """However the bytes arrive, a part of the id is never taken for the id."""
    read = request_in(HEAD[:length])
    assert read is None or read.request_id in {"-", "17"}


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(head: bytes) -> None:
    """Bytes that are no request are no reason to fail: they are answered with 400."""
    status, _ = response(request_in(head), "alpha")
    assert status == 400 or b" HTTP/" in head


def test_a_get_is_told_who_answers() -> None:
    """The body names instance, process and path; the connection is announced to close."""
    status, answer = response(Request("GET", "/x", "-"), "alpha")
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert (status, body) == (200, f"instance=alpha pid={os.getpid()} path=/x\n")
    assert f"Content-Length: {len(body)}" in head
    assert "Connection: close" in head


def test_a_head_gets_the_head_alone() -> None:
    """HEAD is answered like GET, without the body."""
    _, answer = response(Request("HEAD", "/", "-"), "alpha")
    assert answer.endswith(b"\r\n\r\n")


def test_another_method_is_refused() -> None:
    """What would have a body is not read, hence not promised either."""
    assert response(Request("POST", "/", "-"), "alpha")[0] == 405


def test_options_win_over_the_environment() -> None:
    """Each setting comes from its option, else from its variable."""
    environment = {"PORT": "80", "ADDRESS": "127.0.0.1", "NAME": "beta", "GRACE_SECONDS": "2.5"}
    assert settings_from([], environment) == Settings("127.0.0.1", 80, "beta", 2.5)
    assert settings_from(["--port", "81", "--name", "gamma"], environment) == Settings("127.0.0.1", 81, "gamma", 2.5)


def test_a_broken_variable_ends_the_program() -> None:
    """A port that is no number is reported like a wrong option, with status 2."""
    with pytest.raises(SystemExit, match="2"):
        settings_from([], {"PORT": "eighty"})
