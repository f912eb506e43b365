"""What a proxy counts. Names are kept: dashboards hang on them."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

CONNECTIONS: Final = Counter("mooring_proxy_connections_total", "Connections relayed, by service.", ["service"])
OPEN: Final = Gauge("mooring_proxy_connections_open", "Connections open now.")
CONNECT_FAILURES: Final = Counter(
    "mooring_proxy_connect_failures_total", "Attempts to reach a backend that failed, by service.", ["service"]
)
LOST: Final = Counter(
    "mooring_proxy_backend_lost_total",
    "Connections that were cut short by the loss of their backend, by service.",
    ["service"],
)
TURNED_AWAY: Final = Counter(
    "mooring_proxy_turned_away_total",
    "Connections closed because no backend could be reached, by service.",
    ["service"],
)
ENTRIES: Final = Counter("mooring_proxy_entries_total", "Entries of the stream that were applied.")
SKIPPED: Final = Counter("mooring_proxy_entries_skipped_total", "Entries of a type that this Mooring does not know.")
STARTED_OVER: Final = Counter(
    "mooring_proxy_started_over_total", "Times that the stream was read anew, by reason.", ["reason"]
)
BROKEN: Final = Counter("mooring_proxy_broken_catalogs_total", "Catalogs and files that could not be read.")
REDIS_FAILURES: Final = Counter("mooring_proxy_redis_failures_total", "Attempts to reach Redis that failed.")
REDIS_AWAY: Final = Gauge("mooring_proxy_redis_away", "1 while Redis does not answer.")
FROZEN: Final = Gauge("mooring_proxy_frozen", "1 when the table is frozen.")
STALE: Final = Gauge("mooring_proxy_stale", "1 while the table is one that was stored by an earlier run.")
SEQUENCE: Final = Gauge("mooring_proxy_sequence", "The last entry applied.")
ROUTES: Final = Gauge("mooring_proxy_routes", "Listeners in the routing table.")
REFUSED: Final = Gauge("mooring_proxy_refused", "Ports that are not listened on, for one reason or another.")
CONVERGENCE: Final = Histogram(
    "mooring_proxy_convergence_seconds",
    "From the moment that Docker said it to the moment that it is in the table.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
HOLDER_AWAY: Final = Gauge("mooring_proxy_holder_away", "1 while the holder of sockets does not answer.")
