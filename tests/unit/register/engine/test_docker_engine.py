"""What a listing says about a container without an inspection."""

from typing import Any

import pytest

from mooring_register.engine.docker_engine import fingerprint, listed_name


def entry(status: str = "Up 5 minutes", **addresses: str) -> dict[str, Any]:
    """Return a listing's entry of a container in one network."""
    networks = {"back": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": ""} | addresses}
    return {"Names": ["/a"], "State": "running", "Status": status, "NetworkSettings": {"Networks": networks}}


@pytest.mark.parametrize(
    "changed",
    [entry(IPAddress="172.18.0.3"), entry(GlobalIPv6Address="fd00::2"), entry("Up 5 minutes (unhealthy)")],
    ids=["IPv4", "IPv6", "health"],
)
def test_what_counts(changed: dict[str, Any]) -> None:
    """Another address of either version of IP, and another health, are seen in a listing; time alone is not."""
    assert fingerprint(changed) != fingerprint(entry())
    assert fingerprint(entry("Up 6 minutes")) == fingerprint(entry())


@pytest.mark.parametrize(
    ("names", "name"), [(["/a"], "a"), (["/web/db", "/db", "/app/db"], "db"), ([], ""), (None, "")]
)
def test_the_name_of_an_entry(names: list[str] | None, name: str) -> None:
    """A container that others are linked to has theirs before its name there; its own has none."""
    assert listed_name({"Names": names}) == name
