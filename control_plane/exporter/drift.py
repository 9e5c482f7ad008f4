"""The newest window of drift of each feature, and of estimated errors, from ``metrics``. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from control_plane.exporter.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeVar

    from prometheus_client import Metric

    from control_plane.records import DriftWindow, EstimateWindow

    W = TypeVar("W", DriftWindow, EstimateWindow)

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
        self._features: Recent[int, dict[str, DriftWindow]] = Recent(versions, dict)
        self._errors: Recent[int, dict[str, EstimateWindow]] = Recent(versions, dict)

    def take_drift(self, window: DriftWindow) -> None:
        """Take a window of a feature, in any order."""
        features = self._features.use(window.model_version)
        known = features.get(window.feature)
        if known is None or window.window_end >= known.window_end:
            features[window.feature] = window

    def take_estimate(self, window: EstimateWindow) -> None:
        """Take a window of estimated errors, in any order."""
        errors = self._errors.use(window.model_version)
        known = errors.get("")
        if known is None or window.window_end >= known.window_end:
            errors[""] = window

    def collect(self, now: float) -> Iterator[Metric]:
        """Yield the figures of the windows that are live at ``now`` (seconds since the epoch)."""
        drifts = list(self._live(self._features, now))
        for figure, (name, what) in _OF_FEATURES.items():
            metric = GaugeMetricFamily(
                name, f"{what}, in the last window.", labels=("model_version", "feature")
            )
            for window in drifts:
                metric.add_metric([str(window.model_version), window.feature], getattr(window, figure))
            yield metric
        estimates = list(self._live(self._errors, now))
        for figure, (name, what) in _OF_ERRORS.items():
            metric = GaugeMetricFamily(name, f"{what}, in the last window.", labels=("model_version",))
            for estimate in estimates:
                metric.add_metric([str(estimate.model_version)], getattr(estimate, figure))
            yield metric

    def _live(self, windows: Recent[int, dict[str, W]], now: float) -> Iterator[W]:
        for _, of_version in windows.items():  # noqa: PERF102 - no dict
            yield from (one for one in of_version.values() if now - one.window_end.timestamp() < self._age)
