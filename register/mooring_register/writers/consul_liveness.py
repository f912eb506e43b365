"""Says to a Consul agent that the register lives, and keeps the session that holds the host: what `keepalive` renews.

The one check that all services of the host follow is passed, then the session is renewed and the host's key read. The
agent is told first: without a leader of the cluster keys cannot be read, and the services are none the worse for it.
It is told in the same words always: then nobody who watches is woken.
"""

from __future__ import annotations

from collections.abc import Callable

from mooring.consul.agent import Agent
from mooring.consul.keys import Keys
from mooring.errors import OwnershipLost, SessionLost, WorldError
from mooring_register.consul_ownership import HeldHost, check


class ConsulLiveness:
    """Speaks for one host.

    `forgotten` is told when the agent may not have our services any more: it has no such check, or answers again after
    it did not.
    """

    def __init__(self, agent: Agent, keys: Keys, check_id: str, forgotten: Callable[[], None]) -> None:
        self._agent = agent
        self._keys = keys
        self._check_id = check_id
        self._forgotten = forgotten
        self._agent_answered = True

    def renew(self, held: HeldHost) -> WorldError | None:
        """Speak once, and return why the host is ours no more, if it is not.

        Raises:
            Unavailable: no answer.
        """
        self._pass()
        try:
            self._keys.renew_session(held.session)
            check(self._keys, held)
        except (OwnershipLost, SessionLost) as error:
            return error
        return None

    def _pass(self) -> None:
        answered, self._agent_answered = self._agent_answered, False
        is_there = self._agent.report(self._check_id, "passing")
        self._agent_answered = True
        if not (answered and is_there):
            self._forgotten()
