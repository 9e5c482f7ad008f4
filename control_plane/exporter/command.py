"""The exporter alone, as ``pipelines exporter`` runs it."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import structlog
from prometheus_client import start_http_server

from control_plane.exporter.exporter import Exporter

if TYPE_CHECKING:
    from control_plane.exporter.settings import ExporterSettings
    from control_plane.settings import Servers

log = structlog.get_logger()


class ExporterError(RuntimeError):
    """The exporter cannot run; the message says what is in its way, and what to set."""


def run(servers: Servers, settings: ExporterSettings) -> None:
    """Serve the metrics until SIGINT or SIGTERM.

    Raises :class:`ExporterError` when its address cannot be listened on.
    """
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    exporter = Exporter(servers, settings)
    try:
        server, _ = start_http_server(settings.port, settings.host, exporter.registry)
    except OSError as error:
        raise ExporterError(
            f"EXPORTER_HOST={settings.host}, EXPORTER_PORT={settings.port} cannot be listened on: "
            f"{error.strerror}. Set another"
        ) from error
    with exporter:
        log.info("exporter.running", url=f"http://{settings.host}:{server.server_port}/metrics")
        stopped.wait()
    server.shutdown()
    log.info("exporter.stopped")
