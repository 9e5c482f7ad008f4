"""Logs are events: a short name and fields; coloured on a terminal, JSON elsewhere, always on stderr."""

from __future__ import annotations

import logging
import os
import sys

import structlog

from control_plane.settings import Logging, load


def configure(level: str | None = None) -> None:
    """Set structlog up, by ``LOG_LEVEL`` and ``LOG_FORMAT``. Raises SettingsError for others."""
    settings = load(Logging)
    chosen = level or settings.level
    pretty = (settings.format or ("console" if sys.stderr.isatty() else "json")) == "console"
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=not os.environ.get("NO_COLOR"))
        if pretty
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[chosen]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


_REPEAT_S = 60.0


class _ToStructlog(logging.Handler):
    """Says the same at most once a minute: a client without its broker complains twenty times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        said = (record.name, str(record.msg))
        if record.created < self._said.get(said, 0.0) + _REPEAT_S:
            return False
        self._said[said] = record.created
        return super().filter(record) is not False

    def emit(self, record: logging.LogRecord) -> None:
        level = min(record.levelno, logging.CRITICAL) // 10 * 10
        fields = {"message": record.getMessage(), "exc_info": record.exc_info}
        structlog.get_logger().log(level, record.name, **fields)


def adopt_standard_logging(level: int = logging.WARNING) -> None:
    """Let what libraries log by ``logging``, from this level on, come out as our own logs do."""
    logging.basicConfig(handlers=[_ToStructlog()], level=level, force=True)
