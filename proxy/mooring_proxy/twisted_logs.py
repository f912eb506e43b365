"""Where Twisted's own messages go: into our logs, and only what somebody has to read."""

from __future__ import annotations

import structlog
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import provider


def send_logs_to(log: structlog.stdlib.BoundLogger) -> None:
    """Send warnings and worse to `log` from now on; an exception that nobody caught comes with its stack."""

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        level: LogLevel = event.get("log_level", LogLevel.info)
        failure = event.get("log_failure")
        if isinstance(failure, Failure):
            log.error("bug: an exception that nobody caught", problem=formatEvent(event), stack=failure.getTraceback())
        elif level >= LogLevel.warn:
            log.warning("from Twisted", sentence=formatEvent(event))

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False, discardBuffer=True)
