"""Mends what the Docker client's library does with an engine's Unix socket. Knows connections, and nothing of Docker.

The library keeps connections for each path that it was asked for, hence opens one for each container, and looks for
proxies in the environment before each question. With ten thousand containers that is most of what a listing costs.
"""

from __future__ import annotations

from typing import Any, Final

from docker.transport import UnixHTTPAdapter

_SCHEME: Final = "http+docker://"


class _OneSocket(UnixHTTPAdapter):
    """Keeps connections whatever they were used for: all of them lead to the same socket."""

    def get_connection(self, url: Any, proxies: Any = None) -> Any:  # noqa: ANN401 -- as the library says
        """Return where connections are kept."""
        del url
        return super().get_connection(_SCHEME, proxies)


def keep_connections(client: Any, timeout_seconds: int) -> None:  # noqa: ANN401 -- the stubs lack what it inherits
    """Let a client of a Unix socket use its connections again; any other is left as it is."""
    adapter = client.get_adapter(client.base_url)
    if isinstance(adapter, UnixHTTPAdapter):
        client.mount(_SCHEME, _OneSocket(adapter.socket_path, timeout_seconds))
        adapter.close()
        client.trust_env = False
