"""Structured logs: one event is one sentence with fields, as text for people or as JSON for machines.

Everything goes to stderr; stdout belongs to what a command prints as its answer.
"""

from __future__ import annotations

import logging
import sys
from typing import cast

import structlog


def get_logger() -> structlog.stdlib.BoundLogger:
    """Return a logger: `log.info("instance published", service="web", instance="host1:web.1:80")`."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger())


def configure(level: str, form: str) -> None:
    """Set up the logs of this process; `level` as the logging module names it, `form` is text or json."""
    for_machines = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    for_people = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(for_machines if form == "json" else for_people),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
