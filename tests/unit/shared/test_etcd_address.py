"""The address of an etcd as people write it."""

import pytest

from mooring.errors import SettingsError
from mooring.etcd.address import EtcdAddress, parse_etcd_address
from mooring.etcd2.address import parse_etcd2_address
from mooring.model import Address

WITH_OPTIONS = "etcd://h:2379/services?ca=ca.pem&user=me&password-file=/run/secrets/pw"


@pytest.mark.parametrize(
    ("text", "endpoints", "prefix"),
    [
        ("etcd://h", [Address("h", 2379)], "/services"),
        ("etcd://h/", [Address("h", 2379)], "/services"),
        ("etcd://h:1/services/", [Address("h", 1)], "/services"),
        ("etcd://10.0.0.1:1,h2,[::1]:3/a/b", [Address("10.0.0.1", 1), Address("h2", 2379), Address("::1", 3)], "/a/b"),
        ("etcd://[::1]/a%20b", [Address("::1", 2379)], "/a b"),
    ],
)
def test_endpoints_and_prefix_are_read(text: str, endpoints: list[Address], prefix: str) -> None:
    """One or several endpoints, IPv6 included; a port and a prefix that are left out are the usual ones."""
    assert parse_etcd_address(text) == EtcdAddress(tuple(endpoints), prefix)


def test_the_other_api() -> None:
    """An address of v2 differs in its scheme alone, and is no address of v3."""
    address = parse_etcd2_address("etcd2://h,h2:1/a?ca=a.pem")
    assert (str(address), address.ca) == ("etcd2://h:2379,h2:1/a", "a.pem")
    assert str(parse_etcd2_address("etcd2://h")) == "etcd2://h:2379/services"
    for read, text in ((parse_etcd2_address, "etcd://h"), (parse_etcd_address, "etcd2://h")):
        with pytest.raises(SettingsError, match="expected etcd"):
            read(text)


def test_options_are_read() -> None:
    """Files for TLS, and user with password file, go into the query."""
    address = parse_etcd_address("etcd://h?ca=a.pem&cert=b.pem&key=c%26.pem&user=u&password-file=p")
    assert (address.ca, address.cert, address.key) == ("a.pem", "b.pem", "c&.pem")
    assert (address.user, address.password_file) == ("u", "p")


def test_shown_address_is_the_same_for_all_who_share_the_store() -> None:
    """No option is shown: neither what is secret nor what differs from host to host."""
    address = parse_etcd_address(WITH_OPTIONS)
    assert str(address) == "etcd://h:2379/services"
    assert "/run/secrets" not in repr(address)
    assert parse_etcd_address(str(address)) == EtcdAddress((Address("h", 2379),))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected etcd://HOST:PORT"),
        ("http://h:2379", "expected etcd://HOST:PORT"),
        ("h:2379/services", "expected etcd://HOST:PORT"),
        ("etcd://", "endpoint ''"),
        ("etcd://h:1,", "endpoint ''"),
        ("etcd://h:99999", "endpoint 'h:99999': expected a port"),
        ("etcd://h h:1", "endpoint 'h h:1': expected a host"),
        ("etcd://::1", "endpoint '::1'"),
        ("etcd://h//a", "prefix '//a' has an empty segment"),
        ("etcd://h?colour=blue", "option 'colour' is unknown; there are ca, cert"),
        ("etcd://h?ca=", "option 'ca' has no value"),
        ("etcd://h?ca=a&ca=b", "option 'ca' is given twice"),
        ("etcd://h?ca", "option 'ca' has no value"),
        ("etcd://h?ca=a&cert=b", "option 'cert' needs 'key'"),
        ("etcd://h?ca=a&key=b", "option 'key' needs 'cert'"),
        ("etcd://h?cert=a&key=b", "option 'cert' needs 'ca'"),
        ("etcd://h?user=me", "option 'user' needs 'password-file'"),
        ("etcd://h?password-file=p", "option 'password-file' needs 'user'"),
        ("etcd://me:s3cret@h:2379", "do not belong before the host"),
    ],
)
def test_wrong_part_is_named(text: str, reason: str) -> None:
    """An address that cannot be meant says which part of it is wrong, and repeats no secret."""
    with pytest.raises(SettingsError) as refused:
        parse_etcd_address(text)
    assert reason in refused.value.reason
    assert "s3cret" not in str(refused.value)
