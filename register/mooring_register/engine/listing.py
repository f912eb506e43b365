"""A Docker engine listed once, for those who do not follow what happens then: a dry run, an explanation. An edge."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from mooring_register.containers import DEFAULT_BINDING_PREFIX
from mooring_register.engine.inspector import Inspector
from mooring_register.engine.seam import Engine
from mooring_register.observations import Listed


@frozen
class Looked:
    """What one look found: what runs, and by name those who run and about whom there was no answer, with the reason."""

    listed: Listed
    unanswered: Mapping[str, str] = field(factory=dict)


def list_once(engine: Engine, at: float, binding_prefix: str = DEFAULT_BINDING_PREFIX) -> Looked:
    """Return everything that runs, without following what happens then.

    Raises:
        Unavailable: the engine does not answer.
    """
    names = {one.id: one.name or one.id for one in engine.running()}
    inspector = Inspector(engine, lambda: at, binding_prefix)
    found = sorted(inspector.ask_all(names), key=lambda one: one.id)
    unanswered = {names[one]: reason for one, reason in inspector.unanswered.items()}
    return Looked(Listed(frozenset(names), tuple(found), at), unanswered)
