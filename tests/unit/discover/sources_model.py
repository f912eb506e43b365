"""What several sources add up to, said naively: dictionaries, looked through from the beginning each time.

The specification of `reducer` in another hand: nothing of discover's own judgement is used here, only the words that
sources say (`observations`) and the numbers of the rules (`Policy`). It decides about instances, and knows of a record
only its key, its host, its address and whether it is a suspect.

The rules, in the order in which they are applied (DESIGN §5):

- A word about a key goes before everything that was thought of it.
- An expiry is believed a second later, unless other hosts expired too, or the source was silent about then.
- A listing that lacks something is believed, unless it lacks most, or all of a service.
- What is not believed is a suspect, and goes when it has been one for long enough and something else is alive.
- Of several sources the first that has no doubt is shown; at one address of a service there is one instance.
- What was written before discover began, and no source has spoken of, stays until all have listed; then it is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define, evolve, field

from mooring.model import Instance, State
from mooring_discover.observations import (
    Answering,
    Gone,
    HostGone,
    HostSeen,
    InstanceKey,
    Listed,
    Seen,
    Silent,
    Withdrawn,
)
from mooring_discover.suspects import Policy

Records = dict[InstanceKey, Instance]


@define
class SourceModel:
    """One source. `doubts` are the suspects, `expiring` what is about to be judged; each with the time it was heard."""

    has: Records = field(factory=dict)
    doubts: dict[InstanceKey, float] = field(factory=dict)
    expiring: dict[InstanceKey, float] = field(factory=dict)
    hosts: set[str] = field(factory=set)
    expired_hosts: dict[str, float] = field(factory=dict)
    is_listed: bool = False
    is_silent: bool = False
    silence_ended: float | None = None

    def shown(self) -> Records:
        """Return what it holds, suspects marked."""
        return {key: evolve(one, state=State.SUSPECT) if key in self.doubts else one for key, one in self.has.items()}

    def is_alive(self) -> bool:
        """Whether something of it renews."""
        return not self.is_silent and bool(self.hosts or self.has.keys() - self.doubts.keys())

    def there(self, one: Instance) -> None:
        """Hold an instance without doubt."""
        self.has[one.key] = one
        self.doubts.pop(one.key, None)
        self.expiring.pop(one.key, None)

    def gone(self, key: InstanceKey) -> None:
        """Hold it no more."""
        for table in (self.has, self.doubts, self.expiring):
            table.pop(key, None)

    def expire(self, key: InstanceKey, at: float) -> None:
        """Leave it to be judged, unless it is a suspect already."""
        if key not in self.doubts:
            self.expiring.setdefault(key, at)

    def answer(self, at: float) -> None:
        """End the silence, if there is one."""
        self.silence_ended = at if self.is_silent else self.silence_ended
        self.is_silent = False

    def doubt(self, key: InstanceKey, since: float) -> None:
        """Suspect it."""
        self.expiring.pop(key, None)
        self.doubts[key] = since


@define
class Model:
    """All sources, in their order, and what an earlier discover left."""

    policy: Policy
    sources: dict[str, SourceModel]
    left: SourceModel = field(factory=SourceModel)
    left_count: int = 0

    def restart(self, written: Records, now: float) -> None:
        """Begin anew with what is written."""
        self.sources = {name: SourceModel() for name in self.sources}
        self.left = SourceModel(has=dict(written))
        self.left.doubts = {key: now for key, one in written.items() if one.state is State.SUSPECT}
        self.left_count = len(written)

    @property
    def is_listed(self) -> bool:
        """Whether every source has listed all that it holds."""
        return all(source.is_listed for source in self.sources.values())

    # What is heard

    def hear(self, word: object) -> None:
        """Take one observation."""
        match word:
            case Seen(source=name, record=Instance() as one):
                self._there(name, one)
            case Withdrawn(source=name, key=(_, _) as key):
                self._gone(name, key)
            case Gone(source=name, key=(_, _) as key, expired=True, at=at) if key in self.sources[name].has:
                self.sources[name].expire(key, at)
            case Gone(source=name, key=(_, _) as key):
                self._gone(name, key)
            case Listed():
                self._listed(word)
            case HostSeen(source=name, host=host):
                self.sources[name].hosts.add(host)
            case HostGone(source=name, host=host):
                self.sources[name].hosts.discard(host)
            case Silent(source=name):
                self.sources[name].is_silent = True
            case Answering(source=name, at=at):
                self.sources[name].answer(at)
            case _:
                raise AssertionError(f"the model does not know {word}")

    def _there(self, name: str, one: Instance) -> None:
        self.left.gone(one.key)
        self.sources[name].there(one)

    def _gone(self, name: str, key: InstanceKey) -> None:
        self.left.gone(key)
        self.sources[name].gone(key)

    def _listed(self, listed: Listed) -> None:
        source = self.sources[listed.source]
        source.is_listed = True
        source.hosts = set(listed.hosts or ())
        had = dict(source.has)
        for one in listed.instances or ():
            self._there(listed.source, one)
        listing = {one.key for one in listed.instances or ()}
        certain = {key for key in had if key not in source.doubts and key not in source.expiring}
        for key in certain - listing:
            if self._is_unbelievable(key, len(certain), certain - listing, listing):
                source.doubt(key, listed.at)
            else:
                self._gone(listed.source, key)

    def _is_unbelievable(
        self, key: InstanceKey, count: int, missing: set[InstanceKey], listing: set[InstanceKey]
    ) -> bool:
        """Whether it is not believed that a key is gone, of which a listing lacks as many as this."""
        lacks_most = not listing or len(missing) > self.policy.listing_share * count
        return lacks_most or all(service != key[0] for service, _ in listing)

    # What time brings

    def pass_time(self, now: float) -> None:
        """Judge what waits to be judged."""
        for source in self.sources.values():
            self._judge_expiries(source, now)
        for name, source in self.sources.items():
            for key in self._overdue(source, now, is_alive=source.is_alive()):
                self._gone(name, key)
        if self.left.has and self.is_listed:
            self._judge_left(now)

    def _judge_expiries(self, source: SourceModel, now: float) -> None:
        due = {key: at for key, at in source.expiring.items() if now - at >= self.policy.settle_seconds}
        if not due:
            return
        window = {host: at for host, at in source.expired_hosts.items() if now - at <= self.policy.window_seconds}
        source.expired_hosts = window | {source.has[key].host: at for key, at in source.expiring.items()}
        expired = source.expired_hosts.keys()
        all_hosts = {one.host for one in source.has.values()} | source.hosts | expired
        many = len(expired) > 1 and len(expired) > self.policy.host_share * len(all_hosts)
        for key, at in due.items():
            ended = source.silence_ended
            after_silence = ended is not None and at - ended <= self.policy.ttl_seconds
            if many or source.is_silent or after_silence:
                source.doubt(key, at)
            else:
                self.left.gone(key)
                source.gone(key)

    def _overdue(self, source: SourceModel, now: float, *, is_alive: bool) -> list[InstanceKey]:
        """Return the suspects that have been so for long enough, while something else is alive."""
        return [key for key, at in source.doubts.items() if is_alive and now - at >= self.policy.hold_seconds]

    def _judge_left(self, now: float) -> None:
        missing = self.left.has.keys() - self.left.doubts.keys()
        listing = {key for source in self.sources.values() for key in source.has}
        for key in missing:
            if self._is_unbelievable(key, self.left_count, missing, listing):
                self.left.doubt(key, now)
            else:
                self.left.gone(key)
        is_alive = any(source.is_alive() for source in self.sources.values())
        for key in self._overdue(self.left, now, is_alive=is_alive):
            self.left.gone(key)

    # What is shown

    def shown(self) -> Records:
        """Return what all sources add up to."""
        versions = [*(source.shown() for source in self.sources.values()), self.left.shown()]
        merged: Records = {}
        for key in {key for version in versions for key in version}:
            candidates = [version[key] for version in versions if key in version]
            certain = [one for one in candidates if one.state is not State.SUSPECT]
            merged[key] = (certain or candidates)[0]
        return {key: one for key, one in merged.items() if self._is_shown(one, merged.values(), versions)}

    @staticmethod
    def _is_shown(one: Instance, all_of_them: Iterable[Instance], versions: Sequence[Records]) -> bool:
        """Whether it is the one to be shown of those at its address: no suspect, of the first source, of lower id."""

        def order(instance: Instance) -> tuple[bool, int, str]:
            first = next(number for number, version in enumerate(versions) if instance.key in version)
            return instance.state is State.SUSPECT, first, instance.id

        same = [other for other in all_of_them if (other.service, other.address) == (one.service, one.address)]
        return order(one) == min(map(order, same))
