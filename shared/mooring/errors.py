"""Every error that Mooring raises on purpose.

Three kinds, never mixed, because each has its own answer::

    MooringError
    ├── InvalidInput           somebody wrote something wrong: say so, count it, go on with the rest
    │   ├── DescriptorError    a label or environment variable of a container
    │   │   ├── BindingError   ... that asks for a service
    │   │   ├── TemplateError  ... that an operator's template cannot be filled with
    │   │   └── IdTaken        ... that claims an id which another one holds
    │   ├── DocumentError      a value in a registry
    │   ├── EntryError         an entry of the stream
    │   │   └── NewerVersion   ... written by a later Mooring than this one
    │   └── SettingsError      the configuration of a command; ends the command with status 2
    └── WorldError             something outside fails: try again, for ever
        ├── Unavailable        no answer, or an answer that says "not now"
        ├── LeaseLost          the lease expired or was revoked: grant another and write everything again
        ├── SessionLost        the same for a session of Consul
        ├── OwnershipLost      another register holds this host: stand by
        ├── Fenced             another discover leads: stop writing
        └── StartOver          the position that we follow from is gone: list again and compare

Any other exception is a bug of ours. It is caught nowhere but at the very top, where it ends the process
(register, discover) or freezes the table (proxy).
"""

from __future__ import annotations

from typing import ClassVar


class MooringError(Exception):
    """What all of Mooring's own errors have in common."""


class InvalidInput(MooringError):
    """Bad input from outside: what it concerns, and what is wrong with it. It is counted by its `kind`."""

    kind: ClassVar[str] = "input"

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class DescriptorError(InvalidInput):
    """A container says something about itself that cannot be meant."""

    kind = "label"


class BindingError(DescriptorError):
    """A container asks for something that cannot be meant."""

    kind = "binding"


class TemplateError(DescriptorError):
    """A template comes to nothing for a container."""

    kind = "template"


class IdTaken(DescriptorError):
    """A container claims an id that another one, or another host, holds."""

    kind = "id"


class DocumentError(InvalidInput):
    """A value in a registry is not the document that its key promises."""

    kind = "document"


class EntryError(InvalidInput):
    """An entry of the stream cannot be read."""


class NewerVersion(EntryError):
    """An entry has a format version above ours: reading on would be guessing."""


class SettingsError(InvalidInput):
    """A setting of a command is wrong."""


class WorldError(MooringError):
    """Something outside fails, and may be well again in a moment."""


class Unavailable(WorldError):
    """No answer, or an answer that says "not now"."""


class LeaseLost(WorldError):
    """The lease is gone, and with it every key that was attached to it."""

    def __init__(self, lease: int) -> None:
        super().__init__(f"lease {lease:x} is gone")
        self.lease = lease


class SessionLost(WorldError):
    """The session is gone, and with it every key that it owned."""

    def __init__(self, session: str) -> None:
        super().__init__(f"session {session} is gone")
        self.session = session


class OwnershipLost(WorldError):
    """The host's key in the registry no longer names us as the one who writes for this host."""


class Fenced(WorldError):
    """The stream's head no longer names us as its writer."""


class StartOver(WorldError):
    """The position to follow from is gone: compacted, trimmed, replaced. List again and compare."""
