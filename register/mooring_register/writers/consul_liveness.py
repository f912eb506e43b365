"""Says to a Consul agent that the register lives, and keeps the session that holds the host: what `keepalive` renews.

The one check that all services of the host follow is passed, then the session is renewed and the host's key read. The
agent is told first: without a leader of the cluster keys cannot be read, and the services are none the worse for it.
It is told in the same words always: then nobody who watches is woken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from mooring.consul.agent import Agent
from mooring.consul.keys import Keys
from mooring.errors import OwnershipLost, SessionLost, WorldError
from mooring_register.consul import ownership as consul_ownership
from mooring_register.consul.ownership import HeldHost
from mooring_register.consul.services import Liveness, node_check_id


class ConsulLiveness:
    """Speaks for one host.

    `forgotten` is told when the agent may not have our services any more: it has no such check, or answers again after
    it did not.
    """

    def __init__(self, agent: Agent, keys: Keys, alive: Liveness, forgotten: Callable[[], None]) -> None:
        self._agent = agent
        self._keys = keys
        self._alive = alive
        self._forgotten = forgotten
        self._agent_answered = True

    def renew(self, held: HeldHost) -> WorldError | None:
        """Speak once, and return why the host is ours no more, if it is not.

        Raises:
            Unavailable: no answer.
        """
        self._pass()
        try:
            consul_ownership.renew(self._keys, held)
        except (OwnershipLost, SessionLost) as error:
            return error
        return None

    def place(self, host: str, present: Collection[str]) -> None:
        """Have the node's check if there is to be one, and no other; `present` are the ids of the agent's checks.

        Raises:
            Unavailable: no answer.
        """
        check = self._alive.node_check
        if check is not None:
            # Again each time: its TTL may be another, and it is passing as we are here.
            self._agent.register_check(check)
        elif node_check_id(host) in present:
            self._agent.deregister_check(node_check_id(host))

    def remove(self) -> None:
        """Have neither service nor check: the host is given up.

        Raises:
            Unavailable: no answer.
        """
        self._agent.deregister(self._alive.registration.service.id)
        if self._alive.node_check is not None:
            self._agent.deregister_check(self._alive.node_check.id)

    def _pass(self) -> None:
        answered, self._agent_answered = self._agent_answered, False
        is_there = self._agent.report(self._alive.check_id, "passing")
        self._agent_answered = True
        if not (answered and is_there):
            self._forgotten()
