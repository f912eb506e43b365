"""The form in which the last catalog lies in `--state-dir`: one JSON text, versioned, with the cursor that it contains.

What is stored is what the routing table is made from, not the table: a proxy that comes back may have been told other
listeners. Pure.
"""

from __future__ import annotations

import json
from typing import Final

from mooring.catalog import Catalog, catalog_of
from mooring.documents import decode_binding, decode_instance, encode_binding, encode_instance
from mooring.errors import DocumentError
from mooring_proxy.following import Known, Position

FORMAT: Final = 1
WHERE: Final = "the stored table"


def encode_known(known: Known) -> str:
    """Return the text of a catalog with its ports and its cursor."""
    catalog = known.catalog
    return json.dumps(
        {
            "v": FORMAT,
            "incarnation": known.position.incarnation,
            "sequence": known.position.sequence,
            "ports": dict(known.ports),
            "settings": dict(catalog.settings),
            # As texts: an instance's document is read strictly, by the one who knows how.
            "instances": [encode_instance(instance) for instance in catalog.instances()],
            "bindings": {key: encode_binding(binding) for key, binding in catalog.bindings.items()},
        },
        ensure_ascii=False,
    )


def decode_known(text: str | bytes) -> Known:
    """Read that text.

    Raises:
        DocumentError: it is cut short, not ours, or of a later format.
    """
    try:
        document = json.loads(text)
        if document["v"] != FORMAT:
            raise DocumentError(WHERE, f"format {document['v']!r}, this Mooring reads {FORMAT}")
        return Known(
            Position(str(document["incarnation"]), int(document["sequence"])),
            _catalog(document),
            {str(port): str(service) for port, service in document["ports"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DocumentError(WHERE, f"cannot be read: {error!r}") from None


def _catalog(document: dict[str, dict[str, str]]) -> Catalog:
    return catalog_of(
        (decode_instance(text, where=WHERE) for text in document["instances"]),
        (decode_binding(text, key=key) for key, text in document["bindings"].items()),
        {str(key): str(value) for key, value in document["settings"].items()},
    )
