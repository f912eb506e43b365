"""What register counts, for Prometheus. Names stay."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Summary

docker_events = Counter("mooring_register_docker_events_total", "Docker events received", ["action"])
subscriptions = Counter("mooring_register_docker_subscriptions_total", "Times that docker events were subscribed to")
unanswered = Counter("mooring_register_unanswered_inspections_total", "Inspections that an engine did not answer")
inspections = Counter("mooring_register_inspections_total", "Containers inspected")
reconciled = Counter(
    "mooring_register_reconcile_differences_total", "Containers that a listing showed otherwise than the one before"
)
problems = Counter("mooring_register_problems_total", "Labels, ids or files that cannot be meant, when first seen")
skipped = Counter(
    "mooring_register_skipped_total", "What was not acted upon, when first seen, by rule or kind of mistake", ["reason"]
)
reconcile_seconds = Summary(
    "mooring_register_reconcile_seconds",
    "How long it took to list, and to inspect what differs",
)
last_docker_event = Gauge("mooring_register_last_docker_event_timestamp_seconds", "When Docker last told something")
last_reconcile = Gauge("mooring_register_last_reconcile_timestamp_seconds", "When everything was last compared")
last_turn = Gauge("mooring_register_turn_age_seconds", "For how long the owner of the state has made no turn")
undelivered = Gauge(
    "mooring_register_undelivered_seconds", "How long the oldest change that a registry lacks has waited", ["registry"]
)
last_keep_alive = Gauge(
    "mooring_register_last_keep_alive_timestamp_seconds", "When the lease was last renewed", ["registry"]
)
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
