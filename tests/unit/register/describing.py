"""Containers' labels in few words, for the tests of descriptors."""

from __future__ import annotations

from collections.abc import Mapping

from mooring_register.labels.descriptor import Spot, describe_port, read_descriptor
from mooring_register.labels.words import PortDescriptor


def described(port: int | Spot = 80, env: Mapping[str, str] | None = None, /, **labels: str) -> PortDescriptor:
    """Return what a container with these labels (without their `SERVICE_`) says about a port."""
    prefixed = {f"SERVICE_{key}": value for key, value in labels.items()}
    spot = port if isinstance(port, Spot) else Spot(port)
    return describe_port(read_descriptor("web.1", prefixed, env or {}), spot)
