"""The layouts of the systems that came before, for their readers: no state, no cause, no owner in the values. Pure.

Only what may be given new connections stands there: an instance that starts, drains or has weight 0 does not, nor does
a proxy, which these readers could not tell from a backend. The keys of two instances may coincide: the lower id has it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from mooring.documents import canonical
from mooring.errors import DescriptorError
from mooring.keys import encode_id, encode_service, instance_key
from mooring.model import PROXY_KIND, Instance, Json, State
from mooring_register.layouts.layout import Arranged
from mooring_register.registrar import Key, Withdrawal

# Docker's short form of a container's id, which is also the host name that a container has unless it is given one.
_SHORT_ID: Final = 12


@frozen
class _Foreign(ABC):
    """What the foreign layouts have in common."""

    root: str
    is_whole: bool = False
    # What is not written there, because its readers would take it for TCP.
    is_tcp_only: bool = False

    @abstractmethod
    def key(self, instance: Instance) -> str:
        """Return where an instance is written.

        Raises:
            DescriptorError: it has no place in this layout.
        """

    @abstractmethod
    def encode(self, key: str, instance: Instance, now: float | None) -> bytes:
        """See `Layout.encode`."""

    def arrange(self, instances: Mapping[Key, Instance]) -> Arranged:
        """See `Layout.arrange`."""
        taken: dict[str, Instance] = {}
        problems: list[DescriptorError] = []
        for _, instance in sorted(instances.items()):
            if not _takes_new_connections(instance):
                continue
            try:
                self._place(taken, instance)
            except DescriptorError as problem:
                problems.append(problem)
        return Arranged(taken, tuple(problems))

    def _place(self, taken: dict[str, Instance], instance: Instance) -> None:
        if self.is_tcp_only and instance.address.proto != "tcp":
            raise _no_place(instance, "this layout knows TCP only")
        key = self.key(instance)
        if taken.setdefault(key, instance) is not instance:
            raise _no_place(instance, f"{key} is taken by {taken[key].id!r}")

    def marks(self, withdrawals: Mapping[Key, Withdrawal]) -> Mapping[str, Withdrawal]:
        """See `Layout.marks`: there is no room for a cause."""
        del withdrawals
        return {}

    def decode(self, key: str, value: bytes) -> Instance | None:
        """See `Layout.decode`."""
        del key, value
        return None

    def is_shared(self, key: str) -> bool:
        """See `Layout.is_shared`."""
        del key
        return False


def _takes_new_connections(instance: Instance) -> bool:
    return instance.state is State.UP and instance.weight > 0 and instance.kind != PROXY_KIND


def _no_place(instance: Instance, reason: str) -> DescriptorError:
    where = instance.name.removeprefix("/") or str(instance.address)
    return DescriptorError(where, f"instance {instance.id!r} of service {instance.service!r} is left out: {reason}")


@frozen
class Registrator(_Foreign):
    """`<root>/<service>/<id>` → `ip:port`, as registrator writes it to etcd and to Consul's keys."""

    def key(self, instance: Instance) -> str:
        """See `_Foreign.key`."""
        return instance_key(self.root, *instance.key)

    def encode(self, key: str, instance: Instance, now: float | None) -> bytes:
        """See `Layout.encode`."""
        del key, now
        return str(instance.address).encode()


@frozen
class SkyDns(_Foreign):
    """`/skydns/<domain's labels in reverse>/<service>/<id>` → `{"host":…,"port":…}`, for CoreDNS and SkyDNS.

    The root is given as the domain: `/cluster.local`.
    """

    def key(self, instance: Instance) -> str:
        """See `_Foreign.key`."""
        return instance_key(self.root, *instance.key)

    def encode(self, key: str, instance: Instance, now: float | None) -> bytes:
        """See `Layout.encode`."""
        del key, now
        return canonical({"host": instance.address.host, "port": instance.address.port}).encode()


def skydns(domain: str) -> SkyDns:
    """Return the layout for one domain, given as a path: `/cluster.local`."""
    labels = domain.strip("/").split(".")
    return SkyDns("/skydns/" + "/".join(encode_id(label) for label in reversed(labels)))


@frozen
class Embassy(_Foreign):
    """`<root>/<service>/<port>/<host port>/<host name>` → a JSON document, as service-registrar writes it for embassy.

    Its `env` is left out: a container's environment is nobody else's business. `path` is the key without the root.
    """

    is_tcp_only: bool = True

    def key(self, instance: Instance) -> str:
        """See `_Foreign.key`."""
        port, host_port = _container_port(instance), instance.address.port
        return f"{self.root}/{encode_service(instance.service)}/{port}/{host_port}/{encode_id(_host_name(instance))}"

    def encode(self, key: str, instance: Instance, now: float | None) -> bytes:
        """See `Layout.encode`."""
        del now
        document: dict[str, Json] = {
            "id": instance.container or instance.id,
            "host": instance.host,
            "ipaddress": instance.address.host,
            "tags": list(instance.tags),
            "name": instance.name.removeprefix("/"),
            "image": instance.image,
            "hostname": _host_name(instance),
            "host_port": str(instance.address.port),
            "proto": instance.address.proto,
            "port": str(_container_port(instance)),
            "path": key.removeprefix(self.root + "/"),
        }
        return canonical(document).encode()


def _host_name(instance: Instance) -> str:
    return instance.container[:_SHORT_ID] or instance.id


def _container_port(instance: Instance) -> int:
    return instance.port or instance.address.port


# What docker-discover writes into HAProxy's configuration as it finds it; another character there breaks all services.
_SERVICE: Final = re.compile(r"[A-Za-z0-9._-]+")
_PORT_LEAF: Final = "port"


@frozen
class Backends(_Foreign):
    """`<root>/<service>/<container id>` → `ip:port`, beside `<root>/<service>/port`, as docker-register writes it.

    A slash in a service becomes `-`: the reader knows two levels only.
    """

    is_tcp_only: bool = True

    def key(self, instance: Instance) -> str:
        """See `_Foreign.key`."""
        service = instance.service.replace("/", "-")
        if _SERVICE.fullmatch(service) is None:
            raise _no_place(instance, "HAProxy does not take such a name for a service")
        return f"{self.root}/{service}/{_server_name(instance)}"

    def _place(self, taken: dict[str, Instance], instance: Instance) -> None:
        port_key = f"{self.key(instance).rpartition('/')[0]}/{_PORT_LEAF}"
        first = taken.get(port_key, instance)
        if first.service != instance.service:
            raise _no_place(instance, f"{port_key} is taken by service {first.service!r}")
        super()._place(taken, instance)
        # Whoever was there first says which port the service is offered on, as everywhere in Mooring.
        taken[port_key] = min(first, instance, key=lambda one: (one.started, one.id))

    def encode(self, key: str, instance: Instance, now: float | None) -> bytes:
        """See `Layout.encode`."""
        del now
        if self.is_shared(key):
            return str(instance.publish or _container_port(instance)).encode()
        return str(instance.address).encode()

    def is_shared(self, key: str) -> bool:
        """See `Layout.is_shared`."""
        return key.rpartition("/")[2] == _PORT_LEAF


def _server_name(instance: Instance) -> str:
    name = re.sub(r"[^A-Za-z0-9._:-]", "-", _host_name(instance))
    return f"{name}-" if name == _PORT_LEAF else name
