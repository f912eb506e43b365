"""The proxy itself: what the follower tells becomes a routing table, and that goes to the driver.

It knows how it stands, and joins two threads: tables are made in the reader's and applied in the reactor's.
Whatever fails here freezes the table: the driver keeps carrying traffic by the last one that it was given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from attrs import evolve, frozen
from twisted.internet.interfaces import IReactorFromThreads

from mooring.entries import Entry
from mooring.facts import InstanceAdded, InstanceChanged, InstanceRemoved, seen_docker
from mooring.model import Json
from mooring.telemetry import get_logger
from mooring_proxy import metrics
from mooring_proxy.drivers.driver import Driver
from mooring_proxy.following import Froze, Known, Position, Updated
from mooring_proxy.planning import route
from mooring_proxy.routing import Refused, RoutingTable, Rules, first_table

RECENT_ENTRIES: Final = 100

log = get_logger()


@frozen(kw_only=True)
class Standing:
    """How a proxy stands. Replaced as a whole, so that any thread may look at it.

    `applied_at` is epoch seconds; `redis_answers` is None when no Redis is followed.
    """

    complete: bool = False
    stale: bool = False
    frozen: str = ""
    position: Position | None = None
    applied_at: float | None = None
    redis_answers: bool | None = None

    @property
    def why_not_ready(self) -> str | None:
        """The reason why this proxy should not be relied on, or None."""
        if self.frozen:
            return f"the table is frozen: {self.frozen}"
        return None if self.complete else "the table is not complete yet"


class Proxy:
    """Holds the table. `now` gives epoch seconds; `keep` is given every catalog that was applied, to be stored."""

    def __init__(
        self,
        reactor: IReactorFromThreads,
        driver: Driver,
        rules: Rules,
        *,
        now: Callable[[], float],
        keep: Callable[[Known], None] = lambda _: None,
    ) -> None:
        self.standing = Standing()
        self._reactor = reactor
        self._driver = driver
        self._rules = rules
        self._now = now
        self._keep = keep
        self._made = RoutingTable()  # the reader's thread alone looks at it
        self._table = RoutingTable()
        self._recent: deque[Json] = deque(maxlen=RECENT_ENTRIES)

    def start(self) -> None:
        """Listen where the proxy was told to, before anything is known."""
        self._table = first_table(self._rules)
        self._driver.apply(self._table)

    # ------------------------------------------------------------------------------- told by the reader's thread
    def updated(self, update: Updated) -> None:
        """See stream.Audience."""
        known = update.known
        self._made = route(self._rules, known.catalog, known.ports, self._made)
        self._reactor.callFromThread(self._apply_or_freeze, self._made, update)

    def froze(self, froze: Froze) -> None:
        """See stream.Audience."""
        self._reactor.callFromThread(self._freeze, froze)

    def redis_answers(self, answers: bool) -> None:  # noqa: FBT001 -- the Audience's signature
        """See stream.Audience."""
        self._reactor.callFromThread(self._set_redis_answers, answers)

    # ------------------------------------------------------------------------------------- in the reactor's thread
    def use_stored(self, known: Known) -> None:
        """Serve by what an earlier run stored, unless something newer is there; it is marked stale."""
        if self.standing.complete:
            return
        table = evolve(route(self._rules, known.catalog, known.ports, RoutingTable()), is_fresh=False)
        log.warning("no complete catalog yet, serving by the stored table", position=str(known.position))
        self._apply(table, known.position, stale=True)

    def _apply_or_freeze(self, table: RoutingTable, update: Updated) -> None:
        if self.standing.frozen:
            return
        try:
            self._apply(table, update.known.position, stale=False)
        except Exception as bug:
            log.exception("bug: the table is frozen, traffic goes on")
            self._freeze(Froze(self.standing.position, repr(bug)))
            return
        self._keep(update.known)
        self._note(update.entries)

    def _apply(self, table: RoutingTable, position: Position, *, stale: bool) -> None:
        self._driver.apply(table)
        _say_refused(self._table.refused, table.refused)
        log.info(
            "table applied",
            incarnation=position.incarnation,
            sequence=position.sequence,
            routes=len(table.routes),
            stale=stale,
        )
        self._table = table
        self.standing = evolve(self.standing, complete=True, stale=stale, position=position, applied_at=self._now())
        metrics.SEQUENCE.set(position.sequence)
        metrics.STALE.set(stale)
        metrics.ROUTES.set(len(table.routes))
        metrics.REFUSED.set(len(table.refused))

    def _note(self, entries: Sequence[Entry]) -> None:
        metrics.ENTRIES.inc(len(entries))
        applied_at = self.standing.applied_at or 0.0
        for entry in entries:
            match entry.fact:
                case InstanceAdded(instance) | InstanceChanged(instance) | InstanceRemoved(instance):
                    seen = seen_docker(entry.fact)
                    if seen is not None:
                        metrics.CONVERGENCE.observe(max(0.0, applied_at - seen))
                    self._recent.append(
                        {
                            "sequence": entry.sequence,
                            "type": entry.fact.type,
                            "service": instance.service,
                            "id": instance.id,
                            "state": instance.state.value,
                            "seen_docker": seen,
                            "seen_stream": entry.seen_stream,
                            "applied_at": applied_at,
                        }
                    )

    def _freeze(self, froze: Froze) -> None:
        if self.standing.frozen:
            return
        at = "the start" if froze.position is None else f"entry {froze.position}"
        log.error("the table is frozen, traffic goes on by it", frozen_at=at, reason=froze.reason)
        self.standing = evolve(self.standing, frozen=f"at {at}: {froze.reason}")
        metrics.FROZEN.set(1)

    def _set_redis_answers(self, answers: bool) -> None:  # noqa: FBT001 -- as redis_answers
        self.standing = evolve(self.standing, redis_answers=answers)

    # --------------------------------------------------------------------------------------------------- for people
    def state(self) -> Mapping[str, object]:
        """Return everything worth knowing, for `/state`; in the reactor's thread."""
        standing = self.standing
        return {
            "ready": standing.why_not_ready is None,
            "complete": standing.complete,
            "stale": standing.stale,
            "frozen": standing.frozen or None,
            "redis": None if standing.redis_answers is None else "answers" if standing.redis_answers else "away",
            "incarnation": standing.position and standing.position.incarnation,
            "sequence": standing.position and standing.position.sequence,
            "applied_at": standing.applied_at,
            "driver": self._driver.name,
            "connections": self._driver.connections(),
            "listeners": self._driver.report(),
            "refused": [
                {"service": one.service, "port": one.port, "reason": one.reason} for one in self._table.refused
            ],
            "recent": list(self._recent),
        }


def _say_refused(before: Iterable[Refused], after: Iterable[Refused]) -> None:
    known = set(before)
    for one in after:
        if one not in known:
            log.warning("not listening for a service", service=one.service, port=one.port, reason=one.reason)
