"""The address of an etcd by its v2 API: `etcd2://HOST:2379[,HOST2:2379]/PREFIX?…`, as that of any etcd. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mooring.etcd.address import OPTIONS, EtcdAddress, parse_etcd_address

SCHEME: Final = "etcd2://"


def parse_etcd2_address(text: str, options: Sequence[str] = OPTIONS) -> EtcdAddress:
    """Read the address of an etcd that is spoken to by its v2 API, see `mooring.etcd.address`.

    Raises:
        SettingsError: a part of it is wrong; the message says which, and repeats no option's value.
    """
    return parse_etcd_address(text, SCHEME, options)
