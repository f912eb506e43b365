"""What the holder of sockets counts. Names are kept: dashboards hang on them."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

HELD: Final = Gauge("mooring_sockets_held", "Listening sockets that are held.")
PROXIES: Final = Gauge("mooring_sockets_proxies", "Proxies that are connected.")
REFUSED: Final = Counter("mooring_sockets_refused_total", "Times that an address could not be bound.")
