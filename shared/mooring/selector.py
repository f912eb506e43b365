"""What a listener or a binding asks for: a service by name, instances below a path, with certain tags (DESIGN §6).

`web` is the service of exactly that name. A name that begins with `/` selects every instance whose registry key lies
under it, on segment borders: `/services/prod` takes `/services/prod/db`, never `/services/production`. `*` stands for
one whole segment. `[master,eu]` narrows either to the instances that carry all of these tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from mooring.catalog import Catalog
from mooring.model import Instance

_SELECTOR = re.compile(r"(?P<name>[^\[\]\s;=]+)(?:\[(?P<tags>[^\[\]\s;]+)\])?")


@frozen
class Selector:
    """A name (or a path, or a pattern of either) and the tags that an instance must carry."""

    name: str
    tags: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the text that reads as this selector."""
        return f"{self.name}[{','.join(self.tags)}]" if self.tags else self.name

    def selects(self, instance: Instance) -> bool:
        """Whether the instance is asked for."""
        if self.name.startswith("/"):
            wanted, present = _segments(self.name), _segments(instance.path)
            named = _match(wanted, present[: len(wanted)])
        else:
            named = _match(self.name.split("/"), instance.service.split("/"))
        return named and set(self.tags) <= set(instance.tags)

    def instances(self, catalog: Catalog) -> Iterator[Instance]:
        """Iterate over the instances of the catalog that are asked for, service by service."""
        if self.name.startswith("/") or "*" in self.name:
            candidates = catalog.instances()
        else:
            candidates = iter(catalog.services.get(self.name, {}).values())
        return (instance for instance in candidates if self.selects(instance))


def _segments(path: str) -> list[str]:
    below = path.strip("/")
    return below.split("/") if below else []


def _match(wanted: list[str], present: list[str]) -> bool:
    return len(wanted) == len(present) and all(w in ("*", p) for w, p in zip(wanted, present, strict=True))


def parse_selector(text: str) -> Selector:
    """Read `NAME` or `NAME[tag,tag]`.

    Raises:
        ValueError: it is neither.
    """
    found = _SELECTOR.fullmatch(text)
    tags = found["tags"].split(",") if found and found["tags"] else []
    if found is None or "" in tags:
        message = f"expected SERVICE or SERVICE[tag,tag], got {text!r}"
        raise ValueError(message)
    return Selector(found["name"], tuple(tags))
