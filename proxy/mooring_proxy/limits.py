"""What the system lets a process have."""

from __future__ import annotations

import resource


def allow_many_descriptors() -> None:
    """Raise the limit of open files to what the system permits: each connection takes two, each listener as well."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
