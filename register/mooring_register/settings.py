"""The settings of `mooring register` as one value, and what may be wrong with several of them together. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, TypeAlias

from attrs import field, frozen

from mooring.consul import address as consul
from mooring.consul.address import ConsulAddress
from mooring.consul.keys_address import KEYS_SCHEME, KEYS_UNIX_SCHEME, ConsulKeysAddress, parse_consul_keys_address
from mooring.consul.variables import TLS_SCHEME, complete_consul_address
from mooring.errors import SettingsError
from mooring.etcd import address as etcd
from mooring.etcd.address import EtcdAddress
from mooring.etcd2 import address as etcd2
from mooring.model import Address
from mooring_register.aliases import ETCD_HOST, in_our_words
from mooring_register.containers import DEFAULT_BINDING_PREFIX
from mooring_register.deregistration import Deregister
from mooring_register.engine.address import OPTION, DockerAddress
from mooring_register.labels.filters import Filter
from mooring_register.labels.naming import NameFrom
from mooring_register.labels.templates import Wording
from mooring_register.layouts.named import NAMES as LAYOUTS
from mooring_register.layouts.named import NATIVE, reason_against

# etcd grants no shorter leases than 2 s, and three renewals must fit into one.
LEAST_TTL_SECONDS: Final = 3
DEFAULT_TTL_SECONDS: Final = 15
DEFAULT_RESYNC_SECONDS: Final = 60

RegistryAddress: TypeAlias = EtcdAddress | ConsulAddress | ConsulKeysAddress


@frozen(kw_only=True)
class Settings:
    """Everything that was asked for. `static` is None with the docker source."""

    registries: tuple[RegistryAddress, ...]
    docker: DockerAddress
    static: Path | None
    host: str
    ip: str
    interface: str
    internal: bool
    explicit: bool
    ttl_seconds: int = DEFAULT_TTL_SECONDS
    resync_seconds: float = DEFAULT_RESYNC_SECONDS
    admin: Address
    admin_file: Path | None = None
    withdraw_on_exit: bool = False
    deregister: Deregister = Deregister.ALWAYS
    networks: tuple[str, ...] = ()
    ip_label: str = ""
    filters: tuple[Filter, ...] = ()
    name_from: NameFrom = NameFrom.IMAGE
    backend_prefix: str = DEFAULT_BINDING_PREFIX
    layout: str = ""
    wording: Wording = field(factory=Wording)


def parse_registry(text: str, environment: Mapping[str, str]) -> RegistryAddress:
    """Read the address of a registry, in registrator's words too; Consul's variables fill in what is left open.

    Raises:
        SettingsError: it is of a kind that is not spoken, or a part of it is wrong.
    """
    text = in_our_words(text)
    scheme = text.partition("://")[0]
    if text.startswith((consul.SCHEME, consul.UNIX_SCHEME, TLS_SCHEME)):
        return complete_consul_address(text, environment)
    if text.startswith("marathon://"):
        known = f"{etcd.SCHEME}, {etcd2.SCHEME}, {consul.SCHEME} and {KEYS_SCHEME}"
        raise SettingsError(f"{scheme}://", f"register does not write to this kind of registry yet, only to {known}")
    address = _parse_with_layout(text, environment)
    if address.layout not in ("", *LAYOUTS):
        raise SettingsError(str(address), f"layout {address.layout!r} is unknown; there are {', '.join(LAYOUTS)}")
    return address


def _parse_with_layout(text: str, environment: Mapping[str, str]) -> EtcdAddress | ConsulKeysAddress:
    if text.startswith((KEYS_SCHEME, KEYS_UNIX_SCHEME)):
        return parse_consul_keys_address(text, environment)
    parse = etcd2.parse_etcd2_address if text.startswith(etcd2.SCHEME) else etcd.parse_etcd_address
    return parse(text, options=(*etcd.OPTIONS, "layout"))


def layout_for(address: EtcdAddress | ConsulKeysAddress, layout: str) -> str:
    """Return the layout that a registry is written in; `layout` is that of `--layout`, empty for none.

    Who speaks of Consul's keys comes from registrator, whose readers know one form of them.
    """
    return address.layout or layout or ("registrator" if isinstance(address, ConsulKeysAddress) else NATIVE)


def parse_ip(text: str) -> str:
    """Read an IP address.

    Raises:
        ValueError: it is none.
    """
    return str(ip_address(text))


def problems(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with options that are each right by themselves."""
    registries: tuple[RegistryAddress, ...] = options["registry"]
    if not registries and not options["dry_run"]:
        example = "etcd://127.0.0.1:2379/services"
        yield f"--registry is missing ({ETCD_HOST} is not set either): where is to be written? For example {example}"
    endpoints = [endpoint for registry in registries for endpoint in _endpoints(registry)]
    for endpoint in sorted({one for one in endpoints if endpoints.count(one) > 1}):
        yield f"--registry: {endpoint} is given twice, and one registry takes one register for each host"
    yield from _layout_problems(options["layout"] or "", registries)
    if options["docker"].named_by == OPTION and options["static"]:
        yield "--docker and --static exclude each other"
    yield from container_problems(options)
    if options["dry_run"] and options["withdraw"]:
        yield "--dry-run and --withdraw exclude each other"


def _endpoints(registry: RegistryAddress) -> tuple[str, ...]:
    if isinstance(registry, EtcdAddress):
        return tuple(f"{registry.scheme}{endpoint}" for endpoint in registry.endpoints)
    # Services and keys of one Consul have the same key that says who writes for the host.
    return (str(registry.consul if isinstance(registry, ConsulKeysAddress) else registry),)


def _layout_problems(layout: str, registries: tuple[RegistryAddress, ...]) -> Iterator[str]:
    with_layouts = [one for one in registries if not isinstance(one, ConsulAddress)]
    for registry in with_layouts:
        own = layout_for(registry, layout)
        if own == "backends" and isinstance(registry, ConsulKeysAddress):
            yield f"--layout {own} with --registry {registry}: hosts share its port keys, in Consul one owns a key"
        elif reason := reason_against(own, registry.prefix):
            yield f"--layout {own} with --registry {registry}: {reason}"
    if layout not in {"", NATIVE} and registries and not with_layouts:
        yield f"--layout {layout} means nothing to Consul: what stands there are services, in its own form"


def container_problems(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong together with those options that decide what a container comes to (`options`)."""
    if options["ip"] and options["interface"]:
        yield "--ip and --interface exclude each other"
    if not options["backend_prefix"]:
        yield "--backend-prefix is empty: each variable of a container would be taken for a binding"
    if options["network"] and not options["internal"]:
        yield "--network needs --internal: published ports are reached on the host, whatever networks there are"
