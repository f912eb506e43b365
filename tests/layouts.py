"""What earlier systems write, byte for byte, of a few instances: for those who make it, and those who read it back."""

from pathlib import Path

from attrs import evolve

from mooring.model import Address, Instance

PREFIXES = {"registrator": "/services", "embassy": "/services", "backends": "/backends", "skydns": "/cluster.local"}

WEB = Instance(
    service="web",
    id="h1:web.1:80",
    address=Address("10.0.0.5", 32769),
    port=80,
    host="h1",
    container="e20f9c1a76565d62ae24a3bb877b17b862b6eab94f4e95a0e07ccf25087aaf4f",
    name="/web.1",
    image="jwilder/whoami",
    started="2026-01-02T00:00:00Z",
)
WEB_SIX = evolve(WEB, id="h1:web.1:80:6", address=Address("2001:db8::1", 9000))
WEB_UDP = evolve(WEB, id="h1:web.1:53:udp", address=Address("10.0.0.5", 53, "udp"), port=53)
HELLO = evolve(
    WEB,
    service="hello/v1",
    id="h1:hello:80",
    address=Address("10.0.0.5", 32768),
    publish=8080,
    container="3f4e8a0c1b2d65d62ae24a3bb877b17b862b6eab94f4e95a0e07ccf25087aaf4",
    name="/hello",
    image="hello:2",
    tags=("rest", "eu"),
)
THOSE = (WEB, WEB_SIX, WEB_UDP, HELLO)


def golden(layout: str) -> str:
    """Return the lines of the golden file of a layout: what `THOSE` come to below the prefix of its readers."""
    return (Path(__file__).parent / "golden/layouts" / f"{layout}.txt").read_text(encoding="utf-8")
