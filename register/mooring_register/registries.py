"""The kinds of registry that register writes to: what is connected for each kind of address, and what writes to it."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

from mooring.etcd.address import EtcdAddress
from mooring.etcd.client import connect_to
from mooring.etcd.store import Store
from mooring_register.layouts.named import layout_of
from mooring_register.writers.etcd import EtcdWriter
from mooring_register.writers.writer import RegistryWriter, Terms


class Registry(Protocol):
    """A place to write to."""

    def writer(self, terms: Terms) -> RegistryWriter:
        """Return what writes there."""

    def close(self) -> None:
        """Let go of connections."""


@frozen
class EtcdRegistry:
    """An etcd by its v3 API, and the layout in which it is written."""

    store: Store
    address: EtcdAddress
    layout: str

    def writer(self, terms: Terms) -> RegistryWriter:
        """See `Registry.writer`."""
        return EtcdWriter(self.store, str(self.address), layout_of(self.layout, self.address.prefix), terms)

    def close(self) -> None:
        """See `Registry.close`."""
        self.store.close()


def registry_at(address: EtcdAddress, layout: str) -> Registry:
    """Return the registry at an address, without contacting it.

    Raises:
        SettingsError: a file that the address names cannot be read.
    """
    return EtcdRegistry(connect_to(address), address, layout)
