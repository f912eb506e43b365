"""(state, observations) → state: what all sources together are taken to hold, and what of it was touched.

The catalog that is shown follows from the views of the sources and from what was *inherited*: records that an earlier
discover wrote and of which no source has spoken yet. Those stay until every source has listed, so that a restart
while one of two registries is away withdraws nothing.

Facts are not made here. They are the difference between what is shown and what is written (`differences`), which makes
a lost answer, a restart and a long outage of Redis one and the same case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import assert_never

from attrs import evolve, field, frozen

from mooring.catalog import Catalog
from mooring_discover.hearing import Silence, SourceView, Touch, Touches, hear, list_anew, release, settle
from mooring_discover.inheritance import Inheritance, inheritance, judge, keys_in, outspoken
from mooring_discover.merging import merge
from mooring_discover.observations import Answering, HostGone, HostSeen, Key, Listed, Observation, Silent, Word
from mooring_discover.suspects import Policy

# A leader that is dead for longer than this is no leader: what a standby remembers longer serves nobody.
ORIGINS_KEPT_SECONDS = 60.0


@frozen
class Origin:
    """Where the newest word about a key came from, and why it is gone if it is."""

    source: str
    touch: Touch


# Of a key that changed because of another: an instance at the same address came or went.
UNSAID = Origin("", Touch(0.0))


@frozen
class Known:
    """All that discover knows: `order` as the sources were given, a view for each, and the catalog they add up to.

    `origins` has the keys touched since they were last taken by `settled`.
    """

    order: tuple[str, ...]
    views: Mapping[str, SourceView]
    shown: Catalog = field(factory=Catalog)
    inherited: Inheritance = field(factory=Inheritance)
    origins: Mapping[Key, Origin] = field(factory=dict)

    @property
    def is_listed(self) -> bool:
        """Whether every source has said all that it holds."""
        return all(view.is_listed for view in self.views.values())

    @property
    def any_listed(self) -> bool:
        """Whether some source has."""
        return any(view.is_listed for view in self.views.values())


def know_nothing(sources: Iterable[str]) -> Known:
    """Return the state before anything was heard."""
    order = tuple(sources)
    return Known(order, {name: SourceView() for name in order})


def reduce(known: Known, observations: Iterable[Observation], policy: Policy) -> Known:
    """Return the state after these observations, applied in order."""
    turn = _Turn(known, policy)
    for observation in observations:
        turn.take(observation)
    return turn.end()


def tick(known: Known, now: float, policy: Policy) -> Known:
    """Return the state after time passed: expiries are judged, suspects leave, what nobody claims is judged."""
    turn = _Turn(known, policy)
    turn.pass_time(now)
    return turn.end()


def inherit(known: Known, written: Catalog, now: float) -> Known:
    """Return the state with what an earlier discover wrote; what a source has spoken of is known better already."""
    held = {key for view in known.views.values() for key in keys_in(view.catalog)}
    inherited = inheritance(written, held | known.origins.keys(), now)
    touched = {*keys_in(known.inherited.view.catalog), *keys_in(inherited.view.catalog)}
    return _merged(evolve(known, inherited=inherited), touched)


def settled(known: Known) -> Known:
    """Return the state after all that was touched is written."""
    return evolve(known, origins={}) if known.origins else known


def without_old_origins(known: Known, now: float) -> Known:
    """Return the state without the origins that are too old to serve who takes the lead next."""
    kept = {key: one for key, one in known.origins.items() if now - one.touch.at <= ORIGINS_KEPT_SECONDS}
    return known if len(kept) == len(known.origins) else evolve(known, origins=kept)


def without_vanished(known: Known, written: Iterable[Catalog]) -> Known:
    """Return the state without the origins of what came and went while nothing could be written.

    `written` are the catalogs that may stand in Redis.
    """
    there = [known.shown, *written]
    kept = {key: one for key, one in known.origins.items() if any(_holds(catalog, key) for catalog in there)}
    return known if len(kept) == len(known.origins) else evolve(known, origins=kept)


def _holds(catalog: Catalog, key: Key) -> bool:
    return key in catalog.bindings if isinstance(key, str) else catalog.instance(*key) is not None


def _merged(known: Known, touched: Iterable[Key]) -> Known:
    """Return the state with the catalog that is shown brought up to date; what changed there has an origin then."""
    catalogs = [*(known.views[name].catalog for name in known.order), known.inherited.view.catalog]
    shown, changed = merge(known.shown, catalogs, touched)
    beside = {key: UNSAID for key in changed if key not in known.origins}
    return evolve(known, shown=shown, origins={**known.origins, **beside} if beside else known.origins)


class _Turn:
    """One application of observations or of time: views in the making, words collected so that each view folds once."""

    def __init__(self, known: Known, policy: Policy) -> None:
        self._known = known
        self._policy = policy
        self._views = dict(known.views)
        self._inherited = known.inherited
        self._words: dict[str, list[Word]] = {}
        self._origins: dict[Key, Origin] = {}

    def take(self, observation: Observation) -> None:
        source = observation.source
        match observation:
            case Listed() | HostSeen() | HostGone() | Silent() | Answering():
                self._flush(source)
                self._take_state(source, observation)
            case _:
                self._words.setdefault(source, []).append(observation)

    def _take_state(self, source: str, observation: Listed | HostSeen | HostGone | Silent | Answering) -> None:
        view = self._views[source]
        match observation:
            case Listed():
                self._put(source, *list_anew(view, observation, self._policy))
            case HostSeen(host=host):
                self._views[source] = evolve(view, hosts=view.hosts | {host})
            case HostGone(host=host):
                self._views[source] = evolve(view, hosts=view.hosts - {host})
            case Silent(at=at, reason=reason):
                self._views[source] = evolve(view, silence=view.silence or Silence(at, reason))
            case Answering(at=at):
                ended = at if view.silence is not None else view.silence_ended
                self._views[source] = evolve(view, silence=None, silence_ended=ended)
            case _:
                assert_never(observation)

    def pass_time(self, now: float) -> None:
        for source, view in list(self._views.items()):
            self._put(source, *settle(view, now, self._policy))
        for source, view in list(self._views.items()):
            if view.suspects:
                self._put(source, *release(view, now, others_renew=view.renews(), policy=self._policy))
        if not self._inherited.is_empty and all(view.is_listed for view in self._views.values()):
            self._put_inherited(*judge(self._inherited, list(self._views.values()), now, self._policy))

    def end(self) -> Known:
        for source in list(self._words):
            self._flush(source)
        if not self._origins and self._inherited is self._known.inherited:
            return evolve(self._known, views=self._views)
        origins = {**self._known.origins, **self._origins}
        after = evolve(self._known, views=self._views, inherited=self._inherited, origins=origins)
        return _merged(after, self._origins)

    def _flush(self, source: str) -> None:
        words = self._words.pop(source, None)
        if words:
            self._put(source, *hear(self._views[source], words))

    def _put(self, source: str, view: SourceView, touches: Touches) -> None:
        self._views[source] = view
        self._origins |= {key: Origin(source, touch) for key, touch in touches.items()}
        # Somebody spoke of these: what an earlier discover wrote of them counts no more.
        self._inherited = outspoken(self._inherited, touches)

    def _put_inherited(self, inherited: Inheritance, touches: Touches) -> None:
        self._inherited = inherited
        self._origins |= {key: Origin("", touch) for key, touch in touches.items()}
