"""What a server says of itself in ``control.servers``; a tombstone says that it is gone."""

from __future__ import annotations

from datetime import UTC, datetime

from confluent_kafka import Producer

from control_plane import topics
from control_plane.events import ServerAnnouncement
from spark_apps.serving.output import LIVE

_LAST_WORDS_S = 2.0


class Announcements:
    """Publishes without waiting: what a server does never hangs on whether the broker hears of it.

    Of the roles that a server takes only those in ``says`` are told.
    """

    def __init__(
        self, bootstrap_servers: str, server: str, pod: str | None = None, says: frozenset[str] = LIVE.says
    ) -> None:
        self._server = server
        self._pod = pod
        self._says = says
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 0, "acks": "all"})

    def announce(
        self, role: str, *, pids: tuple[int, ...], model_version: int | None = None, epoch: int | None = None
    ) -> None:
        """Say that this server has this role now; ``pids`` are its Python process and, if any, its JVM."""
        if role not in self._says:
            return
        said = ServerAnnouncement(
            server=self._server,
            role=role,
            model_version=model_version,
            epoch=epoch,
            pid=None if self._pod else pids[0],
            pids=[] if self._pod else list(pids),
            pod=self._pod,
            since=datetime.now(UTC),
        )
        self._producer.produce(topics.CONTROL_SERVERS, key=said.key, value=said.encode())

    def bury(self, server: str) -> None:
        """Say that ``server`` is gone."""
        self._producer.produce(topics.CONTROL_SERVERS, key=server.encode(), value=None)

    def gone(self) -> None:
        """Say that this server is gone, and wait a moment for that to be sent."""
        self.bury(self._server)
        self.flush()

    def flush(self) -> None:
        """Wait a moment for what is not sent yet."""
        self._producer.flush(_LAST_WORDS_S)
