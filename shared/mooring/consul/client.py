"""A real Consul agent, by HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from mooring.consul.address import ConsulAddress
from mooring.consul.agent import AgentIdentity, Check, CheckState, Service, Status
from mooring.consul.connection import NO_SUCH_CHECK, NO_SUCH_SERVICE, NO_SUCH_SESSION, Connection, Refused
from mooring.consul.documents import (
    check_document,
    read_checks,
    read_identity,
    read_keys,
    read_services,
    read_session,
    read_truth,
    service_document,
)
from mooring.consul.keys import KeyValue, Mismatch
from mooring.consul.paths import check_path
from mooring.errors import DocumentError, SessionLost


class HttpAgent:
    """See `agent.Agent`. Connects when it is first asked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def identity(self) -> AgentIdentity:
        """See `Agent.identity`."""
        return self._connection.ask(lambda client: client.agent.self(), read_identity)

    def services(self) -> Mapping[str, Service]:
        """See `Agent.services`."""
        return self._connection.ask(lambda client: client.agent.services(), read_services)

    def checks(self) -> Mapping[str, CheckState]:
        """See `Agent.checks`."""
        return self._connection.ask(lambda client: client.agent.checks(), read_checks)

    def register(self, service: Service, checks: Sequence[Check] = ()) -> None:
        """See `Agent.register`."""
        for one in (service.id, *(check.id for check in checks)):
            check_path(one)
        document = service_document(service, checks)
        path, params = "/v1/agent/service/register", (("replace-existing-checks", "true"),)
        try:
            self._connection.propose(lambda client: client.put(path, document, params), read_truth)
        except Refused as error:
            raise DocumentError(service.id, str(error)) from None

    def deregister(self, service_id: str) -> None:
        """See `Agent.deregister`."""
        check_path(service_id)
        # False where a later Consul says that there is no such service.
        self._connection.ask(lambda client: client.agent.service.deregister(service_id), read_truth)

    def register_check(self, check: Check, service_id: str = "") -> bool:
        """See `Agent.register_check`."""
        check_path(check.id)
        document = check_document(check, service_id)
        try:
            return self._connection.propose(lambda client: client.put("/v1/agent/check/register", document), read_truth)
        except Refused as error:
            if NO_SUCH_SERVICE in str(error):
                return False
            raise DocumentError(check.id, str(error)) from None

    def deregister_check(self, check_id: str) -> None:
        """See `Agent.deregister_check`."""
        check_path(check_id)
        self._connection.ask(lambda client: client.agent.check.deregister(check_id), read_truth)

    def report(self, check_id: str, status: Status, output: str = "") -> bool:
        """See `Agent.report`."""
        check_path(check_id)
        document = {"Status": status, "Output": output}
        try:
            return self._connection.propose(
                lambda client: client.put(f"/v1/agent/check/update/{check_id}", document), read_truth
            )
        except Refused as error:
            if NO_SUCH_CHECK in str(error):
                return False
            raise self._connection.unavailable(error) from None

    def set_maintenance(self, service_id: str, reason: str) -> bool:
        """See `Agent.set_maintenance`."""
        check_path(service_id)
        return self._connection.ask(
            lambda client: client.agent.service.maintenance(service_id, "true", reason), read_truth
        )

    def end_maintenance(self, service_id: str) -> bool:
        """See `Agent.end_maintenance`."""
        check_path(service_id)
        return self._connection.ask(lambda client: client.agent.service.maintenance(service_id, "false"), read_truth)


class HttpKeys:
    """See `keys.Keys`. Connects when it is first asked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, prefix: str) -> tuple[KeyValue, ...]:
        """See `Keys.list`."""
        return self._connection.ask(lambda client: client.kv.get(prefix, recurse=True), read_keys)

    def get(self, key: str) -> KeyValue | None:
        """See `Keys.get`."""
        check_path(key)
        # Without recursion the library takes one item out of the list.
        found = self._connection.ask(lambda client: _listed(client.kv.get(key)), read_keys)
        return found[0] if found else None

    def put(self, key: str, value: bytes, at: int) -> Mismatch | None:
        """See `Keys.put`."""
        return self._write(key, value, cas=at)

    def acquire(self, key: str, value: bytes, session: str) -> Mismatch | None:
        """See `Keys.acquire`."""
        try:
            return self._write(key, value, acquire=session)
        except _NoSession:
            raise SessionLost(session) from None

    def delete(self, key: str, at: int) -> Mismatch | None:
        """See `Keys.delete`."""
        check_path(key)
        is_gone = self._connection.ask(lambda client: client.kv.delete(key, cas=at), read_truth)
        return None if is_gone else Mismatch()

    def create_session(self, name: str, ttl_seconds: int) -> str:
        """See `Keys.create_session`."""
        return self._connection.ask(
            lambda client: client.session.create(name, lock_delay=0, behavior="delete", ttl=ttl_seconds), read_session
        )

    def renew_session(self, session: str) -> None:
        """See `Keys.renew_session`."""
        try:
            self._connection.propose(lambda client: client.session.renew(session), bool)
        except Refused:
            raise SessionLost(session) from None

    def destroy_session(self, session: str) -> None:
        """See `Keys.destroy_session`."""
        self._connection.ask(lambda client: client.session.destroy(session), read_truth)

    def _write(self, key: str, value: bytes, **condition: Any) -> Mismatch | None:  # noqa: ANN401 -- an index or an id
        check_path(key)
        try:
            is_done = self._connection.propose(lambda client: client.kv.put(key, value, **condition), read_truth)
        except Refused as error:
            if NO_SUCH_SESSION in str(error):
                raise _NoSession from None
            raise DocumentError(key, str(error)) from None
        return None if is_done else Mismatch()


class _NoSession(Exception):
    """The session that should own a key is gone."""


def _listed(answer: tuple[object, object]) -> tuple[object, list[object]]:
    index, found = answer
    return index, [] if found is None else [found]


@frozen
class Consul:
    """One agent, as both seams see it."""

    agent: HttpAgent
    keys: HttpKeys
    connection: Connection

    def close(self) -> None:
        """Let go of connections."""
        self.connection.close()


def connect_to(address: ConsulAddress) -> Consul:
    """Return the agent at an address, without contacting it.

    Raises:
        SettingsError: a file that the address names cannot be used.
    """
    connection = Connection(address)
    return Consul(HttpAgent(connection), HttpKeys(connection), connection)
