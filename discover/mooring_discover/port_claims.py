"""The ports of `--publish auto`, kept up to date service by service. The rules are `mooring.ports`'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from mooring.catalog import Catalog
from mooring.ports import Claim, Claims, Wish, claim_wishes, wanted_port, wishes_of


@frozen
class PortClaims:
    """Who holds which port, and what each service wants: looked at again only for services that were touched."""

    claims: Claims = field(factory=dict)
    wishes: Mapping[str, Wish] = field(factory=dict)
    table: Mapping[str, str] = field(factory=dict)


def resume_claims(ports: Mapping[str, str], catalog: Catalog, now: float) -> PortClaims:
    """Return the claims that stand in Redis, brought up to date with a catalog."""
    return _claimed({port: Claim(service) for port, service in ports.items()}, wishes_of(catalog), now)


def renew_claims(present: PortClaims, catalog: Catalog, touched: Iterable[str], now: float) -> PortClaims:
    """Return the claims after these services were touched; the same value when nothing about ports changed."""
    changed = {service: wanted_port(catalog.services.get(service, {}).values()) for service in touched}
    changed = {service: wish for service, wish in changed.items() if present.wishes.get(service) != wish}
    if not changed and not any(claim.empty_since is not None for claim in present.claims.values()):
        return present
    wishes = {service: wish for service, wish in {**present.wishes, **changed}.items() if wish is not None}
    return _claimed(present.claims, wishes, now, present)


def _claimed(claims: Claims, wishes: Mapping[str, Wish], now: float, before: PortClaims | None = None) -> PortClaims:
    after = claim_wishes(claims, wishes, now)
    table = {port: claim.service for port, claim in after.items()}
    # The very same table where it is equal: the writer then knows without looking that it need not write it.
    return PortClaims(after, wishes, before.table if before is not None and before.table == table else table)
