"""The errors that the registered versions made on held-out cars, as training left them in MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from prometheus_client.core import GaugeMetricFamily

from control_plane.exporter.windows import LABELS
from control_plane.registry import RegistryRefusedError, RegistryUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import Metric

    from control_plane.registry import Registry

log = structlog.get_logger()

_FIGURES = {
    "rmse": ("car_price_held_out_rmse_dollars", "Root of the mean squared error"),
    "mae": ("car_price_held_out_mae_dollars", "Mean absolute error"),
}


class HeldOutErrors:
    """What live errors are held against. A version's figures are asked for once, and never change."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._metrics: Mapping[int, Mapping[str, float]] = {}
        self._away = False

    def ask(self, runs: Mapping[int, str]) -> None:
        """Keep the figures of these versions, given with their runs, and of no others.

        While MLflow is away, those that are known stay.
        """
        known = {version: self._metrics[version] for version in runs if version in self._metrics}
        try:
            for version in runs.keys() - known.keys():
                known[version] = self._of(runs[version])
        except RegistryUnavailableError as error:
            if not self._away:
                log.warning("exporter.mlflow_away", reason=str(error))
            self._away = True
        else:
            self._away = False
        self._metrics = known

    def _of(self, run_id: str) -> dict[str, float]:
        try:
            return self._registry.metrics(run_id)
        except RegistryRefusedError as error:  # a run that was deleted
            log.warning("exporter.no_run", run_id=run_id, reason=str(error))
            return {}

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for figure, (name, what) in _FIGURES.items():
            metric = GaugeMetricFamily(name, f"{what} on held-out cars at the training.", labels=LABELS)
            for version, values in self._metrics.items():
                for key, value in values.items():
                    match key.split("."):
                        case ["test", model, measured] if measured == figure:
                            metric.add_metric([str(version), model], value)
            yield metric
