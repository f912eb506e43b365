"""The kinds of registry that register writes to: what is connected for each kind of address, and what writes to it."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

from mooring.consul.address import ConsulAddress
from mooring.consul.client import Consul
from mooring.consul.client import connect_to as connect_to_consul
from mooring.consul.keys_address import ConsulKeysAddress
from mooring.etcd.address import EtcdAddress
from mooring.etcd.client import connect_to
from mooring.etcd.store import Store
from mooring.etcd2 import address as etcd2
from mooring.etcd2.client import connect_to as connect_to_v2
from mooring.etcd2.store import Keys
from mooring_register.layouts.named import layout_of
from mooring_register.settings import RegistryAddress, layout_for
from mooring_register.writers.consul import ConsulWriter
from mooring_register.writers.consul_instances import ConsulInstances
from mooring_register.writers.consul_services import ConsulServices
from mooring_register.writers.etcd import EtcdWriter
from mooring_register.writers.etcd2 import Etcd2Writer
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


@frozen
class Etcd2Registry:
    """An etcd by its v2 API, and the layout in which it is written."""

    keys: Keys
    address: EtcdAddress
    layout: str

    def writer(self, terms: Terms) -> RegistryWriter:
        """See `Registry.writer`."""
        return Etcd2Writer(self.keys, str(self.address), layout_of(self.layout, self.address.prefix), terms)

    def close(self) -> None:
        """See `Registry.close`."""
        self.keys.close()


@frozen
class ConsulRegistry:
    """An agent of Consul. It has no layouts."""

    consul: Consul
    address: ConsulAddress

    def writer(self, terms: Terms) -> RegistryWriter:
        """See `Registry.writer`."""
        agent, keys, name = self.consul.agent, self.consul.keys, str(self.address)
        services = ConsulServices(agent, keys, name, terms.claim, is_alone=self.address.is_alone)
        return ConsulWriter(keys, name, services, terms)

    def close(self) -> None:
        """See `Registry.close`."""
        self.consul.close()


@frozen
class ConsulKeysRegistry:
    """The keys of a Consul, and the layout in which they are written."""

    consul: Consul
    address: ConsulKeysAddress
    layout: str

    def writer(self, terms: Terms) -> RegistryWriter:
        """See `Registry.writer`."""
        keys, name, layout = self.consul.keys, str(self.address), layout_of(self.layout, self.address.prefix)
        return ConsulWriter(keys, name, ConsulInstances(keys, name, layout, terms), terms)

    def close(self) -> None:
        """See `Registry.close`."""
        self.consul.close()


def registry_at(address: RegistryAddress, layout: str) -> Registry:
    """Return the registry at an address, without contacting it; `layout` is that of `--layout`, empty for none.

    Raises:
        SettingsError: a file that the address names cannot be read.
    """
    if isinstance(address, ConsulAddress):
        return ConsulRegistry(connect_to_consul(address), address)
    written_in = layout_for(address, layout)
    if isinstance(address, ConsulKeysAddress):
        return ConsulKeysRegistry(connect_to_consul(address.consul), address, written_in)
    if address.scheme == etcd2.SCHEME:
        return Etcd2Registry(connect_to_v2(address), address, written_in)
    return EtcdRegistry(connect_to(address), address, written_in)
