"""What one source is taken to hold, after all that was heard of it: its own version of the catalog.

Applies the rules of `suspects` to one source at a time. Knows nothing of other sources, nor of what is written.
Every function returns the new view and which keys are touched: the later stages look at nothing else, so that one
change among a hundred thousand instances costs what its service costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, assert_never

from attrs import evolve, field, frozen

from mooring.catalog import Catalog, fold
from mooring.facts import BindingAdded, BindingRemoved, Fact, InstanceAdded, InstanceRemoved
from mooring.model import Binding, Instance, State
from mooring_discover.observations import UNSEEN, Gone, Key, Listed, Record, Seen, Sighting, Withdrawn, Word, key_said
from mooring_discover.suspects import Policy, follows_silence, is_mass_expiry, may_leave, unbelieved

EXPIRED = "expired"
DELETED = "deleted"
UNLISTED = "unlisted"


@frozen
class Silence:
    """Since when (epoch seconds) a source does not answer, and why."""

    since: float
    reason: str


@frozen
class Expiry:
    """A host of which something expired, and when."""

    at: float
    host: str


@frozen
class SourceView:
    """What a source holds, suspects included and marked.

    `settling` are expiries not yet judged, and `suspects` what vanished without a word, each with the time it was
    heard. `expiries` are those of the last while, believed or not. `silence_ended` is when it last answered again.
    `unreadable` names the documents that could not be read, as `Listed` does.
    """

    catalog: Catalog = field(factory=Catalog)
    revision: str = ""
    lists_instances: bool = False
    lists_bindings: bool = False
    hosts: frozenset[str] = frozenset()
    silence: Silence | None = None
    silence_ended: float | None = None
    settling: Mapping[Key, float] = field(factory=dict)
    suspects: Mapping[Key, float] = field(factory=dict)
    expiries: tuple[Expiry, ...] = ()
    unreadable: frozenset[str] = frozenset()

    @property
    def is_listed(self) -> bool:
        """Whether everything that it holds was heard at least once."""
        return self.lists_instances and self.lists_bindings

    def record(self, key: Key) -> Record | None:
        """Return what it holds under a key."""
        if isinstance(key, str):
            return self.catalog.bindings.get(key)
        return self.catalog.instance(*key)

    def renews(self) -> bool:
        """Whether anything of it is alive beyond doubt: an unmarked record would have expired with its lease."""
        if self.silence is not None:
            return False
        return bool(self.hosts) or any(instance.state is not State.SUSPECT for instance in self.catalog.instances())


@frozen
class Touch:
    """A key that may have changed: when it was heard, at which revision; of a removal, why and when it was seen."""

    at: float
    revision: str = ""
    cause: str = ""
    seen: Sighting = UNSEEN


Touches: TypeAlias = dict[Key, Touch]


def host_of(record: Record) -> str:
    """Return the host whose lease a record hangs on; a foreign document names none, then it is where it listens."""
    if record.host or isinstance(record, Binding):
        return record.host
    return record.address.host


def is_news(known: Record | None, record: Record) -> bool:
    """Whether a record says anything that was not known."""
    if known is None or isinstance(known, Binding) or isinstance(record, Binding):
        return known != record
    return known != record and not known.same_as(record)


class Draft:
    """A view in the making: what was said is collected and folded once."""

    def __init__(self, view: SourceView) -> None:
        self._view = view
        self.settling = dict(view.settling)
        self.suspects = dict(view.suspects)
        self.touches: Touches = {}
        self._facts: list[Fact] = []

    def view(self) -> SourceView:
        """Return the view with all that was said."""
        catalog = fold(self._view.catalog, self._facts) if self._facts else self._view.catalog
        return evolve(self._view, catalog=catalog, settling=self.settling, suspects=self.suspects)

    def hold(self, record: Record, touch: Touch) -> None:
        """The record is there, without doubt."""
        self.settling.pop(record.key, None)
        self.suspects.pop(record.key, None)
        if is_news(self._view.record(record.key), record):
            self._facts.append(InstanceAdded(record) if isinstance(record, Instance) else BindingAdded(record))
            self.touches[record.key] = touch

    def drop(self, key: Key, touch: Touch) -> None:
        """The record is gone, without doubt. Touched even if unknown: an earlier discover may have written it."""
        self.settling.pop(key, None)
        self.suspects.pop(key, None)
        self.touches[key] = touch
        known = self._view.record(key)
        if known is not None:
            self._facts.append(InstanceRemoved(known) if isinstance(known, Instance) else BindingRemoved(known))

    def expire(self, key: Key, touch: Touch) -> None:
        """The record expired: it stays as it is until that is judged."""
        if self._view.record(key) is None:
            self.drop(key, touch)
        elif key not in self.suspects:
            self.settling.setdefault(key, touch.at)

    def suspect(self, key: Key, touch: Touch) -> None:
        """The record vanished in a way that is not believed. A binding has no state to mark; it just stays."""
        self.settling.pop(key, None)
        self.suspects[key] = touch.at
        known = self._view.record(key)
        if isinstance(known, Instance):
            self._facts.append(InstanceAdded(evolve(known, state=State.SUSPECT, cause=touch.cause)))
            self.touches[key] = touch


def hear(view: SourceView, words: Iterable[Word]) -> tuple[SourceView, Touches]:
    """Return the view after these words, and what they touched. Of several about one key the last counts."""
    draft = Draft(view)
    revision = view.revision
    for key, word in {key_said(word): word for word in words}.items():
        revision = word.revision
        match word:
            case Seen(record=record):
                draft.hold(record, Touch(word.at, revision))
            case Withdrawn(cause=cause, seen=seen):
                draft.drop(key, Touch(word.at, revision, cause, seen))
            case Gone(expired=True):
                draft.expire(key, Touch(word.at, revision, EXPIRED))
            case Gone():
                draft.drop(key, Touch(word.at, revision, DELETED))
            case _:
                assert_never(word)
    return evolve(draft.view(), revision=revision), draft.touches


def settle(view: SourceView, now: float, policy: Policy) -> tuple[SourceView, Touches]:
    """Judge the expiries that have waited long enough for others: believed, or suspect."""
    due = {key: at for key, at in view.settling.items() if now - at >= policy.settle_seconds}
    if not due:
        return view, {}
    draft = Draft(view)
    expiries = _expiries(view, now, policy)
    expired = {expiry.host for expiry in expiries}
    # Compared with all hosts of before: what settles or is suspect is still in the catalog, what went is in expiries.
    known = {host_of(instance) for instance in view.catalog.instances()} | view.hosts | expired
    together = is_mass_expiry(expired, known, policy)
    for key, at in due.items():
        touch = Touch(at, view.revision, EXPIRED)
        if together or view.silence is not None or follows_silence(at, view.silence_ended, policy):
            draft.suspect(key, touch)
        else:
            draft.drop(key, touch)
    return evolve(draft.view(), expiries=expiries), draft.touches


def _expiries(view: SourceView, now: float, policy: Policy) -> tuple[Expiry, ...]:
    """Return one expiry per host within the window, those still settling included."""
    latest = {expiry.host: expiry.at for expiry in view.expiries if now - expiry.at <= policy.window_seconds}
    for key, at in view.settling.items():
        record = view.record(key)
        if record is not None:
            latest[host_of(record)] = at
    return tuple(Expiry(at, host) for host, at in latest.items())


def release(view: SourceView, now: float, *, others_renew: bool, policy: Policy) -> tuple[SourceView, Touches]:
    """Let go of the suspects that have stayed long enough."""
    draft = Draft(view)
    for key, since in view.suspects.items():
        if may_leave(since, now, others_renew=others_renew, policy=policy):
            known = view.record(key)
            cause = known.cause if isinstance(known, Instance) else EXPIRED
            draft.drop(key, Touch(now, view.revision, cause))
    return (draft.view(), draft.touches) if draft.touches else (view, {})


def list_anew(view: SourceView, listed: Listed, policy: Policy) -> tuple[SourceView, Touches]:
    """Return the view after a listing: what is in it is there, what it lacks is judged."""
    draft = Draft(view)
    if listed.instances is not None:
        paths: dict[Key, str] = {instance.key: instance.path for instance in view.catalog.instances()}
        _list_part(draft, paths, listed.instances, listed, policy)
    if listed.bindings is not None:
        names: dict[Key, str] = {key: key for key in view.catalog.bindings}
        _list_part(draft, names, listed.bindings, listed, policy)
    after = evolve(
        draft.view(),
        revision=listed.revision,
        lists_instances=view.lists_instances or listed.instances is not None,
        lists_bindings=view.lists_bindings or listed.bindings is not None,
        hosts=view.hosts if listed.hosts is None else listed.hosts,
        unreadable=view.unreadable | listed.unreadable,
    )
    return after, draft.touches


def _list_part(
    draft: Draft, known: Mapping[Key, str], records: tuple[Record, ...], listed: Listed, policy: Policy
) -> None:
    """`known` maps what the source had to the path that `unreadable` would name it by."""
    present = {record.key for record in records}
    for record in records:
        draft.hold(record, Touch(listed.at, listed.revision))
    for withdrawn in listed.down.keys() - present:
        draft.drop(withdrawn, Touch(listed.at, listed.revision, listed.down[withdrawn]))
    doubtful = draft.settling.keys() | draft.suspects.keys()
    had = {key for key, path in known.items() if key not in doubtful and path not in listed.unreadable}
    had -= listed.down.keys()
    missing = had - present
    suspect = unbelieved(len(had), present, missing, policy)
    for key in missing:
        touch = Touch(listed.at, listed.revision, UNLISTED)
        (draft.suspect if key in suspect else draft.drop)(key, touch)
