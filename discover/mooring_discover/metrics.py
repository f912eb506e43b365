"""The counters of discover, as Prometheus reads them at `/metrics`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

OBSERVATIONS = Counter("mooring_discover_observations_total", "What sources said.", ["source"])
BROKEN_DOCUMENTS = Counter("mooring_discover_broken_documents_total", "Documents that could not be read.", ["source"])
FACTS = Counter("mooring_discover_facts_total", "Facts appended to the stream, by type.", ["type"])
APPENDS = Counter("mooring_discover_appends_total", "Batches, by what became of them.", ["outcome"])
EPOCHS = Counter("mooring_discover_epochs_total", "Times that this discover took the lead.")
INCARNATIONS = Counter("mooring_discover_incarnations_total", "Times that the stream was begun anew.")
FAILURES = Counter("mooring_discover_redis_failures_total", "Times that Redis did not answer or refused.")
SEQUENCE = Gauge("mooring_discover_sequence", "Sequence of the newest entry written or read.")
LEADING = Gauge("mooring_discover_leading", "1 while this discover leads, else 0.")
INSTANCES = Gauge("mooring_discover_instances", "Instances known, suspects included.")
SUSPECTS = Gauge("mooring_discover_suspects", "Records that vanished without a word and are held.")
