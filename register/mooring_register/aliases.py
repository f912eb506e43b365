"""What other systems call a registry, and what that is here: registrator's addresses, docker-register's variable. Pure.

An address that means the same here is understood; one that would mean something else is refused with what to write.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mooring.errors import SettingsError
from mooring.etcd.address import SCHEME as ETCD
from mooring.etcd.address import EtcdAddress
from mooring.etcd2.address import SCHEME as ETCD2

ETCD_HOST: Final = "ETCD_HOST"
# Where etcd listened before it had a port of its own, and where docker-register looks for it.
_OLD_PORT: Final = 4001
_ETCD_HOST_PREFIX: Final = "/backends"
# registrator's, for an address without a host.
_DEFAULT_PLACE: Final = "127.0.0.1:2379"
_SKYDNS: Final = "skydns2://"
_LEGACY: Final = "etcd-legacy://"
_REFUSED: Final = {
    "zookeeper": "Mooring does not write to ZooKeeper",
    "coredns": "write etcd://HOST:PORT/DOMAIN with --layout skydns",
    "eureka": "Mooring does not write to Eureka",
}


def in_our_words(text: str) -> str:
    """Return the address of a registry as it is written here.

    Raises:
        SettingsError: it is of a kind that only other systems have; the message says what to write instead.
    """
    scheme = text.partition("://")[0]
    if reason := _REFUSED.get(scheme):
        raise SettingsError(f"{scheme}://", reason)
    if text.startswith(_LEGACY):
        return ETCD2 + text.removeprefix(_LEGACY)
    if not text.startswith(_SKYDNS):
        return text
    place, slash, domain = text.removeprefix(_SKYDNS).partition("/")
    return f"{ETCD2}{place or _DEFAULT_PLACE}{slash}{domain}{'&' if '?' in domain else '?'}layout=skydns"


def at_the_old_port(registries: Iterable[object]) -> tuple[EtcdAddress, ...]:
    """Return those by etcd's v3 API at the port of its v2 API: registrator's `etcd://` may have been copied."""
    return tuple(
        one
        for one in registries
        if isinstance(one, EtcdAddress)
        and one.scheme == ETCD
        and any(endpoint.port == _OLD_PORT for endpoint in one.endpoints)
    )


def registry_of_etcd_host(host: str, *, has_layout: bool) -> str:
    """Return the address of the registry that `ETCD_HOST` means, for docker-register's readers unless told otherwise.

    The port that is left out is 4001.
    """
    has_port = ":" in host.rpartition("]")[2]
    place = f"{ETCD2}{host if has_port else f'{host}:{_OLD_PORT}'}"
    return place if has_layout else f"{place}{_ETCD_HOST_PREFIX}?layout=backends"
