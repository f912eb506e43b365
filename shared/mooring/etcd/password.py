"""Reads the password that an etcd's address names the file of."""

from __future__ import annotations

from pathlib import Path

from mooring.errors import SettingsError
from mooring.etcd.address import EtcdAddress


def password_for(address: EtcdAddress) -> str:
    """Return the password, nothing when the address names no file.

    Raises:
        SettingsError: the file cannot be read.
    """
    if not address.password_file:
        return ""
    try:
        return Path(address.password_file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(address.password_file, f"cannot be read: {error}") from None
