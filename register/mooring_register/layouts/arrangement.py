"""Instances arranged in a layout, where after a change only what it touches is arranged anew. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from mooring.model import Instance
from mooring_register.differences import differing
from mooring_register.layouts.layout import Arranged, Layout
from mooring_register.registrar import Key


@frozen
class Arrangement:
    """Some instances, and which key of the layout speaks of which."""

    layout: Layout
    instances: Mapping[Key, Instance] = field(factory=dict)
    arranged: Arranged = field(factory=lambda: Arranged({}))


def arranged_anew(before: Arrangement, instances: Mapping[Key, Instance]) -> Arrangement:
    """Return these instances arranged; what did not change since `before` keeps the very same value.

    In a layout that is whole each instance has a key of its own, and none is left out. In others keys may coincide, and
    who has one may change with any instance: there all is arranged.
    """
    layout = before.layout
    if before.instances is instances:
        return before
    if not layout.is_whole:
        return Arrangement(layout, instances, layout.arrange(instances))
    changed = differing(before.instances, instances)
    gone = layout.arrange({key: before.instances[key] for key in changed - instances.keys()})
    come = layout.arrange({key: instances[key] for key in changed & instances.keys()})
    by_key = {**before.arranged.instances, **come.instances}
    for key in gone.instances:
        del by_key[key]
    return Arrangement(layout, instances, Arranged(by_key))
