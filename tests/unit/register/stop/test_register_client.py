"""The way to a register: a real admin server at its other end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from mooring.admin import Admin
from mooring.errors import Unavailable
from mooring.model import Address
from mooring_register.stop.announcement import (
    PATH,
    Announcement,
    Answer,
    decode_announcement,
    encode_announcement,
    encode_answer,
)
from mooring_register.stop.register_client import RegisterClient
from tests.servers import free_port

SAID = Announcement("c1", 5.0)
ANSWER = Answer(listed=True, instances=("web|a",), drains=True)


@contextmanager
def register(orders: Mapping[str, Callable[[object], Mapping[str, object]]]) -> Iterator[RegisterClient]:
    """Give the way to an admin server that takes these orders."""
    admin = Admin(Address("127.0.0.1", 0), ready=lambda: None, state=dict, orders=orders)
    admin.start()
    yield RegisterClient(admin.address)
    admin.stop()


def test_what_is_said_is_heard() -> None:
    """The announcement reaches the register as it was made, and so does the answer us."""
    heard: list[Announcement] = []

    def answer(document: object) -> Mapping[str, object]:
        heard.append(decode_announcement(document))
        return encode_answer(ANSWER)

    with register({PATH: answer}) as client:
        assert client.announce(SAID) == ANSWER
    assert heard == [SAID]


@pytest.mark.parametrize(
    ("orders", "reason"),
    [
        ({}, "answers 404"),
        ({PATH: lambda _: encode_announcement(SAID)}, "no register's answer"),
    ],
    ids=["takes no announcements", "makes no sense"],
)
def test_who_is_no_register(orders: Mapping[str, Callable[[object], Mapping[str, object]]], reason: str) -> None:
    """It is told as if nobody were there, with the reason."""
    with register(orders) as client, pytest.raises(Unavailable, match=reason):
        client.announce(SAID)


def test_nobody_is_there() -> None:
    """The address is named."""
    port = free_port()
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}: .*refused"):
        RegisterClient(Address("127.0.0.1", port)).announce(SAID)
