"""What register counts, for Prometheus. Names stay."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

docker_events = Counter("mooring_register_docker_events_total", "Docker events received", ["action"])
subscriptions = Counter("mooring_register_docker_subscriptions_total", "Times that docker events were subscribed to")
unanswered = Counter("mooring_register_unanswered_inspections_total", "Inspections that an engine did not answer")
inspections = Counter("mooring_register_inspections_total", "Containers inspected")
reconciled = Counter(
    "mooring_register_reconcile_differences_total", "Containers that a listing showed otherwise than the one before"
)
problems = Counter("mooring_register_problems_total", "Labels, ids or files that cannot be meant, when first seen")
instances = Gauge("mooring_register_instances", "Instances that should be registered")
bindings = Gauge("mooring_register_bindings", "Bindings that should be registered")
source_failures = Counter("mooring_register_source_failures_total", "Times that the source did not answer")
puts = Counter("mooring_register_puts_total", "Keys written", ["registry"])
deletes = Counter("mooring_register_deletes_total", "Keys deleted", ["registry"])
refusals = Counter("mooring_register_refused_transactions_total", "Transactions whose condition failed", ["registry"])
registry_failures = Counter(
    "mooring_register_registry_failures_total", "Attempts that a registry did not allow", ["registry", "error"]
)
keep_alives = Counter("mooring_register_keep_alives_total", "Renewals of the lease", ["registry"])
