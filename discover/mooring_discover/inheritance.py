"""What an earlier discover wrote and no source has spoken of yet, and what becomes of it once all have listed.

It is read from Redis when a lead begins. The judgement is the same as on a listing that lacks something: a restart of
discover is no reason to believe an empty registry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from attrs import evolve, field, frozen

from mooring.catalog import Catalog, catalog_of
from mooring.model import Binding, Instance, State
from mooring_discover.hearing import UNLISTED, Draft, SourceView, Touch, Touches, release
from mooring_discover.observations import Key
from mooring_discover.suspects import Policy, unbelieved


@frozen
class Inheritance:
    """The records left over, as a view that nobody speaks for; and how much had been written in all."""

    view: SourceView = field(factory=SourceView)
    instances_written: int = 0
    bindings_written: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left over."""
        return not (self.view.catalog.services or self.view.catalog.bindings)


def keys_in(catalog: Catalog) -> Iterator[Key]:
    """Iterate over the keys of all records."""
    for instance in catalog.instances():
        yield instance.key
    yield from catalog.bindings


def inheritance(written: Catalog, spoken_of: Collection[Key], now: float) -> Inheritance:
    """Return what is left of a written catalog; its suspects stay so, counted from now."""
    instances = list(written.instances())
    bindings = list(written.bindings.values())
    catalog = catalog_of(
        [instance for instance in instances if instance.key not in spoken_of],
        [binding for binding in bindings if binding.key not in spoken_of],
    )
    suspects: dict[Key, float] = {one.key: now for one in catalog.instances() if one.state is State.SUSPECT}
    return Inheritance(SourceView(catalog, suspects=suspects), len(instances), len(bindings))


def outspoken(inherited: Inheritance, keys: Iterable[Key]) -> Inheritance:
    """Return what is left when a source has spoken of these keys."""
    if inherited.is_empty:
        return inherited
    draft = Draft(inherited.view)
    for key in keys:
        if inherited.view.record(key) is not None:
            draft.drop(key, Touch(0.0))
    return evolve(inherited, view=draft.view()) if draft.touches else inherited


def judge(
    inherited: Inheritance, sources: Sequence[SourceView], now: float, policy: Policy
) -> tuple[Inheritance, Touches]:
    """Return what is left once every source has listed, and then as time passes: suspects alone, until they leave."""
    view = inherited.view
    unreadable = frozenset[str]().union(*(source.unreadable for source in sources))
    draft = Draft(view)
    listed = [key for source in sources for key in keys_in(source.catalog)]
    instances = [one for one in view.catalog.instances() if one.key not in view.suspects and one.path not in unreadable]
    bindings = [one for key, one in view.catalog.bindings.items() if key not in view.suspects and key not in unreadable]
    _doubt(
        draft, instances, inherited.instances_written, [key for key in listed if not isinstance(key, str)], now, policy
    )
    _doubt(draft, bindings, inherited.bindings_written, [key for key in listed if isinstance(key, str)], now, policy)
    renew = any(source.renews() for source in sources) if view.suspects else False
    left, touches = release(draft.view(), now, others_renew=renew, policy=policy)
    return evolve(inherited, view=left), draft.touches | touches


def _doubt(
    draft: Draft,
    missing: Sequence[Instance | Binding],
    written: int,
    listed: Collection[Key],
    now: float,
    policy: Policy,
) -> None:
    suspect = unbelieved(written, listed, (record.key for record in missing), policy)
    for record in missing:
        (draft.suspect if record.key in suspect else draft.drop)(record.key, Touch(now, cause=UNLISTED))
