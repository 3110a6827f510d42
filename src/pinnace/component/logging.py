"""Logs: a constant phrase per event, facts as keys, one line each.

Only this module configures logging; everything else asks for a logger and binds its context. Lines are JSON unless a terminal
reads them. Invariant: values under names that hold secrets never reach a line, at any level (upstream's history: CVE-2019-11250,
CVE-2020-8563 to 8566).
"""

import logging as stdlib_logging
import sys
from collections.abc import MutableMapping
from enum import StrEnum
from typing import Any, TextIO

import structlog

# Names of facts whose values are secrets, compared in lower case.
_SECRET_NAMES = frozenset({"authorization", "token", "password", "secret", "private_key", "key_pem", "cookie"})


class LogFormat(StrEnum):
    """How lines are written; AUTO is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a component; `name` is printed with each line as `component`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=name)
    return logger


def configure(
    format_: LogFormat = LogFormat.AUTO, level: int = stdlib_logging.INFO, *, stream: TextIO | None = None
) -> None:
    """Set up the process's logging; called once by `main`, before components start."""
    out = stream if stream is not None else sys.stderr
    text = format_ is LogFormat.TEXT or (format_ is LogFormat.AUTO and out.isatty())
    # JSON writes what controls a terminal, or begins another line, as an escape; a terminal would obey it.
    rendering: tuple[structlog.typing.Processor, ...] = (
        (_one_line, structlog.processors.format_exc_info, structlog.dev.ConsoleRenderer(colors=out.isatty()))
        if text
        else (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _hide_secrets,
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    _route_libraries(level)


def _hide_secrets(_logger: object, _method: str, facts: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in facts:
        if name.lower() in _SECRET_NAMES:
            facts[name] = "(hidden)"
    return facts


def _one_line(_logger: object, _method: str, facts: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write control characters as escapes: facts hold names and texts that clients choose."""
    for name, value in facts.items():
        if isinstance(value, str) and not value.isprintable():
            facts[name] = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in value)
    return facts


class _LibraryHandler(stdlib_logging.Handler):
    """Hands the records of libraries that use the standard logging to structlog, without their arguments' secrets."""

    def emit(self, record: stdlib_logging.LogRecord) -> None:
        logger = get_logger(record.name)
        logger.log(record.levelno, "library message", message=record.getMessage(), exc_info=record.exc_info)


def _route_libraries(level: int) -> None:
    root = stdlib_logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _LibraryHandler)]:
        root.removeHandler(handler)
    root.addHandler(_LibraryHandler())
    root.setLevel(max(level, stdlib_logging.WARNING))
    # aiohttp's server logger prints the request line of a malformed request, query and tokens included.
    stdlib_logging.getLogger("aiohttp.server").setLevel(stdlib_logging.CRITICAL)
    stdlib_logging.getLogger("aiohttp.access").setLevel(stdlib_logging.CRITICAL)
