"""How far live traffic has drifted from what the version was trained on, as the page shows it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from control_plane.records import DriftWindow, EstimateWindow

MOVING, DRIFTED = 0.1, 0.25  # the custom with this index (Siddiqi 2006)
MOST_FEATURES = 50


class LastDrift:
    """The features of the window that ended last, of the newest version in it."""

    def __init__(self) -> None:
        self._drifts: dict[str, DriftWindow] = {}
        self._estimate: EstimateWindow | None = None

    def take_drift(self, window: DriftWindow) -> None:
        """Take a window of a feature; of an older window than is known it says nothing new."""
        known = next(iter(self._drifts.values()), None)
        if known is None or _place(window) > _place(known):
            self._drifts = {}
        elif _place(window) < _place(known):
            return
        if len(self._drifts) < MOST_FEATURES:
            self._drifts[window.feature] = window

    def take_estimate(self, window: EstimateWindow) -> None:
        """Take a window of estimated errors."""
        if self._estimate is None or _place(window) >= _place(self._estimate):
            self._estimate = window

    def shown(self) -> dict[str, Any]:
        """Return the features, the one that has drifted most first, and the errors to be expected."""
        windows = sorted(self._drifts.values(), key=lambda window: (-window.psi, window.feature))
        newest = windows[0] if windows else None
        expected = self._estimate
        return {
            "model_version": newest.model_version if newest else None,
            "window_end": newest.window_end.timestamp() if newest else None,
            "features": [
                {
                    "feature": window.feature,
                    "psi": round(window.psi, 3),
                    "missing": round(window.missing, 4),
                    "count": window.count,
                    "word": word(window),
                }
                for window in windows
            ],
            "expected": {
                "model_version": expected.model_version,
                "count": expected.count,
                "rmse": round(expected.rmse, 2),
                "mae": round(expected.mae, 2),
            }
            if expected
            else None,
        }


def word(window: DriftWindow) -> str:
    """Say in a word what the index means; what may be chance is none of it."""
    if window.psi < MOVING or window.psi <= window.chance:
        return "stable"
    return "moving" if window.psi < DRIFTED else "drifted"


def _place(window: DriftWindow | EstimateWindow) -> tuple[float, int]:
    return window.window_end.timestamp(), window.model_version
