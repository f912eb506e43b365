"""A Docker engine listed once, for those who do not follow what happens then: a dry run, an explanation. An edge."""

from __future__ import annotations

from mooring_register.containers import DEFAULT_BINDING_PREFIX, read_container
from mooring_register.engine.seam import Engine
from mooring_register.observations import Listed


def list_once(engine: Engine, at: float, binding_prefix: str = DEFAULT_BINDING_PREFIX) -> Listed:
    """Return everything that runs, without following what happens then.

    Raises:
        Unavailable: the engine does not answer.
    """
    listed = frozenset(one.id for one in engine.running())
    documents = [engine.inspect(one) for one in sorted(listed)]
    return Listed(listed, tuple(read_container(one, binding_prefix) for one in documents if one is not None), at)
