"""What stands where below a registry's keys: Mooring's own layout (DESIGN §4), documents under keys. Pure.

Instances lie below the prefix of the source's address; bindings and hosts below `/mooring/`. Each is listed and watched
on its own, so each has a layout of its own. Foreign layouts (plain `ip:port` values, …) will stand beside these.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, TypeAlias

from attrs import evolve, frozen

from mooring.documents import decode_binding, decode_instance
from mooring.errors import DocumentError
from mooring.etcd.store import KeyValue
from mooring.keys import BINDINGS_PREFIX, HOSTS_PREFIX, check_name, parse_instance_key
from mooring.model import Binding, Instance, State
from mooring_discover.observations import Key, Listed, Record

MOORING_PREFIX = "/mooring/"


@frozen
class Host:
    """The key of a host's register. Only that it is there matters here."""

    name: str


Held: TypeAlias = Record | Host


class Layout(Protocol):
    """How the keys below one prefix are read."""

    @property
    def prefix(self) -> str:
        """What to list and to watch."""

    def read(self, item: KeyValue) -> Held | None:
        """Return what a key holds; None when discover has no use for it.

        Raises:
            InvalidInput: its document cannot be read, or names something that no key could.
        """

    def name(self, path: str) -> Key | Host | None:
        """Return what a key is about, as far as the key itself tells."""

    def compose(
        self, source: str, revision: str, at: float, holds: Sequence[Held], unreadable: Collection[str]
    ) -> Listed:
        """Return a listing of these values, the later of two that bear one name; `unreadable` are whole keys."""


@frozen
class InstanceLayout:
    """`<prefix><service>/<id>` → an instance document."""

    prefix: str

    def read(self, item: KeyValue) -> Held | None:
        """See `Layout.read`."""
        service, instance_id = parse_instance_key(self.prefix, item.key)
        instance = decode_instance(item.value, where=item.key, service=service, instance_id=instance_id)
        check_name(f"{item.key}: service", instance.service)
        check_name(f"{item.key}: id", instance.id)
        if instance.state is State.SUSPECT:
            raise DocumentError(item.key, "state: only discover calls an instance suspect")
        return evolve(instance, path=item.key)

    def name(self, path: str) -> Key | Host | None:
        """See `Layout.name`."""
        return parse_instance_key(self.prefix, path)

    def compose(
        self, source: str, revision: str, at: float, holds: Sequence[Held], unreadable: Collection[str]
    ) -> Listed:
        """See `Layout.compose`."""
        instances = {held.key: held for held in holds if isinstance(held, Instance)}
        return Listed(
            source=source,
            revision=revision,
            at=at,
            instances=tuple(one for one in instances.values() if one.state is not State.DOWN),
            down={one.key: one.cause for one in instances.values() if one.state is State.DOWN},
            unreadable=frozenset(unreadable),
        )


@frozen
class WishLayout:
    """`/mooring/bindings/<key>` → a binding document, `/mooring/hosts/<host>` → that its register holds its lease."""

    prefix: str = MOORING_PREFIX

    def read(self, item: KeyValue) -> Held | None:
        """See `Layout.read`."""
        name = self.name(item.key)
        if isinstance(name, str):
            return decode_binding(item.value, key=name)
        return name if isinstance(name, Host) else None

    def name(self, path: str) -> Key | Host | None:
        """See `Layout.name`."""
        if path.startswith(HOSTS_PREFIX):
            return Host(path.removeprefix(HOSTS_PREFIX))
        return path.removeprefix(BINDINGS_PREFIX) if path.startswith(BINDINGS_PREFIX) else None

    def compose(
        self, source: str, revision: str, at: float, holds: Sequence[Held], unreadable: Collection[str]
    ) -> Listed:
        """See `Layout.compose`."""
        bindings = {held.key: held for held in holds if isinstance(held, Binding)}
        names = (self.name(path) for path in unreadable)
        return Listed(
            source=source,
            revision=revision,
            at=at,
            bindings=tuple(bindings.values()),
            hosts=frozenset(held.name for held in holds if isinstance(held, Host)),
            unreadable=frozenset(name for name in names if isinstance(name, str)),
        )
