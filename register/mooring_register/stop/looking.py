"""What `mooring stop` sees of a stream: the catalog first, then the head, then the proxies. An edge."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mooring.errors import InvalidInput, Unavailable
from mooring.keys import catalog_field
from mooring.model import State
from mooring.redis.stream import StreamReader
from mooring_register.stop.progress import ProxyView, StreamView

_LEFT_ALONE = frozenset({State.DRAINING, State.DOWN})


def look(stream: StreamReader, *, reads_catalog: bool) -> StreamView | None:
    """Return what there is; None when Redis does not answer, or there is no stream that can be read.

    Without its catalog, which may be long, a stream does not tell who serves.
    """
    try:
        catalog = stream.catalog() if reads_catalog else None
        # After the catalog: what that says is told by this entry at the latest.
        head = stream.head()
        announced = stream.announced()
    except (Unavailable, InvalidInput):
        return None
    if head is None:
        return None
    instances = catalog.instances() if catalog is not None else ()
    serving = (catalog_field(*one.key) for one in instances if one.state not in _LEFT_ALONE)
    proxies = (_proxy(name, said) for name, said in sorted(announced.items()))
    return StreamView(head.incarnation, head.sequence, frozenset(serving), tuple(proxies))


def _proxy(proxy_id: str, said: Mapping[str, str]) -> ProxyView:
    sequence = said.get("sequence", "")
    return ProxyView(
        proxy_id, said.get("incarnation", ""), int(sequence) if sequence.isdecimal() else -1, _leaving(said)
    )


def _leaving(said: Mapping[str, str]) -> Mapping[str, int]:
    """Read the connections that a proxy still has to those who leave; none are known of one that does not say so."""
    try:
        document = json.loads(said.get("leaving", "{}"))
        return {str(name): int(count) for name, count in document.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
