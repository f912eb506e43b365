"""`mooring register --dry-run`: what would be written, on stdout; what would not be and why, on stderr."""

from __future__ import annotations

import time

import click

from mooring.documents import encode_binding
from mooring.etcd.address import DEFAULT_PREFIX
from mooring.keys import BINDINGS_PREFIX
from mooring_register.layouts.named import layout_of
from mooring_register.registrar import Registrar, apply
from mooring_register.settings import Settings
from mooring_register.sources import policy_of, source_of


def print_what_would_be_written(settings: Settings) -> None:
    """Look at the source once and print.

    Raises:
        Unavailable: the engine does not answer.
        SettingsError: this host's address is needed and cannot be told.
    """
    source = source_of(settings)
    policy = policy_of(settings, source.identity())
    state = apply(Registrar(policy=policy), [source.once(policy.host)], time.time())
    prefixes = dict.fromkeys(registry.prefix for registry in settings.registries) or {DEFAULT_PREFIX: None}
    problems = dict.fromkeys(str(problem) for problem in state.problems)
    for prefix in prefixes:
        layout = layout_of(settings.layout, prefix)
        arranged = layout.arrange(state.instances)
        for key, instance in sorted(arranged.instances.items()):
            click.echo(f"{key} {layout.encode(key, instance, None).decode()}")
        problems |= dict.fromkeys(str(problem) for problem in arranged.problems)
    for name, binding in sorted(state.bindings.items()):
        click.echo(f"{BINDINGS_PREFIX}{name} {encode_binding(binding)}")
    for problem in problems:
        click.echo(f"problem: {problem}", err=True)
    for note in state.notes:
        click.echo(f"note: {note}", err=True)
    for one in state.not_registered:
        click.echo(f"not registered: {one}", err=True)
