"""``pipelines web``: serves the page, and its metrics at ``/metrics``, until it is told to end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
import uvicorn
from prometheus_client import make_asgi_app

from control_plane import logs
from control_plane.exporter.exporter import Exporter
from control_plane.exporter.settings import ExporterSettings
from control_plane.settings import load
from control_plane.web.address import choose_port
from control_plane.web.app import create_app, running

if TYPE_CHECKING:
    from pathlib import Path
    from socket import socket

    from control_plane.settings import Servers
    from control_plane.web.hub import Hub
    from control_plane.web.settings import Web

log = structlog.get_logger()

_GRACE_S = 2


class _Server(uvicorn.Server):
    """Ends the streams of events first: they have no end of their own."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        self._hub.close()
        await super().shutdown(sockets)


def run(servers: Servers, settings: Web, home: Path) -> None:
    """Serve the page until SIGINT or SIGTERM."""
    logs.adopt_standard_logging()
    port = choose_port(settings, home)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(servers, settings, port))


async def _serve(servers: Servers, settings: Web, port: int) -> None:
    exporter = Exporter(servers, load(ExporterSettings))
    async with running(servers, settings) as page:
        config = uvicorn.Config(
            create_app(page, settings, {"/metrics": make_asgi_app(exporter.registry)}),
            host=settings.host,
            port=port,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        log.info("web.serving", page=f"http://{settings.host}:{port}")
        with exporter:
            await _Server(config, page.hub).serve()
