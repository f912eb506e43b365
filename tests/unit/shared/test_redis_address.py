"""The address of a Redis behind sentinels, as people write it; and whom of several sentinels we believe."""

import pytest

from mooring.errors import SettingsError
from mooring.model import Address
from mooring.redis.address import names_sentinels, parse_sentinel_address
from mooring.redis.connection import connect
from mooring.redis.sentinel import Where, elected

X, Y = ("10.0.0.1", 6379), ("10.0.0.2", 6379)


def test_every_part_of_an_address_is_read() -> None:
    """Sentinels with and without a port, the primary's name, a database, both users, options of the library."""
    read = parse_sentinel_address(
        "rediss+sentinel://ann:s%40cret@one:1,two,[::1]:3/my-primary/2"
        "?sentinel_username=bob&sentinel_password=hid%26den&ssl_ca_certs=/ca.pem"
    )
    assert read.sentinels == (Address("one", 1), Address("two", 26379), Address("::1", 3))
    assert (read.primary, read.username, read.password) == ("my-primary", "bob", "hid&den")
    assert read.primary_url == "rediss://ann:s%40cret@primary/2?ssl_ca_certs=%2Fca.pem"


def test_what_is_left_out_has_its_default() -> None:
    """Port 26379, database 0, nobody's password, no TLS."""
    read = parse_sentinel_address("redis+sentinel://one/main")
    assert (read.sentinels, read.primary_url) == ((Address("one", 26379),), "redis://primary/0?")
    assert (read.username, read.password) == ("", "")


@pytest.mark.parametrize(
    ("url", "names"),
    [("redis+sentinel://a/b", True), ("REDISS+SENTINEL://a/b", True), ("redis://a/0", False), ("sentinel://a", False)],
)
def test_the_scheme_tells_the_two_kinds_of_addresses_apart(url: str, names: bool) -> None:
    """Only with `+sentinel` does an address name sentinels."""
    assert names_sentinels(url) is names


@pytest.mark.parametrize(
    ("url", "reasons"),
    [
        ("redis+sentinel://one:26379", ["the primary's name is missing"]),
        ("redis+sentinel:///main", ["sentinel ''"]),
        (
            "redis+sentinel://one:0,tw o:1,three:26379/main/events?sentinel_color=blue",
            ["'one:0'", "'tw o:1'", "the number of a database, got 'events'", "'sentinel_color' is unknown"],
        ),
        ("redis+sentinel://one:1/main?color=blue", ["color"]),
        ("redis+sentinel://ann:se/cret@one:1/main", ["written %2F"]),
    ],
)
def test_everything_that_is_wrong_is_named_at_once(url: str, reasons: list[str]) -> None:
    """Nothing is connected, and no password is repeated."""
    with pytest.raises(SettingsError) as raised:
        connect(url)
    assert [reason for reason in reasons if reason not in str(raised.value)] == []
    assert "cret" not in str(raised.value)


def test_an_address_is_shown_without_users_and_passwords() -> None:
    """The primary and its sentinels are named, and nothing that lets anybody in."""
    connected = connect("redis+sentinel://ann:secret@one:1,two/main?sentinel_username=bob&sentinel_password=hidden")
    connected.close()
    assert connected.shown == "main at the sentinels one:1, two:26379"
    address = parse_sentinel_address("redis+sentinel://ann:secret@one:1/main?sentinel_password=hidden")
    assert [text for text in ("secret", "hidden") if text in repr(address)] == []


@pytest.mark.parametrize(
    ("answers", "believed"),
    [((), None), ((X,), X), ((X, Y, Y), Y), ((Y, X, Y), Y), ((X, Y), X)],
)
def test_most_sentinels_are_believed(answers: tuple[Where, ...], believed: Where | None) -> None:
    """One that was cut off names the old primary and is outvoted; the first wins a tie."""
    assert elected(answers) == believed
