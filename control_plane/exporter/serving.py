"""Who answers, who stands by, and since when, from ``control.servers``. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from control_plane.events import ServerAnnouncement
from control_plane.status import leader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

_ROLES = ("active", "standby", "starting")


class ServingServers:
    """What each server said last of itself."""

    def __init__(self) -> None:
        self._servers: dict[bytes, ServerAnnouncement] = {}

    def take(self, key: bytes, value: bytes | None) -> None:
        """Take an announcement, or a tombstone; raises :class:`control_plane.events.EventError`."""
        if value:
            self._servers[key] = ServerAnnouncement.decode(value)
        else:
            self._servers.pop(key, None)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; of several that call themselves active, one is."""
        active = leader(self._servers.values())
        roles = Counter(server.role for server in self._servers.values() if server.role != "active")
        roles["active"] = 1 if active else 0
        servers = GaugeMetricFamily("car_price_serving_servers", "Serving servers, by role.", labels=["role"])
        for role in _ROLES:
            servers.add_metric([role], roles[role])
        yield servers
        if active:
            yield from _of_the_leader(active)


def _of_the_leader(active: ServerAnnouncement) -> Iterator[Metric]:
    if active.model_version is not None:
        yield GaugeMetricFamily(
            "car_price_serving_model_version", "The version that answers.", value=active.model_version
        )
    if active.epoch is not None:
        yield GaugeMetricFamily(
            "car_price_serving_epoch", "Grows with each hand-over from server to server.", value=active.epoch
        )
    since = GaugeMetricFamily(
        "car_price_serving_last_hand_over_timestamp_seconds",
        "Since when the server that answers does.",
        labels=["model_version"],
    )
    since.add_metric([str(active.model_version or "none")], active.since.timestamp())
    yield since
