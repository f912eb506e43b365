"""What proxies and the holder of sockets say to each other: AMP over a Unix socket, which carries descriptors too.

Proxies and the holder are upgraded one after the other, so each may be older than the other. Commands and arguments are
only ever added, new arguments are optional, and one that is not known is answered with an error that ends nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.protocols import amp
from twisted.python.failure import Failure

from mooring.errors import WorldError


class Refused(WorldError):
    """The holder cannot do that: the message says why."""


class Hello(amp.Command):
    """Proxy: this is who I am."""

    arguments = [(b"name", amp.Unicode())]  # noqa: RUF012 -- AMP's form, as everywhere below


class Want(amp.Command):
    """Proxy: I want to listen there. The answer is the socket that all have."""

    arguments = [(b"address", amp.Unicode())]  # noqa: RUF012
    response = [(b"socket", amp.Descriptor())]  # noqa: RUF012
    errors = {Refused: b"REFUSED"}  # noqa: RUF012


class Offer(amp.Command):
    """Proxy: I have this socket, hold it too."""

    arguments = [(b"address", amp.Unicode()), (b"socket", amp.Descriptor())]  # noqa: RUF012
    errors = {Refused: b"REFUSED"}  # noqa: RUF012


class Drop(amp.Command):
    """Proxy: I want to listen there no longer. The answer: whether nobody does, and the holder let it go."""

    arguments = [(b"address", amp.Unicode())]  # noqa: RUF012
    response = [(b"is_last", amp.Boolean())]  # noqa: RUF012


class Settled(amp.Command):
    """Proxy: I accept, and have wanted or offered all that is in my table; it is fresh, or one from my disk."""

    arguments = [(b"is_fresh", amp.Boolean())]  # noqa: RUF012


class Leave(amp.Command):
    """Proxy: I am about to end. Answered when another one accepts in my place, however long that takes."""


class Line(amp.AMP):
    """One end of a connection between a proxy and the holder; it tells when it is there, and when no longer."""

    def __init__(self, made: Callable[[Any], None], lost: Callable[[Any], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._made = made
        self._lost = lost

    def ask(self, command: type[amp.Command], **arguments: object) -> Deferred[dict[str, Any]]:
        """Send a command to the other end; the answer's fields, or what went wrong."""
        return cast("Deferred[dict[str, Any]]", self.callRemote(command, **arguments))  # type: ignore[no-untyped-call]

    def connectionMade(self) -> None:
        """See Protocol."""
        super().connectionMade()  # type: ignore[no-untyped-call]
        self._made(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See Protocol."""
        # Descriptors that came without the message that they belong to are nobody's.
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self._lost(self)
