"""The newest window of drift of each feature, and of estimated errors, from ``metrics``. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from control_plane.exporter.recent import Recent
from control_plane.records import DriftWindow, EstimateWindow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

_ESTIMATE = ""  # in place of a feature
_OF_FEATURES = {
    "psi": ("car_price_drift_psi", "Population stability index against the train set"),
    "chance": ("car_price_drift_chance_psi", "Index that one window in a hundred exceeds without any drift"),
    "missing": ("car_price_drift_missing_ratio", "Share of values that are missing"),
    "count": ("car_price_drift_window_values", "Values that the index is of"),
}
_OF_ERRORS = {
    "rmse": ("car_price_estimated_rmse_dollars", "Root of the mean squared error to be expected"),
    "mae": ("car_price_estimated_mae_dollars", "Mean absolute error to be expected"),
    "half_width": ("car_price_interval_half_width_dollars", "Mean half width of the intervals"),
}


class Drifts:
    """The last windows of the ``versions`` that were measured last, live for ``age`` seconds."""

    def __init__(self, versions: int, age: float) -> None:
        self._age = age
        self._windows: Recent[int, dict[str, DriftWindow | EstimateWindow]] = Recent(versions, dict)

    def take(self, window: DriftWindow | EstimateWindow) -> None:
        """Take a window of a feature or of estimated errors, in any order."""
        windows = self._windows.use(window.model_version)
        what = window.feature if isinstance(window, DriftWindow) else _ESTIMATE
        known = windows.get(what)
        if known is None or window.window_end >= known.window_end:
            windows[what] = window

    def collect(self, now: float) -> Iterator[Metric]:
        """Yield the figures of the windows that are live at ``now`` (seconds since the epoch)."""
        live = [
            window
            for _, windows in self._windows.items()
            for window in windows.values()
            if now - window.window_end.timestamp() < self._age
        ]
        for figure, (name, what) in _OF_FEATURES.items():
            metric = GaugeMetricFamily(
                name, f"{what}, in the last window.", labels=("model_version", "feature")
            )
            for window in live:
                if isinstance(window, DriftWindow):
                    metric.add_metric([str(window.model_version), window.feature], getattr(window, figure))
            yield metric
        for figure, (name, what) in _OF_ERRORS.items():
            metric = GaugeMetricFamily(name, f"{what}, in the last window.", labels=("model_version",))
            for window in live:
                if isinstance(window, EstimateWindow):
                    metric.add_metric([str(window.model_version)], getattr(window, figure))
            yield metric
