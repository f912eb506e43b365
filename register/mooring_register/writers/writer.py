"""What a writer is: takes what is wanted to one registry, in threads of its own, so that no other waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import frozen

from mooring_register.ownership import Claim
from mooring_register.writers.mailbox import Mailbox


@frozen(kw_only=True)
class Terms:
    """On which terms a writer works: who writes, how often all is compared, and what it needs of the outside.

    `clock` gives epoch seconds, `tokens` a new unguessable word each time, `owner_idle_seconds` how long ago the owner
    of the state made its last turn.
    """

    claim: Claim
    resync_seconds: float
    clock: Callable[[], float]
    tokens: Callable[[], str]
    owner_idle_seconds: Callable[[], float]


class RegistryWriter(Protocol):
    """Drives one registry from what it holds to what is wanted."""

    @property
    def registry(self) -> str:
        """The registry's address without secrets, for people."""

    @property
    def mailbox(self) -> Mailbox:
        """Where what is wanted is delivered."""

    def threads(self) -> Mapping[str, Callable[[], None]]:
        """Return what is to run, each in a thread of its own, until `stop`; by what it does."""

    def stop(self) -> None:
        """End the threads; what is written stays, for the successor to adopt."""

    def retire(self) -> None:
        """Give the host up, after everything was withdrawn and the threads have ended.

        Raises:
            OwnershipLost: it was not ours any more.
            Unavailable: no answer; then try again.
        """

    def ready(self) -> str | None:
        """Return None once everything that was wanted first is written, else why not."""

    def state(self) -> Mapping[str, object]:
        """Return what there is to know, for people."""
