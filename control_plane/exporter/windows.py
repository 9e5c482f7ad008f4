"""The newest window of errors of each model, from ``metrics``. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from control_plane.exporter.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from control_plane import records

LABELS = ("model_version", "model")

_FIGURES = {
    "rmse": ("car_price_live_rmse_dollars", "Root of the mean squared error"),
    "mae": ("car_price_live_mae_dollars", "Mean absolute error"),
    "mape": ("car_price_live_mape_ratio", "Mean absolute error as a fraction of the actual price"),
    "bias": ("car_price_live_bias_dollars", "Mean of predicted less actual price"),
    "r2": ("car_price_live_r2", "Share of the prices' variance that is explained, at most 1"),
    "coverage": ("car_price_live_coverage_ratio", "Share of intervals that held the actual price"),
    "count": ("car_price_live_window_outcomes", "Answers whose price came"),
}


class ErrorWindows:
    """The last window of each model of the ``versions`` that were measured last.

    A window counts as live for ``age`` seconds after its end: the error of a version that answers no more
    is no error of today.
    """

    def __init__(self, versions: int, age: float) -> None:
        self._age = age
        self._windows: Recent[int, dict[str, records.ErrorWindow]] = Recent(versions, dict)

    def take(self, window: records.ErrorWindow) -> None:
        """Take a window, in any order."""
        models = self._windows.use(window.model_version)
        known = models.get(window.model)
        if known is None or window.window_end >= known.window_end:
            models[window.model] = window

    def collect(self, now: float) -> Iterator[Metric]:
        """Yield the figures of the windows that are live at ``now`` (seconds since the epoch)."""
        live = [
            window
            for _, models in self._windows.items()
            for window in models.values()
            if now - window.window_end.timestamp() < self._age
        ]
        for figure, (name, what) in _FIGURES.items():
            metric = GaugeMetricFamily(name, f"{what} in the last window.", labels=LABELS)
            for window in live:
                if (value := getattr(window, figure)) is not None:
                    metric.add_metric([str(window.model_version), window.model], value)
            yield metric
        ends = GaugeMetricFamily(
            "car_price_live_window_end_timestamp_seconds", "When the last window ended.", labels=LABELS
        )
        for window in live:
            ends.add_metric([str(window.model_version), window.model], window.window_end.timestamp())
        yield ends
