"""What Prometheus would read, as a mapping of series to values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric


class Told(Collector):
    """Metrics that were collected."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        yield from self.metrics


def text(metrics: Iterable[Metric]) -> str:
    registry = CollectorRegistry()
    registry.register(Told(metrics))
    return generate_latest(registry).decode()


def series(metrics: Iterable[Metric], name: str = "") -> dict[str, float]:
    """Return each series whose name begins with ``car_price_<name>``, without that beginning."""
    lines = [line for line in text(metrics).splitlines() if line.startswith(f"car_price_{name}")]
    pairs = (line.removeprefix("car_price_").rsplit(" ", 1) for line in lines)
    return {key: float(value) for key, value in pairs}
