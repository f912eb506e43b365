"""Several sources, one catalog: whose version of a record is shown.

Each source keeps its own version of a key; the first in the order of `--source` is shown, but a live word anywhere
goes before a suspect. A key is there as long as one source has it. One (service, address, protocol) under two ids is
one instance: two registries, or two register programs, saw the same port.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from mooring.catalog import Catalog
from mooring.model import Address, Instance, State
from mooring_discover.observations import Key

V = TypeVar("V")


def merge(shown: Catalog, sources: Sequence[Catalog], touched: Iterable[Key]) -> tuple[Catalog, set[Key]]:
    """Return what is shown after these keys were touched, and the keys whose record is another one now.

    More keys may change than were touched: another instance at one's address is shown, or shown no more.
    """
    keys = list(touched)
    services, bindings = dict(shown.services), dict(shown.bindings)
    changed: set[Key] = set()
    for service in {key[0] for key in keys if not isinstance(key, str)}:
        merged = merge_service([catalog.services.get(service, {}) for catalog in sources])
        changed |= {(service, one) for one in _changed(shown.services.get(service, {}), merged)}
        _set(services, service, merged or None)
    for key in (key for key in keys if isinstance(key, str)):
        holding = [catalog.bindings[key] for catalog in sources if key in catalog.bindings]
        _set(bindings, key, holding[0] if holding else None)
        changed.add(key)
    return Catalog(services, bindings, shown.settings), changed


def _set(table: dict[str, V], name: str, value: V | None) -> None:
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value


def _changed(before: Mapping[str, Instance], after: Mapping[str, Instance]) -> Iterator[str]:
    yield from (one for one, instance in after.items() if before.get(one) is not instance)
    yield from before.keys() - after.keys()


def merge_service(versions: Sequence[Mapping[str, Instance]]) -> dict[str, Instance]:
    """Return the instances of one service, of the versions in order of preference."""
    merged: dict[str, Instance] = {}
    for version in versions:
        for instance_id, instance in version.items():
            present = merged.get(instance_id)
            if present is None or _is_better(instance, present):
                merged[instance_id] = instance
    addresses = {instance.address for instance in merged.values()}
    return merged if len(addresses) == len(merged) else _one_each(merged, versions)


def _is_better(instance: Instance, present: Instance) -> bool:
    return present.state is State.SUSPECT and instance.state is not State.SUSPECT


def _one_each(merged: Mapping[str, Instance], versions: Sequence[Mapping[str, Instance]]) -> dict[str, Instance]:
    """Keep one instance per address: no suspect if there is another, else the first source's, else the lower id."""
    by_address: dict[Address, str] = {}
    rank = {instance_id: number for number, version in reversed(list(enumerate(versions))) for instance_id in version}
    for instance_id in sorted(merged, key=lambda one: (merged[one].state is State.SUSPECT, rank[one], one)):
        by_address.setdefault(merged[instance_id].address, instance_id)
    return {instance_id: merged[instance_id] for instance_id in by_address.values()}
