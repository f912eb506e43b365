"""The way to an engine for `mooring stop`: it looks a container up, and stops it. An edge.

Not an `Engine`: register itself only asks, so that the access that it is given need not allow more.
"""

from __future__ import annotations

from mooring.errors import Unavailable
from mooring_register.containers import Container, read_container
from mooring_register.engine.address import DockerAddress
from mooring_register.engine.client import FAILURES, DockerClient
from mooring_register.engine.docker_engine import DockerEngine


class StoppingEngine:
    """An engine at an address, made without contacting it. Safe to use from several threads."""

    def __init__(self, address: DockerAddress) -> None:
        self._address = address
        self._engine = DockerEngine(address)

    def container(self, name: str) -> Container | None:
        """Return the container of that name, id or beginning of an id; None when there is none.

        Raises:
            Unavailable: the engine does not answer, or the beginning is that of several.
        """
        document = self._engine.inspect(name)
        return None if document is None else read_container(document)

    def stop(self, container: Container) -> None:
        """Stop a container, as `docker stop` does; return when it has ended.

        Raises:
            Unavailable: the engine does not answer, or does not do it.
        """
        try:
            client = DockerClient(self._address)
            try:
                client.stop(container.id, timeout=int(container.stop_timeout_seconds))
            finally:
                client.close()
        except FAILURES as error:
            raise Unavailable(f"{self._address}: {error}") from None
