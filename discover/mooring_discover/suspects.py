"""No news is not bad news: whether something that vanished without a word is gone, or only suspect (DESIGN §5).

Pure rules over names, numbers and times; who applies them is `hearing`. A suspect stays in the catalog, marked, and
proxies turn to it only when nothing better is up. What was withdrawn with a word never comes here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from attrs import frozen

from mooring_discover.observations import Key


@frozen
class Policy:
    """The numbers of the rules.

    `hold_seconds`: a suspect stays at least so long. `ttl_seconds`: of the registers' leases; a registry that was
    frozen for a while expires leases when it wakes. `settle_seconds`: an expiry waits so long for others, so that the
    expiry of many hosts, which etcd reports lease by lease, is judged as one. `window_seconds`, `host_share`: more
    than one host and more than this share of hosts within the window is a mass expiry. `listing_share`: a listing
    that lacks more than this share of what was there is not believed.
    """

    hold_seconds: float = 30.0
    ttl_seconds: float = 15.0
    settle_seconds: float = 1.0
    window_seconds: float = 60.0
    host_share: float = 0.2
    listing_share: float = 0.5


def is_mass_expiry(expired: Collection[str], known: Collection[str], policy: Policy) -> bool:
    """Whether so many hosts expired together that the registry is the likelier culprit.

    `expired` are the hosts that expired within the window, `known` those from before, the expired ones included.
    """
    return len(expired) > 1 and len(expired) > policy.host_share * len(known)


def follows_silence(expired_at: float, silence_ended: float | None, policy: Policy) -> bool:
    """Whether an expiry is so soon after the source's silence that the silence may have caused it."""
    return silence_ended is not None and expired_at - silence_ended <= policy.ttl_seconds


def unbelieved(had_count: int, listed: Collection[Key], missing: Iterable[Key], policy: Policy) -> frozenset[Key]:
    """Return which of the missing become suspect when a listing lacks them; the others count as removed.

    `had_count` is how much was there before and is not suspect already, `listed` what is there now. All, when the
    listing is empty or lacks more than the share; else those whose service has no instance left at all.
    """
    gone = frozenset(missing)
    if gone and (not listed or len(gone) > policy.listing_share * had_count):
        return gone
    left = {key[0] for key in listed if not isinstance(key, str)}
    return frozenset(key for key in gone if not isinstance(key, str) and key[0] not in left)


def may_leave(suspected_at: float, now: float, *, others_renew: bool, policy: Policy) -> bool:
    """Whether a suspect has stayed long enough: only while others renew is its silence its own."""
    return others_renew and now - suspected_at >= policy.hold_seconds
