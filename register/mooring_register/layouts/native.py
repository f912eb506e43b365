"""Mooring's own layout: a document for each instance, which says all that there is to say. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from mooring.documents import decode_instance, encode_instance
from mooring.keys import instance_key, parse_instance_key
from mooring.model import Instance
from mooring_register.layouts.layout import Arranged
from mooring_register.registrar import Key, Withdrawal


@frozen
class Native:
    """`<root>/<service>/<id>` → the instance's document."""

    root: str
    is_whole: bool = True

    def arrange(self, instances: Mapping[Key, Instance]) -> Arranged:
        """See `Layout.arrange`."""
        return Arranged({instance_key(self.root, *key): instance for key, instance in instances.items()})

    def marks(self, withdrawals: Mapping[Key, Withdrawal]) -> Mapping[str, Withdrawal]:
        """See `Layout.marks`."""
        return {instance_key(self.root, *key): why for key, why in withdrawals.items()}

    def encode(self, key: str, instance: Instance, now: float | None) -> bytes:
        """See `Layout.encode`."""
        del key
        return encode_instance(evolve(instance, seen_registry=now)).encode()

    def decode(self, key: str, value: bytes) -> Instance | None:
        """See `Layout.decode`."""
        service, instance_id = parse_instance_key(self.root, key)
        return decode_instance(value, where=key, service=service, instance_id=instance_id)

    def is_shared(self, key: str) -> bool:
        """See `Layout.is_shared`."""
        del key
        return False
