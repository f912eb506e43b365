"""Values that are a host's own, wanted against written: what to write and to delete, in which order. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def plan_values(wanted: Mapping[str, bytes], written: Mapping[str, bytes]) -> dict[str, bytes | None]:
    """Return the next changes by key, of which none depends on another; None deletes. None when all is as wanted.

    Deletes come first and alone: what is wanted may be what another one stood in the way of. Whoever carries this out
    asks again afterwards.
    """
    deletes: dict[str, bytes | None] = {key: None for key in written if key not in wanted}
    return deletes or {key: value for key, value in wanted.items() if written.get(key) != value}
