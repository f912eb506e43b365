"""How the register that runs is asked for its state."""

import pytest

from mooring.admin import Admin
from mooring.model import Address
from mooring_register.explain.running_register import ask_register


def test_it_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy the environment names for the world outside, this machine's register is asked directly."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    admin = Admin(Address("127.0.0.1", 0), ready=lambda: None, state=lambda: {"host": "h1"})
    admin.start()
    answer = ask_register(admin.address)
    admin.stop()
    assert (answer.state, answer.reason) == ({"host": "h1"}, "")


def test_nobody_answers() -> None:
    """Where no register runs it is said why."""
    answer = ask_register(Address("127.0.0.1", 1))
    assert answer.state is None
    assert "refused" in answer.reason
