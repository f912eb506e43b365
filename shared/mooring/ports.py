"""Which service answers on which port of the proxies, when they publish automatically (DESIGN §5, `mooring:ports`).

A service wants the port that its oldest instance asks for. Of two that want one port, the service whose oldest
instance was there first has it, then the lower name. A claim outlives the last instance by a while, so that a service
that is rolled through zero instances finds its address again; a claim that stands is not taken over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import evolve, frozen

from mooring.catalog import Catalog
from mooring.model import PROXY_KIND, Instance

KEPT_SECONDS: Final = 600.0


@frozen
class Claim:
    """A port held by a service; `empty_since` is when its last instance went (epoch seconds), else None."""

    service: str
    empty_since: float | None = None


Claims = Mapping[str, Claim]
Wish = tuple[str, str]


def wanted_port(instances: Iterable[Instance]) -> Wish | None:
    """Return (`<port>/<proto>`, when its oldest instance started) of a service, or None when it asks for none."""
    eligible = [instance for instance in instances if instance.kind != PROXY_KIND]
    if not eligible:
        return None
    oldest = min(eligible, key=_age)
    port = oldest.publish or oldest.port
    return (f"{port}/{oldest.address.proto}", oldest.started) if port else None


def _age(instance: Instance) -> tuple[bool, str, str]:
    # ISO 8601 in UTC sorts as text; an instance that does not say when it started counts as the youngest.
    return not instance.started, instance.started, instance.id


def wishes_of(catalog: Catalog) -> dict[str, Wish]:
    """Return what each service of a catalog wants; a service that asks for no port is not in it."""
    wishes = ((service, wanted_port(instances.values())) for service, instances in catalog.services.items())
    return {service: wish for service, wish in wishes if wish is not None}


def claim_ports(claims: Claims, catalog: Catalog, now: float) -> dict[str, Claim]:
    """Return the claims after the catalog changed or time passed; `now` in epoch seconds."""
    return claim_wishes(claims, wishes_of(catalog), now)


def claim_wishes(claims: Claims, wishes: Mapping[str, Wish], now: float) -> dict[str, Claim]:
    """Return the claims when services want these ports: `claim_ports` for who keeps the wishes up to date."""
    kept = {port: _kept(port, claim, wishes, now) for port, claim in claims.items()}
    result = {port: claim for port, claim in kept.items() if claim is not None}
    for service in sorted(wishes, key=lambda name: (not wishes[name][1], wishes[name][1], name)):
        port, _ = wishes[service]
        result.setdefault(port, Claim(service))
    return result


def _kept(port: str, claim: Claim, wishes: Mapping[str, Wish], now: float) -> Claim | None:
    wish = wishes.get(claim.service)
    if wish is not None:
        return evolve(claim, empty_since=None) if wish[0] == port else None
    since = now if claim.empty_since is None else claim.empty_since
    return Claim(claim.service, since) if now - since < KEPT_SECONDS else None
