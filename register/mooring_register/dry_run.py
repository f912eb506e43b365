"""`mooring register --dry-run`: what would be written, on stdout; what would not be and why, on stderr."""

from __future__ import annotations

import time
from collections.abc import Mapping

import click

from mooring.consul.address import ConsulAddress
from mooring.consul.documents import service_document
from mooring.documents import canonical, encode_binding
from mooring.etcd.address import DEFAULT_PREFIX
from mooring.keys import BINDINGS_PREFIX
from mooring.model import Instance
from mooring_register.consul.services import Site, register_all
from mooring_register.layouts.named import NATIVE, layout_of
from mooring_register.registrar import Key, Registrar, apply
from mooring_register.settings import Settings, layout_for
from mooring_register.sources import engine_id, policy_of, source_of


def print_what_would_be_written(settings: Settings) -> None:
    """Look at the source once and print.

    Raises:
        Unavailable: the engine does not answer.
        SettingsError: this host's address is needed and cannot be told.
    """
    source = source_of(settings)
    policy = policy_of(settings, source.identity())
    state = apply(Registrar(policy=policy), [source.once(policy.host)], time.time())
    problems = dict.fromkeys(str(problem) for problem in state.problems)
    problems |= _print_keys(settings, state.instances)
    consuls = [registry for registry in settings.registries if isinstance(registry, ConsulAddress)]
    for is_alone in sorted({one.is_alone for one in consuls}):
        problems |= _print_services(Site(engine_id(source.identity(), policy.host), is_alone), state.instances)
    for name, binding in sorted(state.bindings.items()):
        click.echo(f"{BINDINGS_PREFIX}{name} {encode_binding(binding)}")
    for name, reason in source.unanswered().items():
        click.echo(f"the engine gives no answer about {name!r}: {reason}", err=True)
    for problem in problems:
        click.echo(f"problem: {problem}", err=True)
    for note in state.notes:
        click.echo(f"note: {note}", err=True)
    for one in state.not_registered:
        click.echo(f"not registered: {one}", err=True)


def _print_keys(settings: Settings, instances: Mapping[Key, Instance]) -> dict[str, None]:
    """Print what stands in the keys of each etcd and Consul, and return what is wrong."""
    keyed = [registry for registry in settings.registries if not isinstance(registry, ConsulAddress)]
    layouts = dict.fromkeys((layout_for(registry, settings.layout), registry.prefix) for registry in keyed)
    if not settings.registries:
        layouts = {(settings.layout or NATIVE, DEFAULT_PREFIX): None}
    problems: dict[str, None] = {}
    for name, prefix in layouts:
        layout = layout_of(name, prefix)
        arranged = layout.arrange(instances)
        for key, instance in sorted(arranged.instances.items()):
            click.echo(f"{key} {layout.encode(key, instance, None).decode()}")
        problems |= dict.fromkeys(str(problem) for problem in arranged.problems)
    return problems


def _print_services(site: Site, instances: Mapping[Key, Instance]) -> dict[str, None]:
    """Print what a Consul agent would be told, and return what is wrong."""
    registrations = register_all(instances, site)
    for _, one in sorted(registrations.wanted.items()):
        click.echo(canonical(service_document(one.service, one.checks)))
    return dict.fromkeys(str(problem) for problem in registrations.problems)
