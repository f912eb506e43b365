"""What `mooring stop` says to the register of its host, and what that answers: POSTed to its admin server. Pure.

Said again every moment, and believed for a few seconds only: a command that is killed leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from mooring.errors import DocumentError
from mooring.keys import catalog_field
from mooring.model import State
from mooring_register.draining import DRAIN_MARGIN_SECONDS, MOST_STOP_TIMEOUT_SECONDS
from mooring_register.plan import Holding
from mooring_register.registrar import Key, Registrar

PATH: Final = "/stopping"
# No container is given more time to end.
MOST_SECONDS: Final = MOST_STOP_TIMEOUT_SECONDS + DRAIN_MARGIN_SECONDS


@frozen
class Announcement:
    """A container, by its whole id, will be stopped; that is to be believed for so many seconds."""

    container_id: str
    seconds: float


@frozen
class Answer:
    """What a register makes of an announcement.

    `listed` says that it knows what runs at all; `instances` are what the container offers, as fields of the catalog.
    `drains` says that every registry holds it: none of them is to be given anything new.
    """

    listed: bool
    instances: tuple[str, ...] = ()
    drains: bool = False


def encode_announcement(announcement: Announcement) -> dict[str, object]:
    """Return what is posted."""
    return {"container": announcement.container_id, "seconds": announcement.seconds}


def decode_announcement(document: object) -> Announcement:
    """Read what was posted.

    Raises:
        DocumentError: it is no announcement.
    """
    match document:
        case {"container": str(container_id), "seconds": int() | float() as seconds} if container_id:
            if 0 < seconds <= MOST_SECONDS:
                return Announcement(container_id, float(seconds))
    raise DocumentError(PATH, f"expected a container and up to {MOST_SECONDS:.0f} seconds, got {document!r:.200}")


def encode_answer(answer: Answer) -> dict[str, object]:
    """Return what is answered."""
    return {"listed": answer.listed, "instances": list(answer.instances), "drains": answer.drains}


def decode_answer(document: object) -> Answer:
    """Read what was answered.

    Raises:
        DocumentError: it is no answer.
    """
    match document:
        case {"listed": bool(listed), "instances": [*instances], "drains": bool(drains)}:
            return Answer(listed, tuple(str(one) for one in instances), drains)
    raise DocumentError(PATH, f"this is no register's answer: {document!r:.200}")


def answer_to(announcement: Announcement, state: Registrar, holdings: Iterable[Holding | None]) -> Answer:
    """Return what to answer, by the state and by what each registry holds; None for one that was never written."""
    known = state.containers.get(announcement.container_id)
    offered = known.reading.instances if known is not None else ()
    keys = {instance.key for instance in offered}
    return Answer(
        listed=state.listed_at is not None,
        instances=tuple(catalog_field(*key) for key in sorted(keys)),
        drains=all(holding is not None and _all_drain(holding, keys) for holding in holdings),
    )


def _all_drain(holding: Holding, keys: set[Key]) -> bool:
    """Whether none of them is to be given anything new, whatever else is on its way to the registry."""
    states = [holding.instances[key].state if key in holding.instances else None for key in keys]
    # What was not there may be on its way too, unless nothing is.
    return all(state is State.DRAINING or (state is None and holding.is_all) for state in states)
