"""Which containers ended badly and are still kept by Docker: what `--deregister on-success` leaves written. Pure.

The words are registrator's, and so is what counts as a failure: to be killed by a signal is none, for that is what
somebody wanted. A failure is over when the container runs again, or is removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from attrs import frozen

from mooring_register.observations import Died, Gone, Inspected, Listed, Observation

# What a shell, and Docker, add to the number of the signal that ended a process.
_SIGNALLED: Final = 128


class Deregister(StrEnum):
    """What `--deregister` knows: take out all that ended, or only what did not fail."""

    ALWAYS = "always"
    ON_SUCCESS = "on-success"


@frozen
class Failure:
    """Why a container that failed is down, and when that was seen (epoch seconds)."""

    cause: str
    seen: float


def is_failure(exit_code: int) -> bool:
    """Whether a container that ended with this code ended by itself, and not well."""
    return exit_code != 0 and not exit_code & _SIGNALLED


def failures_after(failures: Mapping[str, Failure], observation: Observation) -> Mapping[str, Failure]:
    """Return the failures by container after an observation; the very same value when there is nothing new."""
    match observation:
        case Listed(ids):
            return _listed(failures, observation, ids)
        case Inspected(container, _, at) if container.restarting or not container.running:
            return _with(failures, container.id, container.exit_code, at)
        case Inspected(container):
            return _without(failures, container.id)
        case Died(container_id, exit_code, at):
            return _with(failures, container_id, exit_code, at)
        case Gone(container_id):
            return _without(failures, container_id)
        case _:
            return failures


def _listed(failures: Mapping[str, Failure], listed: Listed, ids: frozenset[str]) -> Mapping[str, Failure]:
    for container in listed.inspected:
        failures = failures_after(failures, Inspected(container, "", listed.at))
    ended = {one: _failure(code, listed.at) for one, code in listed.exited.items() if is_failure(code)}
    # What is neither listed as running nor as ended is gone. What runs may be between two lives.
    kept = {one: why for one, why in failures.items() if one in ended or one in ids}
    return failures if ended.keys() <= failures.keys() and len(kept) == len(failures) else ended | kept


def _with(failures: Mapping[str, Failure], container_id: str, exit_code: int, at: float) -> Mapping[str, Failure]:
    if container_id in failures or not is_failure(exit_code):
        return failures
    return {**failures, container_id: _failure(exit_code, at)}


def _without(failures: Mapping[str, Failure], container_id: str) -> Mapping[str, Failure]:
    if container_id not in failures:
        return failures
    return {one: why for one, why in failures.items() if one != container_id}


def _failure(exit_code: int, at: float) -> Failure:
    return Failure(f"exited {exit_code}", at)
