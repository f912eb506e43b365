"""Which addresses are this machine's own, as its kernel knows them."""

from __future__ import annotations

import pytest

from mooring_proxy.local_hosts import is_local


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.0.0.2", True), ("192.0.2.1", False), ("2001:db8::1", False), ("web.example", False)],
)
def test_only_an_address_of_this_machine_is_local(host: str, local: bool) -> None:
    """Addresses set aside for documentation are nobody's; a name is not looked up."""
    assert is_local(host) is local
